"""Erasing again, after a restore, whoever the journal of erasures names (`envol.consent.erasures`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from envol.accounts.models import Workspace
from envol.consent import registry, suppression
from envol.consent.erasures import Entry
from envol.consent.models import Erasure
from envol.contacts.models import Contact

_BATCH = 20_000


def replay(entries: Sequence[Entry], backup_at: datetime) -> int:
    """Erase again; how many people. ``backup_at``: what the database knows is from then.

    Who came back by her own act after she was erased stays: her row is younger than the line of the journal.
    """
    # The numbers of transactions begin anew in a new cluster, and no copy of this one exists yet.
    Erasure.objects.filter(certified_at=None).update(stamp=0)
    done = 0
    for workspace in Workspace.objects.filter(pk__in={one.workspace for one in entries}):
        mine = [one for one in entries if one.workspace == workspace.pk]
        for contact, entry in _found(workspace.pk, mine):
            registry.erase_person(
                workspace.pk, contact.pk, contact.email_key, cause=f"after a restore: {entry.cause}", actor="command",
                again=entry,
            )  # fmt: skip
            done += 1
        with transaction.atomic():
            for one in mine:
                # What the backup knows already stands there, unless she took it back herself since.
                if one.moment >= backup_at:
                    suppression.add_erased(
                        workspace.pk, bytes.fromhex(one.digest), "erased before a restore", one.moment
                    )
    return done


def _found(workspace_id: int, entries: Sequence[Entry]) -> list[tuple[Contact, Entry]]:
    by_digest: dict[bytes, Entry] = {}
    by_row = {(one.contact, one.born): one for one in entries if one.born}
    for one in entries:  # the oldest first: the newest line counts
        by_digest[bytes.fromhex(one.digest)] = one
    found, last = [], 0
    while people := list(Contact.objects.filter(workspace_id=workspace_id, pk__gt=last).order_by("pk")[:_BATCH]):
        digests = suppression.digest_many(workspace_id, [person.email_key for person in people])
        for person, digest in zip(people, digests, strict=True):
            entry = by_row.get((person.pk, person.created_at.isoformat())) or by_digest.get(digest)
            if entry is not None and person.created_at <= entry.moment:
                found.append((person, entry))
        last = people[-1].pk
    return found
