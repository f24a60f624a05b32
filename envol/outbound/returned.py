"""What comes back: bounces and complaints, believed by our own signed addresses alone.

A bounce comes to the reverse-path of one recipient of one sending (`content.links.return_path`); who it speaks of
stands in that address, not in the words of the mail. A complaint (RFC 5965) comes to ``fbl@`` one of our domains and
names a message of ours by its Message-ID or reverse-path. Mail without such a mark suppresses nobody.
Mail for ``postmaster@`` and ``abuse@`` (RFC 2142) is kept for people to read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from django.db import connection, transaction

from envol import db, disk
from envol.consent import suppression
from envol.content import links
from envol.events.models import Kind
from envol.events.writing import NewEvent, record
from envol.outbound import settle
from envol.outbound.capture import subject_of
from envol.outbound.models import Captured, Domain
from envol.wire.address import AddressError, domain_of, normalise
from envol.wire.bounce import Explanation, Recipient, explain

COMPLAINTS = "fbl"
FOR_PEOPLE = frozenset({"postmaster", "abuse"})
# Classes of returned mail that speak of the address → cause of a refusal (`outbound.settle.judge`).
_OF_ADDRESS = {
    "user_unknown": "unknown_user",
    "host_unknown": "unknown_domain",
    "mailbox_disabled": "mailbox_disabled",
    "mailbox_full": "mailbox_full",
}


class Returned(NamedTuple):
    """One message for one of our addresses."""

    recipient: str
    raw: bytes


def is_ours(recipient: str) -> bool:
    """Do we take mail for this address? A signed reverse-path of ours, or a service address of a declared domain."""
    if links.read_return_path(recipient) is not None:
        return True
    local = recipient.partition("@")[0].lower()
    return (local == COMPLAINTS or local in FOR_PEOPLE) and _domain(recipient) is not None


def _domain(recipient: str) -> Domain | None:
    return Domain.objects.filter(name=domain_of(recipient)).order_by("-passed_at", "id").first()


def take(batch: Sequence[Returned]) -> list[str]:
    """Take a batch durably; what each was: its type (`wire.bounce`), or ``kept``.

    Raises `disk.Full` and database errors: then nothing of the batch was taken.
    """
    disk.refuse_when_full()
    read = [(one, None if _for_people(one) else explain(one.raw)) for one in batch]
    with transaction.atomic(durable=not connection.in_atomic_block):
        return [_take(one, found) for one, found in read]


def _for_people(one: Returned) -> bool:
    return one.recipient.partition("@")[0].lower() in FOR_PEOPLE


def _take(one: Returned, found: Explanation | None) -> str:
    if found is None:
        domain = _domain(one.recipient)
        Captured.objects.create(
            workspace_id=domain.workspace_id if domain else None,
            envelope_from="",
            envelope_to=[one.recipient],
            subject=subject_of(one.raw),
            raw=one.raw,
        )
        return "kept"
    target = links.read_return_path(one.recipient)
    if found.type == "feedback":
        target = target or next(filter(None, map(_marked, found.marks)), None)
    if target is None or target.no is None or found.type not in ("bounce", "feedback"):
        return found.type
    row = db.rows(
        "SELECT x.workspace_id, s.address, s.contact_id FROM outbound_send AS s JOIN outbound_sending AS x"
        " ON x.id = s.sending_id WHERE s.sending_id = %s AND s.no = %s",
        [target.sending_id, target.no],
    )
    if row:
        workspace_id, address, contact_id = row[0]
        act = _bounced if found.type == "bounce" else _complained
        act(workspace_id, address, contact_id, target.sending_id, target.no, found)
    return found.type


def _marked(mark: str) -> links.Target | None:
    return links.read_message_id(mark) or links.read_return_path(mark.strip("<> \t"))


def _bounced(
    workspace_id: int, address: str, contact_id: int | None, sending_id: int, no: int, found: Explanation
) -> None:
    said = _about(found.recipients, address)
    if said is None or not _first(Kind.BOUNCED, workspace_id, contact_id, sending_id, no, _facts(said, address)):
        return
    cause = _OF_ADDRESS.get(said.kind, "")
    # What failed behind a forward is another mailbox than the one we wrote to.
    if cause and (said.hard or cause == "mailbox_full") and _same(said.recipient, address):
        settle.judge(workspace_id, normalise(address).key, cause, sending_id, no)


def _complained(
    workspace_id: int, address: str, contact_id: int | None, sending_id: int, no: int, found: Explanation
) -> None:
    hard = any(one.hard for one in found.recipients) or not found.recipients
    if not hard or not _first(Kind.COMPLAINED, workspace_id, contact_id, sending_id, no, {"by": "report"}):
        return
    suppression.add(workspace_id, normalise(address).key, "marketing", "complaint", f"report on {sending_id}/{no}")


def _about(recipients: Sequence[Recipient], address: str) -> Recipient | None:
    """What is said of this address; when it was forwarded, of whoever failed, the mildest."""
    failed = [one for one in recipients if one.action not in ("delivered", "retry", "throttle")] or list(recipients)
    mine = [one for one in failed if _same(one.recipient, address)]
    return next(iter(mine or sorted(failed, key=lambda one: one.hard)), None)


def _same(one: str, other: str) -> bool:
    try:
        return normalise(one).key == normalise(other).key
    except AddressError:
        return False


def _facts(said: Recipient, address: str) -> dict[str, object]:
    text = re.sub(r"[^\s<>@]{1,64}@[^\s<>]{1,255}", "<address>", said.text)
    return {"late": True, "class": said.kind, "status": said.status, "reply": text[:300]}


def _first(
    kind: Kind, workspace_id: int, contact_id: int | None, sending_id: int, no: int, facts: dict[str, object]
) -> bool:
    """Write it down, unless it was known: reports come twice."""
    known = db.value(
        "SELECT EXISTS (SELECT FROM events_event WHERE sending_id = %s AND kind = %s AND workspace_id = %s"
        " AND (facts ->> 'no')::bigint = %s)",
        [sending_id, int(kind), workspace_id, no],
    )
    if known:
        return False
    record([NewEvent(workspace_id, kind, contact_id, sending_id, facts={**facts, "no": no})])
    return True
