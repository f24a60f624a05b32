"""Her address and name where nobody kept them for her: files and their refused lines, filters of members.

None of these names a contact, so an erasure (GDPR art. 17) looks for what she is called.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_plus

from envol.contacts import sealing
from envol.contacts.imports import kept
from envol.contacts.models import Contact, Identifier, SavedView
from envol.db import execute

_SHORT = 4
"""A word of fewer letters stands in too many lines to be hers."""
_NAMES = (("contacts_import", "file_name"), ("contacts_source", "label"), ("contacts_export", "name"))
"""What members name freely, such as a file after whom it is about."""
_NOBODY = "…"
"""What a filter looks for once it named somebody who is gone: it finds nobody."""


class Said(NamedTuple):
    """What names her when all of it is found, in small letters; each as a whole, so that nobody else is meant.

    Ann is not in Joann nor ann@x.fr in joann@x.fr; a customer number is a cell of its own.
    """

    words: tuple[str, ...]
    kind: str  # address, number, name

    def patterns(self) -> list[str]:
        """As regular expressions of PostgreSQL, every sign for itself."""
        return [_AROUND[self.kind].format(re.sub(r"([^\w\s])", r"\\\1", word)) for word in self.words]

    def stands_in(self, text: str) -> bool:
        """The same of a text in small letters."""
        if not all(word in text for word in self.words):
            return False
        return all(re.search(_PYTHON[self.kind].format(re.escape(word)), text) for word in self.words)


_AROUND = {
    "address": "(^|[^[:alnum:]._+-]){}($|[^[:alnum:]-])",
    "number": "(^|[^[:alnum:]]){}($|[^[:alnum:]])",
    "name": "(^|[^[:alnum:]]){}($|[^[:alnum:]])",
}
_PYTHON = {
    "address": r"(?<![\w.+-]){}(?![\w-])",
    "number": r"(?:^|[;,|=&\t\r\n\"])\s*{}\s*(?:$|[;,|&\t\r\n\"])",
    "name": r"(?<![^\W_]){}(?![^\W_])",
}


def files(workspace_id: int, contact_id: int) -> int:
    """Files that wait to be taken in lose the records that name her; of how many."""
    return kept.forget(workspace_id, *of_records(workspace_id, contact_id))


def of_records(workspace_id: int, contact_id: int) -> tuple[list[str], kept.Named]:
    """What records are looked through for, and whether one, in small letters, names her.

    A short number without a letter may be a year or a sum of somebody else: it takes no record away.
    """
    hers = [
        one
        for one in said(workspace_id, contact_id)
        if one.kind != "number" or len(one.words[0]) > _SHORT + 1 or not one.words[0].isdigit()
    ]
    words = [word for one in hers for word in one.words]
    return words, lambda text: any(one.stands_in(text) for one in hers)


def refusals(workspace_id: int, contact_id: int) -> int:
    """Refused lines of files that hold her address, a number of hers or her whole name; how many went."""
    return sum(
        execute(
            "DELETE FROM contacts_import_refusal r USING contacts_import i WHERE i.id = r.import_id"
            " AND i.workspace_id = %s AND NOT EXISTS (SELECT FROM unnest(%s::text[]) AS word"
            " WHERE lower(r.value || ' ' || r.row) !~ word)",
            [workspace_id, one.patterns()],
        )
        for one in said(workspace_id, contact_id)
    )


def forget(workspace_id: int, contact_id: int) -> None:
    """Samples and names of files, views, and what filters of acts and files looked for."""
    execute(
        "UPDATE contacts_import SET format = format - 'samples' WHERE workspace_id = %s"
        " AND state IN ('done', 'undone') AND format ? 'samples'",
        [workspace_id],
    )
    found = said(workspace_id, contact_id)
    for one in found:
        together = one.patterns()
        hers = "NOT EXISTS (SELECT FROM unnest(%s::text[]) AS word WHERE lower({}) !~ word)"
        for table in ("contacts_bulk_act", "contacts_export"):
            where = hers.format("chosen ->> 'text'")
            execute(
                f"UPDATE {table} SET chosen = jsonb_set(chosen, '{{text}}', to_jsonb(%s::text))"
                f" WHERE workspace_id = %s AND chosen ? 'text' AND {where}",
                [_NOBODY, workspace_id, together],
            )
        called = () if one.kind == "number" else _NAMES
        for table, name in called:
            execute(
                f"UPDATE {table} SET {name} = %s WHERE workspace_id = %s AND {hers.format(name)}",
                [_NOBODY, workspace_id, together],
            )
    _forget_views(workspace_id, found)


def _forget_views(workspace_id: int, hers: list[Said]) -> None:
    """A view's filter is kept as the address of its page: every letter beyond ASCII in octets."""
    for view in SavedView.objects.filter(workspace_id=workspace_id).iterator():
        text = unquote_plus(view.query).lower()
        if any(one.stands_in(text) for one in hers):
            view.delete()


def said(workspace_id: int, contact_id: int) -> list[Said]:
    """What she is called here: her addresses, numbers, and her whole name."""
    found = (
        Contact.objects.filter(workspace_id=workspace_id, pk=contact_id).values("email", "email_key", "props").first()
    )
    if found is None:
        return []
    numbers = Identifier.objects.filter(workspace_id=workspace_id, contact_id=contact_id).values_list(
        "value", flat=True
    )
    name = [str(sealing.opened(workspace_id, found["props"].get(key)) or "") for key in ("first_name", "last_name")]
    hers = [Said((one.strip().lower(),), "address") for one in (found["email_key"], found["email"])]
    hers += [Said((one.strip().lower(),), "number") for one in numbers if len(one.strip()) >= _SHORT]
    if all(name) and sum(map(len, name)) >= _SHORT:
        hers.append(Said(tuple(word.strip().lower() for word in name), "name"))
    return list(dict.fromkeys(hers))
