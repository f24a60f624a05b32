"""Events in the words of those who are told: the dialect's payloads field by field, and ours.

Network address, place and user agent of whoever opened or clicked are never kept here, so they are empty. Whoever was
erased since is told to nobody; whoever takes her agreement to be measured back is not told of afterwards.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from envol.api.hooks.endpoints import EVENT_OF, TYPE_OF
from envol.api.models import Draft
from envol.api.rest.groupings import number as grouping_number
from envol.api.rest.messages import CAUSES, NEVER_LEFT, STATES
from envol.api.uuids import message_uuid
from envol.contacts.models import Contact
from envol.events.hits import Level
from envol.events.models import Endpoint, Kind
from envol.events.outbox import Row
from envol.insight import measuring
from envol.outbound import groupings, single, told
from envol.outbound.told import Copy

_HARD = frozenset({1, 2, 4, 5})  # numbers of messagestate that say: nobody is there


def compose(endpoint: Endpoint, rows: Sequence[Row]) -> list[dict[str, Any] | None]:
    """What each row says to this endpoint; None: it says nothing any more. Seven queries whatever their number."""
    keys = [(row.sending_id, row.no) for row in rows if row.sending_id is not None and row.no is not None]
    copies = told.copies(keys)
    clicked = [row for row in rows if row.link and row.sending_id is not None]
    links = told.links(row.sending_id for row in clicked if row.sending_id is not None)
    places = single.places((row.sending_id or 0, row.no or 0, row.link or 0) for row in clicked if "no" in row.facts)
    people = dict(
        Contact.objects.filter(
            workspace_id=endpoint.workspace_id, pk__in={row.contact_id for row in rows if row.contact_id}
        ).values_list("pk", "email")
    )
    measured = [row for row in rows if row.kind in (Kind.OPENED, Kind.CLICKED)]
    levels = dict(
        zip(
            [row.id for row in measured],
            measuring.behind([(row.sending_id or 0, row.no) for row in measured]),
            strict=True,
        )
    )
    words = groupings.numbers(endpoint.workspace_id, (copy.campaign for copy in copies.values() if copy.campaign))
    left = [row for row in rows if row.kind == Kind.UNSUBSCRIBED]
    chosen = _lists(endpoint.workspace_id, copies, left) if left else {}
    made: list[dict[str, Any] | None] = []
    for row in rows:
        if (test := row.facts.get("test")) is not None:
            made.append(test)
            continue
        copy = copies.get((row.sending_id or 0, row.no or 0))
        address = copy.address if copy else people.get(row.contact_id or 0, "")
        if not address or row.machine or (row.contact_id is not None and row.contact_id not in people):
            made.append(None)
            continue
        if row.id in levels:
            who = levels[row.id]
            level = None if who is None else who.opens if row.kind == Kind.OPENED else who.clicks
            if level != Level.INDIVIDUAL:
                made.append(None)
                continue
        at = (row.sending_id or 0, row.link or 0)
        url = links.get(at) or places.get((at[0], row.no or 0, at[1]), "")
        say = _standard if endpoint.form == "standard" else _dialect
        said = say(endpoint.workspace_id, row, copy, address, url, words)
        if "mj_list_id" in said and copy:
            said["mj_list_id"] = chosen.get(copy.campaign_id or 0, 0)
        made.append(said)
    return made


def _lists(workspace_id: int, copies: Mapping[tuple[int, int], Copy], rows: Sequence[Row]) -> dict[int, int]:
    """The list of each campaign that a program made and somebody here left."""
    there = [copies.get((row.sending_id or 0, row.no or 0)) for row in rows]
    found = Draft.objects.filter(
        workspace_id=workspace_id, campaign_id__in={copy.campaign_id for copy in there if copy and copy.campaign_id}
    )
    return {campaign: facts.get("ContactsListID", 0) for campaign, facts in found.values_list("campaign_id", "facts")}


def _state(row: Row) -> int:
    """The number of messagestate; 0: no trouble."""
    if row.kind in (Kind.SUPPRESSED, Kind.CANCELLED):
        cause = row.facts.get("cause")
        return CAUSES[cause] if cause in NEVER_LEFT else 14
    if row.kind in (Kind.BOUNCED, Kind.EXPIRED, Kind.DEFERRED):
        return CAUSES.get(str(row.facts.get("cause") or row.facts.get("class") or ""), 10)
    return 0


def _reply(row: Row) -> str:
    """The other side's words, with its code in front."""
    words, code = str(row.facts.get("reply") or ""), row.facts.get("code")
    return words if not code or words.startswith(str(code)) else f"{code} {words}"


def _dialect(
    workspace_id: int, row: Row, copy: Copy | None, address: str, url: str, words: Mapping[str, int]
) -> dict[str, Any]:
    event = EVENT_OF[Kind(row.kind)]
    number = copy.number if copy else 0
    campaign = (copy.campaign_id or 0) if copy else 0
    grouped = words.get(copy.campaign) if copy and copy.campaign else None
    common = {
        "event": event,
        "time": int(row.at.timestamp()),
        "MessageID": number,
        "Message_GUID": message_uuid(workspace_id, number) if copy else "",
        "email": address,
        "mj_campaign_id": grouping_number(grouped) if grouped else campaign,
        "mj_contact_id": row.contact_id or 0,
        "customcampaign": (copy.campaign if copy else "") or (f"mj.nl={campaign}" if campaign else ""),
        "CustomID": copy.custom_id if copy else "",
        "Payload": copy.payload if copy else "",
    }
    state = _state(row)
    trouble = {"error_related_to": STATES[state][1] if state else "", "error": STATES[state][0] if state else ""}
    nobody_looked = {"ip": "", "geo": "", "agent": ""}
    match event:
        case "sent":
            return common | {"mj_message_id": str(number), "smtp_reply": f"sent ({_reply(row)})"}
        case "open":
            return common | nobody_looked
        case "click":
            return common | {"url": url} | nobody_looked
        case "bounce":
            hard = row.kind == Kind.BOUNCED and state in _HARD
            return common | {"blocked": False, "hard_bounce": hard, **trouble, "comment": _reply(row)}
        case "blocked":
            return common | trouble
        case "spam":
            return common | {"source": str(row.facts.get("by") or "report")}
        case _:
            return common | {"mj_list_id": 0} | nobody_looked


def _standard(
    workspace_id: int, row: Row, copy: Copy | None, address: str, url: str, words: Mapping[str, int]
) -> dict[str, Any]:
    data: dict[str, Any] = {"email": address, "contact": row.contact_id}
    if copy:
        data |= {
            "message": str(copy.number),
            "campaign": copy.campaign_id,
            "custom_id": copy.custom_id or None,
            "payload": copy.payload or None,
        }
    if row.kind == Kind.CLICKED:
        data["url"] = url or None
    if row.kind == Kind.UNSUBSCRIBED:
        data["scope"] = row.facts.get("scope", "purpose")
    for ours, theirs in (("cause", "cause"), ("class", "cause"), ("code", "code"), ("enhanced", "enhanced_code")):
        if row.facts.get(ours):
            data[theirs] = row.facts[ours]
    if row.facts.get("reply"):
        data["reply"] = row.facts["reply"]
    return {"type": TYPE_OF[Kind(row.kind)], "timestamp": stamp(row.at), "data": data}


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def signature(secret: str, message_id: str, at: int, body: bytes) -> str:
    """As in Standard Webhooks: over id, second and body, so that nothing can be repeated later or changed."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def sample(endpoint: Endpoint) -> dict[str, Any]:
    """What a test says: the shape of the first event that the endpoint is for, of a person who does not exist."""
    kind = Kind(endpoint.kinds[0])
    facts = {"reply": "250 2.0.0 OK", "code": 250} if kind == Kind.DELIVERED else {"cause": "unknown_user"}
    copy = Copy(0, 1, "test@example.org", 1, None, True, "test", "", "")
    now = datetime.now(UTC)
    row = Row(0, int(kind), now, 1, 0, 1, 1 if kind == Kind.CLICKED else None, facts, None, 1, 0, now, False)
    say = _standard if endpoint.form == "standard" else _dialect
    return say(endpoint.workspace_id, row, copy, copy.address, "https://example.org/", {})


def headers(endpoint: Endpoint, secrets: Sequence[str], login: str, message_id: str, body: bytes) -> dict[str, str]:
    found = {"Content-Type": "application/json; charset=utf-8"}
    if login:
        found["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    if endpoint.form == "standard":
        at = int(time.time())
        found |= {
            "webhook-id": message_id,
            "webhook-timestamp": str(at),
            "webhook-signature": " ".join(signature(one, message_id, at, body) for one in secrets),
        }
    return found
