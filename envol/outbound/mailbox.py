"""Mail that people write to us: kept for a while for the page /inbox, and replies passed on to who reads them.

Replies to campaigns come to ``replies@`` the return host when the domain says where they go on to. Machines that answer
are not people (RFC 3834) and go no further. What is kept is bounded, by time, number and size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import structlog
from django.db.models.functions import Now

from envol import db
from envol.consent import requests
from envol.content import links
from envol.events.models import Kind
from envol.events.writing import NewEvent, record
from envol.outbound.accept import Outgoing, Refused, accept_messages
from envol.outbound.capture import subject_of
from envol.outbound.models import Captured, CapturedKind, Domain, Send, Sending
from envol.outbound.records import return_host
from envol.wire.address import AddressError
from envol.wire.bounce import Explanation
from envol.wire.message.headers import Mailbox
from envol.wire.message.passed_on import Unreadable, author_of, fields_of, pass_on, value_of

log = structlog.get_logger()
REPLIES = "replies"
PRIVACY = "privacy"
PEOPLE = frozenset({"postmaster", "abuse"})  # RFC 2142
KEPT_DAYS, KEPT_NUMBER, KEPT_OCTETS = 90, 5000, 512 << 20  # of one workspace and kind
FORWARDS_AN_HOUR = 200
"""Beyond it somebody floods us: what comes is kept, and fills nobody's mailbox."""


def keep(domain: Domain | None, recipient: str, raw: bytes, kind: str, **more: Any) -> Captured:
    author = author_of(fields_of(raw))
    return Captured.objects.create(
        workspace_id=domain.workspace_id if domain else None,
        kind=kind,
        envelope_from=author.address if author else "",
        envelope_to=[recipient],
        subject=subject_of(raw),
        raw=raw,
        **more,
    )


_ASKED = {
    "erasure": ("effac", "supprim", "oubli", "erase", "delete", "forget"),
    "rectification": ("rectifi", "corrig", "correct"),
    "portability": ("portab",),
    "restriction": ("limit", "restrict"),
    "review": ("automatis", "automated", "human", "humain"),
    "objection": ("oppos", "prospection", "object", "marketing"),
}


def take_request(domain: Domain, recipient: str, raw: bytes, found: Explanation) -> str:
    """Somebody asks about her data by mail: a link goes to the address she wrote from, and proves it (GDPR art. 12(6)).

    What is asked for is guessed from the subject; else it is to see the data. The mail itself is kept for people.
    """
    if found.type != "not_bounce":
        return found.type
    author, subject = author_of(fields_of(raw)), subject_of(raw)
    keep(domain, recipient, raw, CapturedKind.PEOPLE)
    said = subject.lower()
    kind = next((kind for kind, marks in _ASKED.items() if any(mark in said for mark in marks)), "access")
    try:
        requests.receive(
            domain.workspace, kind, author.address if author else "", channel="mail",
            language=domain.workspace.language, words=subject or kind,
        )  # fmt: skip
    except (AddressError, requests.Refusal) as error:
        log.info("a request by mail names nobody to answer", workspace=domain.workspace_id, why=str(error))
        return "kept"
    return "request"


def take_reply(domain: Domain, recipient: str, raw: bytes, found: Explanation) -> str:
    """Keep a reply and pass it on; what a machine wrote is named and dropped."""
    fields = fields_of(raw)
    home = return_host(domain.name)
    if found.type != "not_bounce":
        return found.type
    if any(value_of(fields, name) == f"{REPLIES}@{home}" for name in (b"x-loop", b"delivered-to")):
        return "loop"
    answered = next(filter(None, map(links.read_message_id, _thread(fields))), None)
    sending = Sending.objects.filter(
        id=answered.sending_id if answered else 0, workspace_id=domain.workspace_id
    ).first()
    contact_id = None
    if sending is not None and answered is not None and answered.no is not None:
        send = Send.objects.filter(sending_id=sending.pk, no=answered.no).first()
        contact_id = send.contact_id if send else None
    kept = keep(
        domain,
        recipient,
        raw,
        CapturedKind.REPLY,
        contact_id=contact_id,
        sending_id=sending.pk if sending else None,
    )
    if sending is not None and contact_id is not None:
        _replied(sending, contact_id)
    if domain.replies_to and _forward(domain, raw, fields):
        Captured.objects.filter(pk=kept.pk).update(forwarded_at=Now())
        return "reply passed on"
    return "reply"


def _replied(sending: Sending, contact_id: int) -> None:
    """She answered this sending: once, however long the conversation grows."""
    known = "SELECT EXISTS (SELECT FROM events_event WHERE sending_id = %s AND kind = %s AND contact_id = %s)"
    if not db.value(known, [sending.pk, int(Kind.REPLIED), contact_id]):
        record([NewEvent(sending.workspace_id, Kind.REPLIED, contact_id, sending.pk)])


def _thread(fields: list[tuple[bytes, bytes]]) -> Iterator[str]:
    for name in (b"in-reply-to", b"references"):
        yield from reversed(value_of(fields, name)[:10_000].split())


def _forward(domain: Domain, raw: bytes, fields: list[tuple[bytes, bytes]]) -> bool:
    author = author_of(fields)
    lately = Captured.objects.filter(
        workspace_id=domain.workspace_id, kind=CapturedKind.REPLY, forwarded_at__gt=_an_hour_ago()
    ).count()
    if author is None or lately >= FORWARDS_AN_HOUR:
        return False
    mine = f"{REPLIES}@{domain.name}"
    name = author.name or author.address.partition("@")[0]
    try:
        passed = pass_on(
            raw,
            sender=Mailbox(f"{name} – {domain.workspace.title}", mine),
            to=[Mailbox("", domain.replies_to)],
            reply_to=[author],
            extra=[("X-Loop", f"{REPLIES}@{return_host(domain.name)}")],
        )
        accept_messages(
            [
                Outgoing(
                    domain.workspace_id,
                    (name, mine),
                    [("", domain.replies_to)],
                    subject=subject_of(raw),
                    raw=passed,
                    facts={"by": "reply"},
                )
            ]
        )
    except (Unreadable, Refused, ValueError) as error:
        log.warning("a reply was kept and not passed on", workspace=domain.workspace_id, why=str(error))
        return False
    return True


def _an_hour_ago() -> Any:
    from datetime import timedelta

    return Now() - timedelta(hours=1)


def forget_old() -> int:
    """Delete what has been kept long enough, or is beyond the room that a workspace has; how many."""
    return db.execute(
        "DELETE FROM outbound_captured c USING (SELECT id, received_at,"
        "  row_number() OVER newest AS n, sum(octet_length(raw)) OVER newest AS octets FROM outbound_captured"
        "  WHERE kind <> 'captured' WINDOW newest AS (PARTITION BY workspace_id, kind ORDER BY id DESC)) k"
        " WHERE k.id = c.id AND (k.received_at < now() - make_interval(days => %s) OR k.n > %s OR k.octets > %s)",
        [KEPT_DAYS, KEPT_NUMBER, KEPT_OCTETS],
    )
