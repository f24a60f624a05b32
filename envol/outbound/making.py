"""Making the bytes of messages: what a courier needs from the database is read here, what it does per person
needs no database and may run in any thread.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from django.conf import settings

from envol import db
from envol.accounts.models import Workspace
from envol.content.compose import Composer, Person, compose_message
from envol.content.models import Version
from envol.outbound import notices, single
from envol.outbound.domains import may_send_from, replies_address, return_domain, signers_for
from envol.outbound.lease import Lease, Row, SendingFacts
from envol.outbound.models import Sending
from envol.wire import dkim
from envol.wire.smtp.grammar import encode_data
from envol.wire.smtp.notify import NO_WISH, NOTHING_ASKED, Asked, Wish

_KEEP_SECONDS = 300.0


class Made(NamedTuple):
    """What leaves: the reverse-path, and the message encoded for DATA.

    asked, wish: for a host that offers DSN; only where what it says then comes home to us.
    """

    envelope_from: str
    data: bytes
    asked: Asked = NOTHING_ASKED
    wish: Wish = NO_WISH


Maker = Callable[[Row], Made]
"""Makes one message, in any thread. Raises ValueError with a sentence when this person cannot be written to so."""


@dataclass(slots=True)
class Body:
    """A single message as accepted; read only."""

    id: int
    workspace_id: int
    sending_id: int
    header: dict[str, Any]
    text: str
    html: str
    raw: bytes | None


class NotReady(Exception):
    """This sending cannot leave now; the sentence says what to do. Its people wait."""


class Makers:
    """The makers of the sendings a courier works on, kept for a while; used by one thread at a time."""

    def __init__(self, base_url: str | None = None) -> None:
        self._base_url = base_url or settings.ENVOL.base_url
        self._campaigns: dict[int, tuple[float, Maker]] = {}

    def prepare(self, leases: Iterable[Lease]) -> tuple[dict[tuple[int, int], Maker], dict[int, str]]:
        """Makers by (sending, no) for all rows held, and, by sending, the sentence of those that cannot leave."""
        makers: dict[tuple[int, int], Maker] = {}
        problems: dict[int, str] = {}
        rows = [row for lease in leases for row in lease.rows]
        bodies = _bodies([row.message_id for row in rows if row.message_id is not None])
        campaigns: dict[int, Maker] = {}
        measuring = _measuring(bodies.values())
        for row in rows:
            sending = row.sending
            if row.message_id is None and (known := campaigns.get(sending.id)) is not None:
                makers[row.key] = known
                continue
            if sending.id in problems:
                continue
            try:
                if row.message_id is not None:
                    body = bodies.get(row.message_id)
                    if body is None:
                        raise NotReady(f"Message {row.message_id} has gone.")
                    makers[row.key] = _single(sending, body, self._base_url, measuring.get(body.workspace_id))
                    row.notify = notices.wish_of(body.header, row.address)[1].notify
                else:
                    makers[row.key] = campaigns[sending.id] = self._campaign(sending)
            except NotReady as error:
                problems[sending.id] = str(error)
        return makers, problems

    def _campaign(self, sending: SendingFacts) -> Maker:
        found = self._campaigns.get(sending.id)
        if found is not None and time.monotonic() - found[0] < _KEEP_SECONDS:
            return found[1]
        if len(self._campaigns) > 64:
            self._campaigns.clear()
        maker = campaign_maker(sending, self._base_url)
        self._campaigns[sending.id] = (time.monotonic(), maker)
        return maker


def _may_leave(sending: SendingFacts, address: str) -> Sequence[dkim.Signer]:
    ok, sentence = may_send_from(sending.workspace_id, address)
    if not ok:
        raise NotReady(sentence)
    return signers_for(sending.workspace_id, address)


def campaign_maker(sending: SendingFacts, base_url: str) -> Maker:
    """The maker of a campaign's version. Raises NotReady."""
    address = str(sending.sender.get("address", ""))
    signers = _may_leave(sending, address)
    version = Version.objects.filter(id=sending.version_id or 0).first()
    if version is None:
        raise NotReady(f"Sending {sending.id} has no version of its template any more.")
    try:
        composer = Composer(
            Sending.objects.get(id=sending.id),
            version,
            Workspace.objects.get(id=sending.workspace_id),
            dict(sending.sender),
            signers,
            base_url,
            campaign_name=str(sending.sender.get("campaign_name", "")),
            bounce_domain=return_domain(sending.workspace_id, address),
            replies=replies_address(sending.workspace_id, address),
        )
    except ValueError as error:
        raise NotReady(str(error)) from None

    def make(row: Row) -> Made:
        message = composer.encoded(
            Person(
                no=row.no,
                contact_id=row.contact_id,
                address=row.address,
                language=row.language,
                props=row.props or {},
                allowed=row.allowed,
                refused=row.refused,
                country=country_of(row.props or {}),
            )
        )
        return Made(message.envelope_from, message.data)

    return make


def country_of(props: Mapping[str, Any]) -> str | None:
    """The country of the first place we know of somebody: some measuring is lawful in some countries only."""
    return next((v["country"] for v in props.values() if isinstance(v, dict) and v.get("country")), None)


def _bodies(ids: Sequence[int]) -> dict[int, Body]:
    if not ids:
        return {}
    found = db.rows(
        "SELECT id, workspace_id, sending_id, header, text, html, raw FROM outbound_message WHERE id = ANY (%s)",
        [list(ids)],
    )
    return {
        number: Body(number, workspace, sending, json.loads(header), text, html, None if raw is None else bytes(raw))
        for number, workspace, sending, header, text, html, raw in found
    }


def _measuring(bodies: Iterable[Body]) -> dict[int, Workspace]:
    """The workspaces of those messages that their programs asked to be measured."""
    wanted = {body.workspace_id for body in bodies if single.MEASURED in body.header}
    return Workspace.objects.in_bulk(wanted) if wanted else {}


def _single(sending: SendingFacts, body: Body, base_url: str, measuring: Workspace | None = None) -> Maker:
    if sending.kind == "stored":
        # What waits for another server passes as it came (RFC 5321 §3.7): nothing of ours is in it but a trace.
        waits = Made(str(body.header["envelope_from"]), encode_data(body.raw or b""))
        return lambda row: waits
    address = str(body.header["from"][1])
    if sending.kind == "system":
        # Envol's own mail to its members leaves whatever the state of the domains: else nobody could repair them.
        signers: Sequence[dkim.Signer] = signers_for(sending.workspace_id, address)
    else:
        signers = _may_leave(sending, address)

    home = return_domain(sending.workspace_id, address)

    tell = bool(settings.ENVOL.inbound) and "dsn" in body.header

    wanted = measuring if sending.kind == "transactional" else None

    def make(row: Row) -> Made:
        made = compose_message(
            body if wanted is None else _as_measured(body, row, wanted, base_url),
            row.no,
            signers,
            kind=sending.kind,
            bounce_domain=home,
            leave_at=base_url if body.header.get("leave") else "",
        )
        asked, wish = notices.wish_of(body.header, row.address) if tell else (NOTHING_ASKED, NO_WISH)
        return Made(made.envelope_from, encode_data(made.data), asked, wish)

    return make


def _as_measured(body: Body, row: Row, workspace: Workspace, base_url: str) -> Body:
    """The message as this recipient allows it to be measured now."""
    if body.raw is None:
        return body
    level = single.level_of(workspace, row.contact_id, row.allowed, row.refused, country_of(row.props or {}))
    raw = single.as_measured(body.raw, body.header, row.key, body.id, level, base_url)
    return body if raw is body.raw else replace(body, raw=raw)
