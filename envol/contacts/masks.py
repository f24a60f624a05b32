"""The projections of consent on the contact row: five columns that every sending reads anyway.

Written in the transaction that changes the ledger or the suppression list; `rebuild_masks` makes
them again from their sources and says how many were wrong (none, or it is a bug).
"""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from envol.accounts.models import Workspace
from envol.consent import gates, ledger, requests, restriction, silence, suppression
from envol.consent.purposes import MEASURE_CLICKS, MEASURE_OPENS, UNPROFILED
from envol.contacts import beyond
from envol.contacts.models import Contact
from envol.db import execute, rows, sql

_BATCH = 5_000
_MEASURING = 1 << MEASURE_OPENS | 1 << MEASURE_CLICKS


def project_answers(workspace_id: int, contact_ids: Sequence[int]) -> None:
    """``allowed`` and ``refused`` of these people, from their present answers."""
    _answers(workspace_id, list(contact_ids))


def _answers(workspace_id: int, contact_ids: list[int] | None) -> int:
    return execute(
        "UPDATE contacts_contact c SET allowed = n.allowed, refused = n.refused FROM ("
        "  SELECT k.id, CASE WHEN r.is THEN 0 ELSE coalesce(m.allowed, 0) END AS allowed,"
        f"  coalesce(m.refused, 0) | CASE WHEN r.is THEN {_MEASURING} ELSE 0 END"
        f"   | CASE WHEN r.unprofiled THEN {1 << UNPROFILED} ELSE 0 END AS refused"
        f"   FROM contacts_contact k LEFT JOIN ({sql('consent', 'masks')}) m ON m.contact_id = k.id"
        f"   CROSS JOIN LATERAL (SELECT {restriction.OPEN_SQL.format('k')} AS is,"
        f"    {restriction.UNPROFILED_SQL.format('k')} OR {_minor('k', workspace_id)} AS unprofiled) r"
        "   WHERE k.workspace_id = %(workspace)s"
        "     AND (%(contacts)s::bigint[] IS NULL OR k.id = ANY(%(contacts)s))) n"
        " WHERE c.id = n.id AND (c.allowed, c.refused) IS DISTINCT FROM (n.allowed, n.refused)",
        {"workspace": workspace_id, "contacts": contact_ids},
    )


def _minor(alias: str, workspace_id: int) -> str:
    """Her birthday begins where the organisation is, whatever day it is in UTC."""
    zone = Workspace.objects.values_list("time_zone", flat=True).get(pk=workspace_id)
    return beyond.minor_sql(alias, timezone.now().astimezone(ZoneInfo(zone)).date())


def project_ages(workspace_id: int, contact_ids: Sequence[int] | None = None) -> int:
    """Whoever says that she is not of age is not profiled, until her birthday; how many rows changed.

    Days change it and so do new birth dates, which no answer of hers announces: asked by whatever works something out
    of people's reading and buying, before it does.
    """
    bit = 1 << UNPROFILED
    return execute(
        f"UPDATE contacts_contact c SET refused = c.refused # {bit}::bigint WHERE c.workspace_id = %(workspace)s"
        " AND (%(contacts)s::bigint[] IS NULL OR c.id = ANY(%(contacts)s))"
        f" AND (c.refused & {bit} <> 0) <> ({_minor('c', workspace_id)}"
        f" OR c.refused & {bit} <> 0 AND {restriction.UNPROFILED_SQL.format('c')})",
        {"workspace": workspace_id, "contacts": None if contact_ids is None else list(contact_ids)},
    )


def project_suppression(workspace_id: int, email_keys: Sequence[str]) -> None:
    """``suppressed`` and ``objected`` of the people at these addresses, from the digests."""
    _suppression(workspace_id, list(email_keys))


def _suppression(workspace_id: int, keys: list[str]) -> int:
    found = suppression.lookup(workspace_id, keys)
    suppressed = [key in found and found[key].scope == "all" for key in keys]
    objected = [key in found and found[key].objected for key in keys]
    return execute(
        "UPDATE contacts_contact c SET suppressed = n.suppressed OR r.is, objected = n.objected"
        " FROM unnest(%s::text[], %s::boolean[], %s::boolean[]) AS n (email_key, suppressed, objected)"
        " JOIN contacts_contact k ON k.workspace_id = %s AND k.email_key = n.email_key"
        f" CROSS JOIN LATERAL (SELECT {restriction.OPEN_SQL.format('k')} AS is) r"
        " WHERE c.id = k.id AND c.workspace_id = %s AND c.email_key = n.email_key"
        " AND (c.suppressed, c.objected) IS DISTINCT FROM (n.suppressed OR r.is, n.objected)",
        [keys, suppressed, objected, workspace_id, workspace_id],
    )


def project_silence(workspace_id: int, contact_ids: Sequence[int]) -> None:
    """``silenced`` of these people."""
    _silenced(workspace_id, silence.open_among(workspace_id, contact_ids), list(contact_ids))


def _silenced(workspace_id: int, now: set[int], among: list[int] | None = None) -> int:
    return execute(
        "UPDATE contacts_contact c SET silenced = NOT c.silenced WHERE c.workspace_id = %(workspace)s"
        " AND (%(among)s::bigint[] IS NULL OR c.id = ANY(%(among)s)) AND (c.silenced OR c.id = ANY(%(now)s))"
        " AND c.silenced <> (c.id = ANY(%(now)s::bigint[]))",
        {"workspace": workspace_id, "among": among, "now": sorted(now)},
    )


def project_restriction(workspace_id: int, contact_ids: Sequence[int]) -> None:
    """Whose data are not to be used: nothing allowed, nothing measured, nothing sent; and back when it ends."""
    project_answers(workspace_id, contact_ids)
    people = Contact.objects.filter(workspace_id=workspace_id, pk__in=list(contact_ids))
    project_suppression(workspace_id, list(people.values_list("email_key", flat=True)))


def _person(workspace_id: int, email_key: str) -> requests.Person | None:
    found = Contact.objects.filter(workspace_id=workspace_id, email_key=email_key).first()
    return requests.Person(found.pk, found.email, found.email_key, found.created_at) if found else None


def rebuild_masks(workspace: Workspace | int) -> int:
    """Compute all five columns again for a whole workspace; how many rows were not as they should be.

    In batches, each a transaction of its own: nobody's answer waits longer than one takes.
    """
    workspace_id = workspace if isinstance(workspace, int) else workspace.id
    wrong = last = 0
    while batch := rows(
        "SELECT id, email_key FROM contacts_contact WHERE workspace_id = %s AND id > %s ORDER BY id LIMIT %s",
        [workspace_id, last, _BATCH],
    ):
        ids, keys = [row[0] for row in batch], [row[1] for row in batch]
        with transaction.atomic():
            ledger.lock(workspace_id)  # no answer may change between reading and writing
            project_ages(workspace_id, ids)  # that somebody has her birthday is no bug
            wrong += _answers(workspace_id, ids)
            wrong += _silenced(workspace_id, silence.open_among(workspace_id, ids), ids)
            wrong += _suppression(workspace_id, keys)
        last = ids[-1]
    return wrong


def _on_the_list(workspace_id: int) -> list[str]:
    flagged = Contact.objects.filter(Q(suppressed=True) | Q(objected=True), workspace_id=workspace_id)
    return list(flagged.values_list("email_key", flat=True))


def register() -> None:
    ledger.on_change(project_answers)
    suppression.on_change(project_suppression)
    suppression.known_by(_on_the_list)
    silence.on_change(project_silence)
    restriction.on_change(project_restriction)
    requests.recognise_by(_person)
    gates.beyond(beyond.reason_of)
