"""Telling those who handed in a message what became of it (RFC 3461): what to tell is noted with the outcome, and told
by a report that goes the way of every single message.

Only to the reverse-path of a sender who had signed in, which is of a domain of her workspace: never to strangers. A
report has the null reverse-path and asks for nothing itself, so nothing can go in circles (RFC 5321 §6.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from envol import db, disk
from envol.accounts.models import Workspace
from envol.outbound.accept import TRANSACTIONAL_LIFETIME, Outgoing, Refused, accept_messages
from envol.outbound.models import Message
from envol.outbound.route import our_name
from envol.wire import dsn
from envol.wire.address import domain_of
from envol.wire.bounce import Explanation
from envol.wire.fraud.judge import ALLOW, Verdict
from envol.wire.message.headers import Mailbox
from envol.wire.smtp.notify import NO_WISH, NOTHING_ASKED, Asked, Wish

if TYPE_CHECKING:
    from envol.outbound.settle import Result

log = structlog.get_logger()

DELAY = timedelta(hours=4)
_FAILED = ("bounced", "expired", "suppressed")

# What is told by itself when the sender did not say: failures alone (RFC 3461 §4.1).
_NOTE = """
INSERT INTO outbound_notice (sending_id, no, action, due, status, reply, host, at)
SELECT g.sending_id, g.no, g.action, now() + CASE WHEN g.action = 'delayed' THEN %(delay)s ELSE interval '0' END,
       g.status, g.reply, g.host, now()
  FROM unnest(%(sending)s::bigint[], %(no)s::bigint[], %(action)s::text[], %(status)s::text[], %(reply)s::text[],
              %(host)s::text[]) AS g (sending_id, no, action, status, reply, host)
  JOIN outbound_send s ON s.sending_id = g.sending_id AND s.no = g.no
  JOIN outbound_message m ON m.id = s.message_id
 CROSS JOIN LATERAL (SELECT coalesce(m.header #>> ARRAY['dsn', 'to', s.address, '0'], '') AS notify) AS w
 WHERE m.header ? 'dsn'
   AND CASE g.action WHEN 'failed' THEN w.notify = '' OR w.notify LIKE '%%FAILURE%%'
                     WHEN 'delayed' THEN w.notify LIKE '%%DELAY%%'
                     ELSE w.notify LIKE '%%SUCCESS%%' END
ON CONFLICT DO NOTHING"""


def facts(reverse_path: str, to: Sequence[str], asked: Asked, wishes: Sequence[Wish]) -> dict[str, Any]:
    """What is kept with a message of how its sender wants to hear of it; nothing when there is nobody to tell.

    to: recipients as they stand in the ledger, beside their wishes.
    """
    if not reverse_path:
        return {}
    wanted = {address: list(wish) for address, wish in zip(to, wishes, strict=False) if wish != NO_WISH}
    return {"dsn": {"from": reverse_path, "ret": asked.ret, "envid": asked.envid, "to": wanted}}


def wish_of(header: dict[str, Any], address: str) -> tuple[Asked, Wish]:
    """What the sender of a message asked for, for one recipient."""
    kept = header.get("dsn")
    if not kept:
        return NOTHING_ASKED, NO_WISH
    return Asked(kept["ret"], kept["envid"]), Wish(*kept["to"].get(address, NO_WISH))


def note(results: Sequence[tuple[Result, str]]) -> None:
    """Note what is to be told of outcomes just written: (result, the state it led to). One statement a batch, and none
    where nobody handed in a message. In the transaction that writes the outcomes."""
    noted = []
    for result, state in results:
        row = result.row
        if row.message_id is None or row.sending.kind != "transactional":
            continue
        if state in _FAILED:
            noted.append((result, "failed", _failed_status(result, state)))
        elif state == "deferred" and "DELAY" in row.notify and row.chunk is not None:
            noted.append((result, "delayed", _status(result.enhanced, "4")))
        elif state == "delivered" and "SUCCESS" in row.notify and not result.told_on:
            noted.append((result, "relayed", _status(result.enhanced, "2")))
    if noted:
        _write((*r.row.key, action, status, _said(r), r.host) for r, action, status in noted)


def came_back(sending_id: int, no: int, found: Explanation, text: str) -> None:
    """Note what returned mail says of somebody whose sender wants to hear it: a later host knew more than the first."""
    action = {"bounce": "failed", "delayed": "delayed", "delivered": "delivered"}.get(found.type)
    if action is None:
        return
    said = found.recipients[0].status if found.recipients else ""
    status = _status(said, {"failed": "5", "delayed": "4", "delivered": "2"}[action])
    _write([(sending_id, no, action, status, text, "")])
    if action == "delayed":  # it has waited already, elsewhere
        db.execute(
            "UPDATE outbound_notice SET due = now() WHERE sending_id = %s AND no = %s AND action = 'delayed'",
            [sending_id, no],
        )


def _write(rows: Iterable[tuple[int, int, str, str, str, str]]) -> None:
    sending, no, action, status, reply, host = map(list, zip(*rows, strict=True))
    db.execute(
        _NOTE,
        {
            "delay": DELAY,
            "sending": sending,
            "no": no,
            "action": action,
            "status": status,
            "reply": reply,
            "host": host,
        },
    )


def _status(enhanced: str | None, first: str) -> str:
    return enhanced if enhanced and enhanced[0] == first else f"{first}.0.0"


def _failed_status(result: Result, state: str) -> str:
    if state == "expired":
        return "5.4.7"  # RFC 3463 §3.5: delivery time expired
    return "5.7.1" if state == "suppressed" else _status(result.enhanced, "5")


def _said(result: Result) -> str:
    if result.code is None:
        return ""
    return " ".join(part for part in (str(result.code), result.enhanced, result.words) if part)


# ---- telling


def take(most: int = 200) -> int:
    """Make reports of what was noted and is due; how many. One transaction: taken exactly when accepted."""
    if disk.shortage():
        return 0
    with transaction.atomic():
        due = db.dicts(
            "SELECT n.id, n.action, n.due, n.status, n.reply, n.host, n.at, s.address, s.message_id, r.first_at,"
            " r.no IS NOT NULL AS waits FROM outbound_notice n"
            " JOIN outbound_send s ON s.sending_id = n.sending_id AND s.no = n.no"
            " LEFT JOIN outbound_retry r ON r.sending_id = n.sending_id AND r.no = n.no"
            " WHERE n.taken_at IS NULL AND n.due <= now() ORDER BY n.id LIMIT %s FOR UPDATE OF n SKIP LOCKED",
            [most],
        )
        groups: dict[tuple[int, str], list[dict[str, Any]]] = {}
        for one in due:
            # What was noted here for later may have left meanwhile; what came back from elsewhere waits there.
            if one["action"] != "delayed" or one["waits"] or one["due"] - one["at"] < DELAY / 2:
                groups.setdefault((one["message_id"], one["action"]), []).append(one)
        messages = Message.objects.in_bulk({message_id for message_id, _action in groups})
        for (message_id, action), about in groups.items():
            made = _send(messages.get(message_id), action, about)
            db.execute(
                "UPDATE outbound_notice SET message_id = %s WHERE id = ANY (%s)", [made, [one["id"] for one in about]]
            )
        db.execute(
            "UPDATE outbound_notice SET taken_at = now(), reply = '' WHERE id = ANY (%s)", [[one["id"] for one in due]]
        )
    return len(due)


def _send(message: Message | None, action: str, about: Sequence[dict[str, Any]]) -> int | None:
    kept = message.header.get("dsn") if message is not None else None
    if message is None or not kept:
        return None  # erased since
    workspace = Workspace.objects.get(id=message.workspace_id)
    domain = domain_of(str(message.header["from"][1]))
    sender = ("Mail delivery", f"postmaster@{domain}")
    told = [_about(one, action, kept) for one in about]
    with translation.override(workspace.language):
        subject, words = _words(action, told, str(message.header.get("subject", "")))
    raw = dsn.report(
        sender=Mailbox(*sender),
        to=kept["from"],
        subject=subject,
        words=words,
        mta=our_name(settings.ENVOL),
        about=told,
        returned=bytes(message.raw or b""),
        whole=action == "failed" and kept["ret"] == "FULL",
        envid=kept["envid"],
        arrived=message.created_at,
    )
    report = Outgoing(
        workspace_id=message.workspace_id,
        sender=sender,
        to=[("", kept["from"])],
        subject=subject,
        raw=raw,
        facts={"by": "report", "null_path": True},
        verdict=Verdict(ALLOW, 0.0),
    )
    try:
        with transaction.atomic():
            return accept_messages([report])[0].message_id
    except Refused as error:
        log.warning("a report to a sender was not accepted", message=message.pk, error=str(error))
        return None


def _about(one: dict[str, Any], action: str, kept: dict[str, Any]) -> dsn.About:
    until: datetime | None = None
    if action == "delayed" and one["first_at"] is not None:
        until = one["first_at"] + timedelta(seconds=TRANSACTIONAL_LIFETIME)
    return dsn.About(
        recipient=one["address"],
        action=action,
        status=one["status"],
        original=kept["to"].get(one["address"], ["", ""])[1],
        remote=one["host"],
        diagnostic=one["reply"].replace("<recipient>", one["address"]),
        at=one["at"],
        until=until,
    )


def _words(action: str, told: Sequence[dsn.About], subject: str) -> tuple[str, str]:
    """Subject and words of a report, in the language of the workspace."""
    says = {
        "failed": (
            _("Undelivered: %(subject)s"),
            _("Your message could not be delivered to these recipients, and is not tried again:"),
        ),
        "delayed": (
            _("Delayed: %(subject)s"),
            _("Your message has not reached these recipients yet. It is still being tried; there is nothing to do:"),
        ),
        "delivered": (_("Delivered: %(subject)s"), _("Your message was delivered to these recipients:")),
        "relayed": (
            _("Handed on: %(subject)s"),
            _("Your message was taken by the servers of these recipients, which do not say what became of it then:"),
        ),
    }
    title, first = says[action]
    lines = [f"  {one.recipient}\n" + (f"    {one.diagnostic}\n" if one.diagnostic else "") for one in told]
    return title % {"subject": " ".join(subject.split())[:200] or "–"}, f"{first}\n\n{''.join(lines)}"
