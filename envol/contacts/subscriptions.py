"""Lists as programs see them: somebody is on a list, on it and unsubscribed, or not on it.

Each pair of list and person has at most one row that stands for it (`listed`): her open stay, or the last one when it
ended by unsubscribing. Segments and campaigns see open stays alone, so whoever is unsubscribed gets nothing from it.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from envol.contacts import people
from envol.contacts.models import Contact, List, Membership, Source
from envol.db import execute
from envol.events import NewEvent, record
from envol.events.models import Kind


def listed(workspace_id: int) -> QuerySet[Membership]:
    """The rows that stand for their pair, of lists that are there."""
    later = Membership.objects.filter(contact_id=OuterRef("contact_id"), list_id=OuterRef("list_id")).filter(
        Q(since__gt=OuterRef("since")) | Q(since=OuterRef("since"), id__gt=OuterRef("id"))
    )
    there = List.objects.filter(pk=OuterRef("list_id"))
    rows = Membership.objects.filter(Q(until=None) | Q(unsubscribed=True), workspace_id=workspace_id)
    return rows.filter(~Exists(later), Exists(there))


def row_of(list: List, contact: Contact) -> Membership | None:
    """What stands for this pair."""
    return listed(contact.workspace_id).filter(list_id=list.pk, contact_id=contact.pk).first()


def unsubscribe(list: List, contact: Contact, source: Source | None = None) -> bool:
    """On the list, and nothing more from it; False when it is so already. Says nothing of other lists."""
    with transaction.atomic():
        if (row := row_of(list, contact)) is not None and row.until is not None:
            return False
        if row is None:
            execute(
                "INSERT INTO contacts_membership (workspace_id, list_id, contact_id, since, until, source_id,"
                " unsubscribed) VALUES (%s, %s, %s, now(), now(), %s, true)",
                [contact.workspace_id, list.pk, contact.pk, source.pk if source else None],
            )
            return True
        execute(
            "UPDATE contacts_membership SET until = greatest(since, now()), unsubscribed = true"
            " WHERE list_id = %s AND contact_id = %s AND until IS NULL",
            [list.pk, contact.pk],
        )
        facts = {"list": list.pk, "unsubscribed": True}
        record([NewEvent(contact.workspace_id, Kind.LIST_LEFT, contact.pk, facts=facts)])
    return True


def take_off(list: List, contact: Contact) -> bool:
    """Not on the list any more, in whatever way she was on it."""
    with transaction.atomic():
        left = people.leave(list, contact)
        forgotten = execute(
            "UPDATE contacts_membership SET unsubscribed = false WHERE list_id = %s AND contact_id = %s"
            " AND unsubscribed",
            [list.pk, contact.pk],
        )
    return left or bool(forgotten)


def act(list: List, contact: Contact, action: str, source: Source | None = None) -> bool:
    """``addforce``: on it, also after she left; ``addnoforce``: unless she is unsubscribed; ``unsub``; ``remove``.

    True when something changed.
    """
    if action == "remove":
        return take_off(list, contact)
    if action == "unsub":
        return unsubscribe(list, contact, source)
    row = row_of(list, contact)
    if row is not None and (row.until is None or action == "addnoforce"):
        return False
    return people.join(list, contact, source)


_PEOPLE = (
    "SELECT c.id FROM contacts_contact c WHERE c.workspace_id = %(workspace)s AND c.email_key = ANY(%(keys)s)"
    " ORDER BY c.id"
)


def join_many(list: List, email_keys: Sequence[str], source_id: int) -> int:
    """Put people who are here on a list; how many came. Whoever left it stays off, as for an import (import_join)."""
    return execute(
        "INSERT INTO contacts_membership (workspace_id, list_id, contact_id, source_id)"
        f" SELECT %(workspace)s, %(list)s, p.id, %(source)s FROM ({_PEOPLE}) p WHERE NOT EXISTS ("
        " SELECT FROM contacts_membership s LEFT JOIN contacts_source o ON o.id = s.source_id"
        " LEFT JOIN contacts_import i ON i.id = o.import_id"
        " WHERE s.list_id = %(list)s AND s.contact_id = p.id"
        " AND (s.until IS NULL OR i.state IS DISTINCT FROM 'undone')) ON CONFLICT DO NOTHING",
        {"workspace": list.workspace_id, "list": list.pk, "keys": [*email_keys], "source": source_id},
    )


def unsubscribe_many(list: List, email_keys: Sequence[str], source_id: int) -> int:
    """`unsubscribe` of many people who are here: whoever is on the list gets nothing more from it; how many changed."""
    given = {"workspace": list.workspace_id, "list": list.pk, "keys": [*email_keys], "source": source_id}
    with transaction.atomic():
        ended = execute(
            "UPDATE contacts_membership m SET until = greatest(m.since, now()), unsubscribed = true"
            f" FROM ({_PEOPLE}) p WHERE m.list_id = %(list)s AND m.contact_id = p.id AND m.until IS NULL",
            given,
        )
        return ended + execute(
            "INSERT INTO contacts_membership (workspace_id, list_id, contact_id, since, until, source_id, unsubscribed)"
            f" SELECT %(workspace)s, %(list)s, p.id, now(), now(), %(source)s, true FROM ({_PEOPLE}) p"
            " WHERE NOT EXISTS (SELECT FROM contacts_membership s"
            " WHERE s.list_id = %(list)s AND s.contact_id = p.id AND s.unsubscribed)",
            given,
        )


def rejoin_many(list: List, email_keys: Sequence[str], source_id: int) -> int:
    """``addforce`` of many people who are here: on the list, also after they left it; how many came."""
    return execute(
        "INSERT INTO contacts_membership (workspace_id, list_id, contact_id, source_id)"
        f" SELECT %(workspace)s, %(list)s, p.id, %(source)s FROM ({_PEOPLE}) p"
        " ON CONFLICT (list_id, contact_id) WHERE until IS NULL DO NOTHING",
        {"workspace": list.workspace_id, "list": list.pk, "keys": [*email_keys], "source": source_id},
    )


def take_off_many(list: List, email_keys: Sequence[str]) -> int:
    """`take_off` of many people who are here; how many rows that was."""
    return execute(
        "UPDATE contacts_membership m SET until = coalesce(m.until, greatest(m.since, now())), unsubscribed = false"
        f" FROM ({_PEOPLE}) p WHERE m.list_id = %(list)s AND m.contact_id = p.id"
        " AND (m.until IS NULL OR m.unsubscribed)",
        {"workspace": list.workspace_id, "list": list.pk, "keys": [*email_keys]},
    )
