"""The refused lines as a file to mend and bring again."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from django.utils.translation import gettext, pgettext

from envol.contacts.imports.problem import CAUSES
from envol.contacts.models import Import, ImportRefusal

_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
# A spreadsheet runs what begins so, also behind blanks, quotation marks and full-width forms.
_FORMULA = re.compile(r"[\s'\"\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")


def safe_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula: an apostrophe goes before; plain numbers stay."""
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def refused_csv(imp: Import) -> Iterator[str]:
    """Line, reason, details, and the line as it came (quoted whole), one text a row; UTF-8 with its mark first.

    Reasons are in the language of whoever asks, details in that of whoever started the import.
    """
    head = [
        pgettext("column of a file", "line"),
        pgettext("column of a file", "reason"),
        pgettext("column of a file", "details"),
        pgettext("column of a file", "row"),
    ]
    # Now: when the rows are written, the request whose language this is has ended.
    return _rows(imp, head, {cause: gettext(sentence) for cause, sentence in CAUSES.items()})


def _rows(imp: Import, head: list[str], causes: dict[str, str]) -> Iterator[str]:
    yield "\ufeff" + _row(head)
    for found in ImportRefusal.objects.filter(import_id=imp.id).order_by("id").iterator(2000):
        yield _row(
            [str(found.line), causes.get(found.cause, found.cause), safe_cell(found.value), safe_cell(found.row)]
        )


def _row(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
