"""Finding people by any part of an address or a name, page by page."""

from __future__ import annotations

from typing import Any, NamedTuple

from envol.accounts.models import Workspace
from envol.contacts.models import Contact
from envol.db import rows, value

_NAME = "c.email_key || ' ' || coalesce(c.props->>'first_name', '') || ' ' || coalesce(c.props->>'last_name', '')"


class Page(NamedTuple):
    """``next`` is what to give as ``after`` for the page that follows; None on the last."""

    contacts: list[Contact]
    next: str | None


def search(
    workspace: Workspace | int,
    text: str = "",
    *,
    list_id: int | None = None,
    tag: str | None = None,
    after: str = "",
    limit: int = 50,
) -> Page:
    """People of whom every word of ``text`` occurs in address or name, or whose other name it is exactly.

    In the order of addresses, by keyset: a page costs the same however far it lies, and nobody is
    skipped or shown twice when people arrive in between.
    """
    where, params = _where(workspace, text, list_id, tag)
    found = [
        row_id
        for (row_id,) in rows(
            f"SELECT c.id FROM contacts_contact c WHERE {where} AND c.email_key > %(after)s"
            " ORDER BY c.workspace_id, c.email_key LIMIT %(limit)s",
            params | {"after": after, "limit": limit + 1},
        )
    ]
    contacts = Contact.objects.in_bulk(found[:limit])
    page = [contacts[row_id] for row_id in found[:limit] if row_id in contacts]
    return Page(page, page[-1].email_key if len(found) > limit and page else None)


def count(workspace: Workspace | int, text: str = "", *, list_id: int | None = None, tag: str | None = None) -> int:
    where, params = _where(workspace, text, list_id, tag)
    return int(value(f"SELECT count(*) FROM contacts_contact c WHERE {where}", params))


def _where(workspace: Workspace | int, text: str, list_id: int | None, tag: str | None) -> tuple[str, dict[str, Any]]:
    params: dict[str, Any] = {"w": workspace if isinstance(workspace, int) else workspace.id}
    where = ["c.workspace_id = %(w)s"]
    if words := text.replace("\0", "").split()[:8]:
        every = []
        for i, word in enumerate(words):
            params[f"word{i}"] = "%" + word.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
            every.append(f"({_NAME}) ILIKE %(word{i})s")
        params["whole"] = text.replace("\0", "").strip()
        where.append(
            f"(({' AND '.join(every)}) OR c.id IN (SELECT i.contact_id FROM contacts_identifier i"
            " WHERE i.workspace_id = %(w)s AND i.value = %(whole)s))"
        )
    if list_id is not None:
        params["list"] = list_id
        where.append(
            "EXISTS (SELECT 1 FROM contacts_membership m WHERE m.list_id = %(list)s AND m.contact_id = c.id"
            " AND m.until IS NULL)"
        )
    if tag is not None:
        params["tag"] = tag
        where.append("c.tags ? %(tag)s")
    return " AND ".join(where), params
