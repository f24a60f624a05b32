"""Mail for domains whose own server is not always there: it waits here, and goes there when that server asks (ETRN,
RFC 1985), or by schedule.

Only for listed domains of a workspace that has shown them to be hers; everything else stays refused, so this is no open
relay. It never leaves on the connection of whoever asked, but to the host that was listed. What that host refuses is in
the books and told to nobody: the writer is a stranger, and her address may be forged (no backscatter).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from envol import db, disk
from envol.accounts.journal import note
from envol.accounts.models import Workspace
from envol.db_role import as_owner
from envol.outbound import accept
from envol.outbound.capture import subject_of
from envol.outbound.domains import may_send_from
from envol.outbound.models import Sending, SendingState, StoredDomain
from envol.wire.address import AddressError, domain_of, normalise

MOST_WAITING = 20_000
KEPT = timedelta(days=5)
"""RFC 5321 §4.5.4.1."""
STARTED = timedelta(minutes=10)
"""So long after it was asked for the queue of a domain tries; then it waits for the next word."""
AGAIN = timedelta(minutes=5)
MAX_HOPS = 100


class Loop(ValueError):
    """This message has been here too often."""


class Full(disk.Full):
    """As much waits for a domain as may."""


class Incoming(NamedTuple):
    """One message: its reverse-path, by recipient the listed domain she belongs to, and its octets with our trace."""

    reverse_path: str
    places: Mapping[str, int]
    raw: bytes


# ---- listing


def add(
    workspace: Workspace,
    name: str,
    host: str,
    *,
    recipients: Iterable[str] = (),
    scheduled: bool = False,
    actor: str = "command",
    actor_id: int | None = None,
) -> StoredDomain:
    """List a domain. Raises ValueError with a sentence.

    recipients: local parts that are taken; none: all, and its server may refuse some later. scheduled: it is also
    tried by itself, at once and by the usual delays.
    """
    try:
        name = normalise(f"postmaster@{name}").domain
        host = normalise(f"postmaster@{host}").domain
    except AddressError as error:
        raise ValueError(str(error)) from None
    if settings.ENVOL.route == "smart_host":
        raise ValueError(
            _("Everything leaves through the smart host, which would bring this mail back: use route direct.")
        )
    ready, sentence = may_send_from(workspace.pk, f"postmaster@{name}")
    if not ready or not workspace.domains.filter(name=name).exists():
        raise ValueError(
            sentence
            if not ready
            else _("%(domain)s is not declared here: declare it among your domains first.") % {"domain": name}
        )
    taken = _("Mail for %(domain)s is kept already.") % {"domain": name}
    with as_owner():  # whoever listed it: one host fetches its mail
        listed = StoredDomain.objects.filter(name=name).exists()
    if listed:
        raise ValueError(taken)
    if host == name:
        raise ValueError(_("Name the host of %(domain)s, not the domain: its MX leads here.") % {"domain": name})
    locals_ = sorted({one.strip().lower() for one in recipients if one.strip()})
    if wrong := next((one for one in locals_ if not _is_local(one, name)), None):
        raise ValueError(_("“%(box)s” is no mailbox: write what stands before the @.") % {"box": wrong})
    try:
        return _list(workspace, name, host, locals_, scheduled=scheduled, actor=actor, actor_id=actor_id)
    except IntegrityError:  # somebody was faster
        raise ValueError(taken) from None


def _is_local(local: str, domain: str) -> bool:
    try:
        return "@" not in local and bool(normalise(f"{local}@{domain}"))
    except AddressError:
        return False


def _list(
    workspace: Workspace,
    name: str,
    host: str,
    recipients: Sequence[str],
    *,
    scheduled: bool,
    actor: str,
    actor_id: int | None,
) -> StoredDomain:
    with transaction.atomic():
        sending = Sending.objects.create(
            workspace=workspace,
            kind="stored",
            state=SendingState.SENDING if scheduled else SendingState.PAUSED,
            priority=accept.TRANSACTIONAL_PRIORITY,
            lifetime_seconds=int(KEPT.total_seconds()),
        )
        made = StoredDomain.objects.create(
            workspace=workspace,
            name=name,
            host=host,
            recipients=list(recipients),
            scheduled=scheduled,
            sending_id=sending.id,
        )
        note(workspace, actor, "stored.added", made, actor_id=actor_id, domain=name, host=host)
    return made


def remove(domain: StoredDomain, *, actor: str = "command", actor_id: int | None = None) -> int:
    """Take a domain off the list; what waits for it is cancelled. How many that were."""
    waits = waiting(domain)
    with transaction.atomic():
        Sending.objects.filter(id=domain.sending_id).update(state=SendingState.STOPPED, ended_at=Now())
        note(domain.workspace, actor, "stored.removed", domain, actor_id=actor_id, domain=domain.name, cancelled=waits)
        domain.delete()
    return waits


def waiting(domain: StoredDomain) -> int:
    """How many recipients wait."""
    return int(
        db.value(
            "SELECT (SELECT coalesce(sum(size), 0) FROM outbound_chunk WHERE sending_id = %(s)s AND NOT done)"
            " + (SELECT count(*) FROM outbound_retry WHERE sending_id = %(s)s)",
            {"s": domain.sending_id},
        )
    )


# ---- taking in


def place_of(recipient: str) -> int | None:
    """The listed domain that takes mail for this address, or None."""
    listed = StoredDomain.objects.filter(name=domain_of(recipient)).first()
    if listed is None:
        return None
    local = recipient.rpartition("@")[0].lower()
    return listed.pk if not listed.recipients or local in listed.recipients else None


def trace_field(host: str, *, helo: str, peer: str, tls: bool, when: datetime) -> bytes:
    """Our Received field (RFC 5321 §4.4)."""
    said = "".join(c for c in helo if (c.isascii() and c.isalnum()) or c in ".-")[:255] or "unknown"
    with_ = "ESMTPS" if tls else "ESMTP"  # RFC 3848
    return f"Received: from {said} ([{peer}])\r\n by {host} with {with_};\r\n {format_datetime(when)}\r\n".encode()


def check(raw: bytes) -> None:
    """Raises :class:`Loop`."""
    head = raw.partition(b"\r\n\r\n")[0].lower()
    if (b"\r\n" + head).count(b"\r\nreceived:") > MAX_HOPS:
        raise Loop("This message has gone round in circles")


def keep(batch: Sequence[Incoming]) -> None:
    """Keep a batch durably. Raises `disk.Full` and database errors: then nothing of it was kept."""
    disk.refuse_when_full()
    by_place: dict[int, list[tuple[Incoming, list[str]]]] = {}
    for one in batch:
        for place in dict.fromkeys(one.places.values()):
            people = [who for who, where in one.places.items() if where == place]
            by_place.setdefault(place, []).append((one, people))
    with transaction.atomic(durable=not connection.in_atomic_block):
        listed = StoredDomain.objects.in_bulk(by_place)
        sendings = Sending.objects.in_bulk([one.sending_id for one in listed.values()])
        for place, mail in by_place.items():
            domain = listed.get(place)
            if domain is None:
                raise Full("This domain is listed no more, try again later")
            if waiting(domain) >= MOST_WAITING:
                raise Full(f"Too much waits for {domain.name}, try again later")
            accept.accept_into(sendings[domain.sending_id], [_outgoing(domain, *one) for one in mail], domain.host)


def _outgoing(domain: StoredDomain, one: Incoming, people: Sequence[str]) -> accept.Outgoing:
    return accept.Outgoing(
        workspace_id=domain.workspace_id,
        sender=("", one.reverse_path),
        to=[("", who) for who in people],
        subject=subject_of(one.raw),
        kind="stored",
        raw=one.raw,
        facts={"by": "mx", "envelope_from": one.reverse_path},
    )


# ---- starting


def start(
    workspace_id: int, domain: str, *, below: bool = False, actor: str = "command", actor_id: int | None = None
) -> tuple[int, str, str]:
    """Start the queue of a domain, and with `below` of those below it: the reply of RFC 1985 §5.3. Journaled.

    One answer for what is not listed, not hers, or not there: nobody learns whose mail waits here.
    """
    listed = StoredDomain.objects.filter(workspace_id=workspace_id)
    mine = [one for one in listed.order_by("name") if one.name == domain or (below and one.name.endswith(f".{domain}"))]
    if not mine:
        return 459, "5.7.1", f"Node {domain} not allowed"
    counts = [(one, waiting(one)) for one in mine]
    total = sum(count for _, count in counts)
    if not total:
        return 251, "2.0.0", f"OK, no messages waiting for node {domain}"
    begun = [one for one, count in counts if count and _begin(one)]
    for one in begun:
        note(workspace_id, actor, "stored.started", one, actor_id=actor_id, domain=one.name)
    if not begun:
        return 252, "2.0.0", f"OK, pending messages for node {domain} started"
    return 253, "2.0.0", f"OK, {total} pending messages for node {domain} started"


def _begin(one: StoredDomain) -> bool:
    """Once in five minutes: asking more often tries no more often."""
    early = StoredDomain.objects.filter(pk=one.pk).exclude(asked_at__gt=timezone.now() - AGAIN)
    with transaction.atomic():
        if not early.update(asked_at=Now()):
            return False
        Sending.objects.filter(id=one.sending_id, state=SendingState.PAUSED).update(state=SendingState.SENDING)
        db.execute(
            "UPDATE outbound_retry SET due = now() WHERE sending_id = %s AND lease_id IS NULL AND due > now()",
            [one.sending_id],
        )
    return True


def look_after() -> None:
    """What was started and did not arrive waits for the next word; what waits for too long is given up."""
    db.execute(
        "UPDATE outbound_sending SET state = 'paused' WHERE state = 'sending' AND id IN (SELECT sending_id"
        " FROM outbound_stored WHERE NOT scheduled AND (asked_at IS NULL OR asked_at < now() - %s))",
        [STARTED],
    )
    db.execute(db.sql("outbound", "give_up_stored"), {"kept": KEPT})


def facts(one: StoredDomain) -> dict[str, Any]:
    """For those who look after it."""
    return {
        "domain": one.name,
        "host": one.host,
        "recipients": one.recipients,
        "scheduled": one.scheduled,
        "waiting": waiting(one),
        "asked_at": one.asked_at.isoformat(timespec="seconds") if one.asked_at else None,
    }
