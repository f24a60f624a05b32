"""What comes back: bounces and complaints, believed by our own signed addresses alone.

A bounce comes to the reverse-path of one recipient of one sending (`content.links.return_path`); who it speaks of
stands in that address, not in the words of the mail. A complaint (RFC 5965) comes to ``fbl@`` one of our domains and
names a message of ours by its Message-ID, CFBL-Feedback-ID (RFC 9477) or reverse-path. Mail without such a mark
suppresses nobody. A mail to a signed address of List-Unsubscribe is somebody who leaves. Mail for ``postmaster@`` and
``abuse@`` (RFC 2142) and replies are kept for people to read (`outbound.mailbox`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from django.db import connection, transaction

from envol import db, disk
from envol.consent import suppression
from envol.consent.models import Purpose
from envol.contacts.models import Contact
from envol.content import links
from envol.events import outbox
from envol.events.models import Endpoint, Kind
from envol.events.writing import NewEvent, record
from envol.outbound import (
    domain_reports,
    domains,
    leaving,
    list_commands,
    mailbox,
    mailing,
    notices,
    rolls,
    settle,
    shaping,
)
from envol.outbound.models import CapturedKind, Send, Sending
from envol.outbound.sites import site_of
from envol.wire.address import AddressError, domain_of, normalise
from envol.wire.bounce import Explanation, Recipient, explain

COMPLAINTS = links.COMPLAINTS
# Classes of returned mail that speak of the address → cause of a refusal (`outbound.settle.judge`).
_OF_ADDRESS = {
    "user_unknown": "unknown_user",
    "host_unknown": "unknown_domain",
    "mailbox_disabled": "mailbox_disabled",
    "mailbox_full": "mailbox_full",
}


_SERVICES = frozenset({COMPLAINTS, mailbox.REPLIES, mailbox.PRIVACY, *domain_reports.LOCAL_PARTS}) | mailbox.PEOPLE


class Returned(NamedTuple):
    """One message for one of our addresses."""

    recipient: str
    raw: bytes
    sender: str = ""  # of the envelope


def is_ours(recipient: str) -> bool:
    """Do we take mail for this address? A signed address of ours, or a service address of a declared domain."""
    if links.read_return_path(recipient) is not None or links.read_unsubscribe_address(recipient) is not None:
        return True
    local = _local(recipient)
    if local not in _SERVICES:
        to_list = mailing.found_by(recipient) is not None or list_commands.of(recipient) is not None
        return to_list or route_of(recipient) is not None
    domain = domains.at_host(domain_of(recipient))
    return domain is not None and (local != mailbox.REPLIES or bool(domain.replies_to))


def route_of(recipient: str) -> Endpoint | None:
    """The program that mail for this address is handed to, where its domain is of its workspace still."""
    found = Endpoint.objects.filter(form="parse", address=recipient.lower()).first()
    if found is None:
        return None
    domain = domains.at_host(domain_of(recipient))
    return found if domain is not None and domain.workspace_id == found.workspace_id else None


def _local(recipient: str) -> str:
    return recipient.partition("@")[0].lower()


def take(batch: Sequence[Returned]) -> list[str]:
    """Take a batch durably; what each was: its type (`wire.bounce`), ``kept``, or, behind `mailing.REFUSED`, a sentence
    for its author's server.

    Raises `disk.Full` and database errors: then nothing of the batch was taken.
    """
    disk.refuse_when_full()
    read = [(one, explain(one.raw), _reports(one), _proven(one)) for one in batch]
    with transaction.atomic(durable=not connection.in_atomic_block):
        taken = [_take(*found) for found in read]
    rolls.flush_if_due()
    return taken


def _proven(one: Returned) -> bool:
    """Is it somebody's own word, to a list or about it? Asks DNS."""
    return mailing.proven(one.recipient, one.raw) or list_commands.proven(one.recipient, one.raw)


def _reports(one: Returned) -> list[domain_reports.Read]:
    """What receivers report of a domain; read before the transaction begins, since it may take a second."""
    kind = domain_reports.LOCAL_PARTS.get(_local(one.recipient))
    return domain_reports.read(kind, one.raw) if kind else []


def _take(one: Returned, found: Explanation, reports: list[domain_reports.Read], proven: bool) -> str:
    local = _local(one.recipient)
    if local in _SERVICES and local != COMPLAINTS:
        domain = domains.at_host(domain_of(one.recipient))
        if local in mailbox.PEOPLE:
            mailbox.keep(domain, one.recipient, one.raw, CapturedKind.PEOPLE)
            return "kept"
        if domain is None:  # declared no more, since the recipient was asked for
            return "kept by nobody"
        if local == mailbox.PRIVACY:
            return mailbox.take_request(domain, one.recipient, one.raw, found)
        if local in domain_reports.LOCAL_PARTS:
            return domain_reports.keep(domain, reports)
        return mailbox.take_reply(domain, one.recipient, one.raw, found)
    if (leaving_one := links.read_unsubscribe_address(one.recipient)) is not None:
        return _left(leaving_one, found)
    target = links.read_return_path(one.recipient)
    if target is None and (route := route_of(one.recipient)) is not None:
        outbox.put(route, Kind.MAIL_CAME, {"sender": one.sender, "recipient": one.recipient}, one.raw)
        return "for a program"
    if target is None and local != COMPLAINTS and (to := mailing.found_by(one.recipient)) is not None:
        return mailing.take(to, one.raw, found, proven)
    if target is None and local != COMPLAINTS and (asked := list_commands.of(one.recipient)) is not None:
        return list_commands.take(*asked, one.raw, found, proven)
    if found.type == "feedback":
        target = target or next(filter(None, map(_marked, found.marks)), None)
    if target is None or target.no is None:
        return found.type
    if found.type in ("delayed", "delivered"):
        notices.came_back(target.sending_id, target.no, found, "")
    if found.type not in ("bounce", "feedback"):
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


def _left(target: links.Target, found: Explanation) -> str:
    """She wrote to the address of List-Unsubscribe, or her mail program did. What came back from elsewhere, and an
    absence notice, are no wish of hers."""
    if found.type != "not_bounce" and not found.rule.startswith("Auto-Submitted: auto-generated"):
        return found.type
    send = Send.objects.filter(sending_id=target.sending_id, no=target.no or 0).first()
    sending = Sending.objects.filter(id=target.sending_id).first()
    if send is None or sending is None:
        return "unsubscribed before"
    try:
        key = normalise(send.address).key
    except AddressError:  # erased since
        return "unsubscribed before"
    purpose = Purpose.objects.filter(id=sending.purpose_id or 0, workspace_id=sending.workspace_id).first()
    contact = Contact.objects.filter(id=send.contact_id or 0, workspace_id=sending.workspace_id).first()
    changed = leaving.unsubscribe(
        sending.workspace_id,
        contact.pk if contact else None,
        contact.email_key if contact else key,
        purpose,
        sending_id=sending.pk,
        cause=f"sending {sending.pk}/{target.no}",
        via="mail",
    )
    return "unsubscribed" if changed else "unsubscribed before"


def _marked(mark: str) -> links.Target | None:
    return links.read_message_id(mark) or links.read_return_path(mark.strip("<> \t"))


def _bounced(
    workspace_id: int, address: str, contact_id: int | None, sending_id: int, no: int, found: Explanation
) -> None:
    said = _about(found.recipients, address)
    if said is None or not _first(Kind.BOUNCED, workspace_id, contact_id, sending_id, no, _facts(said, address)):
        return
    notices.came_back(sending_id, no, found, str(_facts(said, address)["reply"]))
    cause = _OF_ADDRESS.get(said.kind, "")
    rolls.count("returned", domain_of(address), said.kind, workspace=workspace_id)
    # What failed behind a forward is another mailbox than the one we wrote to.
    if cause and (said.hard or cause == "mailbox_full") and _same(said.recipient, address):
        settle.judge(workspace_id, normalise(address).key, cause, sending_id, no)


def _complained(
    workspace_id: int, address: str, contact_id: int | None, sending_id: int, no: int, found: Explanation
) -> None:
    hard = any(one.hard for one in found.recipients) or not found.recipients
    if not hard or not _first(Kind.COMPLAINED, workspace_id, contact_id, sending_id, no, {"by": "report"}):
        return
    rolls.count("complained", domain_of(address), "report", workspace=workspace_id)
    suppression.add(workspace_id, normalise(address).key, "marketing", "complaint", f"report on {sending_id}/{no}")
    shaping.complained(site_of(address))


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
