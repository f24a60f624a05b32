"""Gather what pages say, and keep the catalogues in step with it, without GNU gettext.

``python -m envol.web.words`` rewrites ``locale/fr/LC_MESSAGES/django.po``: new sentences come in untranslated, those
that no page says any more go. A test fails while a sentence lacks its French.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_python
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOM = Path(__file__).resolve().parent
PO = ROOM / "locale" / "fr" / "LC_MESSAGES" / "django.po"
_KEYWORDS: dict[str, Any] = {
    "_": None, "AddressError": None, "Data": None, "gettext": None, "gettext_lazy": None, "gettext_noop": None,
    "ngettext": (1, 2), "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2), "pgettext_lazy": ((1, "c"), 2), "npgettext": ((1, "c"), 2, 3),
}  # fmt: skip
# Rooms whose sentences reach people through pages.
_ROOMS = (
    "accounts", "api", "audience", "campaigns", "collect", "consent", "contacts", "content", "events", "insight",
    "outbound", "web",
)  # fmt: skip


def said() -> Iterator[tuple[Any, str | None]]:
    """Every (sentence or pair of singular and plural, context) that templates and code mark as said."""
    pages = [*sorted(ROOM.glob("templates/**/*.html")), *sorted(ROOM.glob("components/**/*.html"))]
    sources = [(path, templatize(path.read_text("utf-8"))) for path in pages]
    for room in _ROOMS:
        sources += [(path, path.read_text("utf-8")) for path in sorted((ROOM.parent / room).glob("**/*.py"))]
    # The standards know no catalogue: their refusals of an address are said by whoever shows them.
    sources.append((ROOM.parent / "wire", (ROOM.parent / "wire" / "address.py").read_text("utf-8")))
    for _path, text in sources:
        found = extract_python(io.BytesIO(text.encode()), dict.fromkeys(_KEYWORDS), [], {"encoding": "utf-8"})
        for _line, function, messages, _comments in found:
            name = str(function)
            parts = list(messages) if isinstance(messages, tuple | list) else [messages]
            if name == "Data":  # a line of the data map: what a table keeps, and how long
                for part in (parts[1:2] + parts[3:4]) if len(parts) > 1 else []:
                    if isinstance(part, str):
                        yield part, None
                continue
            context = parts.pop(0) if name.startswith(("pgettext", "npgettext")) else None
            parts = [part for part in parts if part][: 2 if name.startswith("n") else 1]
            if parts and all(isinstance(part, str) for part in parts):
                yield (tuple(parts) if len(parts) == 2 else parts[0]), context
    # The words of states go through a table, so they are not written as marked sentences.
    from envol.campaigns import actions

    for word in (*actions._WORDS.values(), *actions._WAY_OUT.values()):
        yield word, None


def gather() -> Catalog:
    """The French catalogue with exactly what is said, and the translations known so far."""
    with open(PO, "rb") as source:
        known = read_po(source, locale="fr")
    # The day of gathering stays as it is: it says nothing, and would change the file each time.
    made = Catalog(locale="fr", project="Envol", charset="utf-8", creation_date=known.creation_date)
    for message, context in said():
        key = message[0] if isinstance(message, tuple) else message
        if made.get(key, context) is None:
            old = known.get(key, context)
            made.add(
                message, old.string if old else None, context=context, flags=["python-format"] if "%(" in key else []
            )
    return made


if __name__ == "__main__":
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "envol.run.django_settings")
    django.setup()
    catalog = gather()
    with open(PO, "wb") as out:
        write_po(out, catalog, width=110, no_location=True, sort_output=True, omit_header=False)
