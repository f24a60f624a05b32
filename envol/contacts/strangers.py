"""People whom a single message goes to, and who are no contacts yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from envol.consent import suppression
from envol.contacts import masks
from envol.contacts.models import Contact
from envol.db import rows


class Giver(Protocol):
    """By whom people come; asked when there is somebody new."""

    @property
    def source_id(self) -> int:
        """The number of their source."""
        ...

    def met(self, contact_ids: Sequence[int]) -> None:
        """These are new, in the caller's transaction."""
        ...


def meet(workspace_id: int, addresses: Mapping[str, str], givers: Mapping[str, Giver]) -> dict[str, int]:
    """Contacts of these (normalised → as written), by normalised address; made where there was none, without any
    permission. Whoever was erased is not taken in again, and is absent. ``givers``: by normalised
    address, by whom it came.

    One query where all are known, in the caller's transaction.
    """
    known = Contact.objects.filter(workspace_id=workspace_id, email_key__in=addresses)
    found = dict(known.values_list("email_key", "pk"))
    new = sorted(key for key in addresses if key not in found)  # in one order: two calls cannot block each other
    if not new:
        return found
    blocked = suppression.lookup(workspace_id, new)
    new = [key for key in new if key not in blocked or not blocked[key].erased]
    made = rows(
        "INSERT INTO contacts_contact (workspace_id, email, email_key, source_id)"
        " SELECT %s, e, k, s FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS n (e, k, s)"
        " ON CONFLICT (workspace_id, email_key) DO NOTHING RETURNING email_key, id",
        [workspace_id, [addresses[key] for key in new], new, [givers[key].source_id for key in new]],
    )
    if refused := [key for key in new if key in blocked]:
        masks.project_suppression(workspace_id, refused)
    came: dict[Giver, list[int]] = {}
    for key, pk in made:
        came.setdefault(givers[key], []).append(pk)
    for giver, them in came.items():
        giver.met(them)
    found |= dict(made)
    late = [key for key in new if key not in found]
    if late:  # somebody else met them between our two statements
        found |= dict(
            Contact.objects.filter(workspace_id=workspace_id, email_key__in=late).values_list("email_key", "pk")
        )
    return found
