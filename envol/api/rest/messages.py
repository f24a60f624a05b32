"""message, messagehistory, messageinformation, messagestate: what became of what was sent.

Our vocabulary becomes theirs here and nowhere else: what was delivered is ``sent``, what complained is ``spam``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from envol.accounts.models import Scope
from envol.api.rest import groupings
from envol.api.rest.ground import Call, Resource, Wrong, missing, number_of
from envol.api.rest.people import address
from envol.api.rest.values import moment, told
from envol.api.uuids import message_uuid
from envol.contacts.models import Contact
from envol.db import TooSlow
from envol.outbound import mail_log
from envol.outbound.accept import DUPLICATE, NOT_VALIDATED, TEMPLATE_ERROR
from envol.outbound.groupings import of_messages
from envol.outbound.mail_log import Entry, Query
from envol.outbound.models import Domain

# The cause of a bounce, in the numbers and words of messagestate.
STATES = {
    1: ("user unknown", "recipient"), 2: ("mailbox inactive", "recipient"), 3: ("quota exceeded", "recipient"),
    4: ("invalid domain", "domain"), 5: ("no mail host", "domain"), 6: ("relay/access denied", "domain"),
    7: ("sender blocked", "spam"), 8: ("content blocked", "spam"), 9: ("policy issue", "spam"),
    10: ("system issue", "system"), 11: ("protocol issue", "system"), 12: ("connection issue", "system"),
    13: ("greylisted", "domain"), 14: ("preblocked", "mailjet"), 15: ("duplicate in campaign", "mailjet"),
    16: ("spam preblocked", "mailjet"), 17: ("bad or empty template", "content"),
    18: ("error in template language", "content"), 19: ("typofix", "domain"), 20: ("blacklisted", "recipient"),
    21: ("spam reporter", "recipient"),
}  # fmt: skip
CAUSES = {
    "unknown_user": 1, "hard_bounce": 1, "mailbox_disabled": 2, "mailbox_full": 3, "unknown_domain": 4, "null_mx": 5,
    "relaying": 6, "blocked": 7, "spam": 8, "content": 8, "policy": 9, "greylisted": 13, "complaint": 21,
    "suppressed": 14, "objection": 14, "unsubscribed": 14, "user_unknown": 1, "host_unknown": 4, "relay_denied": 6,
    "account_blocked": 7, "sender_refused": 7, "ip_listed": 7, "reputation": 7, "content_refused": 8, "malware": 8,
    "authentication": 9, "auth": 9, "reverse_dns": 9, "tls_required": 11,
    NOT_VALIDATED: 7, DUPLICATE: 15, TEMPLATE_ERROR: 18,
}  # fmt: skip
NEVER_LEFT = frozenset({NOT_VALIDATED, DUPLICATE, TEMPLATE_ERROR})
# Of what she did with it the strongest is told.
_STRONGEST = (("complained", "spam"), ("unsubscribed", "unsub"), ("clicked", "clicked"), ("opened", "opened"))
_MEASURED = frozenset({"opened", "clicked"})
PERMANENT = frozenset({"bounced", "suppressed"})
_MOST = 5000  # messages that are looked through for one call


def state_of(one: Entry) -> int:
    """The number of messagestate; 0 where nothing went wrong."""
    if one.state == "suppressed":
        return CAUSES[one.cause] if one.cause in NEVER_LEFT else 14
    if one.state in ("bounced", "deferred", "expired"):
        return CAUSES.get(one.cause, 10)
    return 0


def status_of(one: Entry, reactions: Sequence[str] = ()) -> str:
    if one.state == "delivered":
        for word, told_as in _STRONGEST:
            if word in reactions:
                return told_as
        return "bounce" if "returned" in reactions else "sent"
    return {
        "bounced": "hardbounced",
        "expired": "softbounced",
        "deferred": "deferred",
        "suppressed": "blocked",
        "cancelled": "blocked",
        "held": "queued",
        "leased": "queued",
        "queued": "queued",
    }.get(one.state, "unknown")


_NUMBERS = {
    "0": set(), "1": {"queued"}, "2": {"sent"}, "3": {"opened"}, "4": {"clicked"},
    "5": {"bounce", "hardbounced", "softbounced"},
    "6": {"spam"}, "7": {"unsub"}, "8": {"blocked"}, "9": {"softbounced"}, "10": {"hardbounced"}, "11": {"deferred"},
}  # fmt: skip


def _reactions(one: Entry) -> list[dict[str, Any]]:
    return mail_log.history(one) if one.state == "delivered" else []


def find(call: Call, key: str) -> Entry:
    """By the number that the send API answered."""
    number = number_of(key)
    found = mail_log.single(call.workspace.pk, number) if number is not None else None
    if found is None:
        raise missing()
    return found


def _rows(call: Call) -> list[Entry]:
    query = call.query
    wanted = Query(words=query.get("customid", ""))
    if (contact := query.get("contactalt")) is not None:
        wanted = replace(wanted, words=address(contact))
    for name in ("contactid", "contact"):
        if name in query:
            known = Contact.objects.filter(workspace_id=call.workspace.pk, pk=call.number(name) or 0).first()
            if known is None:
                return []
            wanted = replace(wanted, words=known.email)
    if "fromts" in query:
        wanted = replace(wanted, since=moment(query["fromts"]))
    if "tots" in query:
        wanted = replace(wanted, until=moment(query["tots"]))
    if (number := call.number("campaignid", "campaign")) is not None and number != 0:
        word = groupings.by_number(call, number)
        if word is None:
            return []  # a single message is of no campaign of ours
        wanted = replace(wanted, campaign=word.name)
    if "customcampaign" in query:
        if wanted.campaign not in (None, query["customcampaign"]):
            return []
        wanted = replace(wanted, campaign=query["customcampaign"])
    states: set[str] = set()
    for one in filter(None, query.get("messagestatus", "").split(",")):
        states |= _NUMBERS.get(one.strip(), {"none"})
    found: list[Entry] = []
    domains: dict[int, str] = {}
    if {"fromid", "senderid", "sender"} & query.keys():
        domains = dict(Domain.objects.filter(workspace=call.workspace).values_list("pk", "name"))
    try:
        for entry in mail_log.walk(call.workspace.pk, wanted, _MOST):
            if "customid" in query and entry.custom_id != query["customid"]:
                continue
            if not _as_asked(call, entry, domains):
                continue
            if entry.kind not in ("system", "list") and (not states or status_of(entry, done_with(entry)) in states):
                found.append(entry)
            if len(found) >= _MOST:
                break
    except TooSlow:
        raise Wrong(503, "Looking through the messages takes too long: narrow it by FromTS and ToTS.") from None
    return found[::-1]


def _as_asked(call: Call, one: Entry, domains: Mapping[int, str]) -> bool:
    """By sender, by where it went, and by what went wrong. A sender and what it writes as are a domain here; single
    messages are all of the first type."""
    sender = one.sender.lower()
    for name in ("fromid", "senderid", "sender"):
        if name in call.query and sender.rpartition("@")[2] != _domain(call, name, domains):
            return False
    if "destination" in call.query and one.address.lower().rpartition("@")[2] != call.query["destination"].lower():
        return False
    if "bouncereason" in call.query and STATES.get(state_of(one), ("",))[0] != call.query["bouncereason"].lower():
        return False
    if call.number("fromtype") not in (None, 1):
        return False
    if "from" in call.query and sender != address(call.query["from"]).lower():
        return False
    if "fromdomain" in call.query and sender.rpartition("@")[2] != call.query["fromdomain"].lower():
        return False
    return "messagestate" not in call.query or state_of(one) == call.number("messagestate")


def _domain(call: Call, name: str, domains: Mapping[int, str]) -> str:
    """A domain by its number or, as ``Sender``, by an address or a name."""
    word = call.query[name].lower()
    return domains.get(int(word), "?") if number_of(word) is not None else word.rpartition("@")[2]


def done_with(one: Entry) -> list[str]:
    """What was done with it, but for what machines did."""
    return [str(line["what"]) for line in _reactions(one) if line["what"] not in _MEASURED or not line["cause"]]


def _show(call: Call, found: Sequence[Entry]) -> list[dict[str, Any]]:
    rows = []
    numbers = [one.message_id for one in found if one.message_id]
    measured = mail_log.measures(call.workspace.pk, numbers)
    asked = mail_log.asked_to_measure(call.workspace.pk, numbers)
    words = of_messages(call.workspace.pk, numbers)
    for one in found:
        opens, clicks = asked.get(one.message_id or 0, (False, False))
        state = state_of(one)
        octets, has_html, has_text, files = measured.get(one.message_id or 0, (0, False, False, 0))
        row = {
            "ArrivedAt": told(one.at),
            "AttachmentCount": files,
            "AttemptCount": one.attempts,
            "CampaignID": campaign_number(one, words),
            "ContactAlt": one.address if call.switch("showcontactalt") else "",
            "ContactID": one.contact_id or 0,
            "Delay": int((one.ended_at - one.at).total_seconds()) if one.ended_at else 0,
            "DestinationID": 0,
            "FilterTime": 0,
            "ID": one.no,
            "IsClickTracked": clicks,
            "IsHTMLPartIncluded": has_html,
            "IsOpenTracked": opens,
            "IsTextPartIncluded": has_text,
            "IsUnsubTracked": False,
            "MessageSize": octets,
            "SenderID": 0,
            "SpamassRules": "",
            "SpamassassinScore": 0,
            "StateID": state,
            "StatePermanent": one.state in PERMANENT,
            "Status": status_of(one, done_with(one)),
            "Subject": one.subject if call.switch("showsubject") else "",
            "UUID": message_uuid(call.workspace.pk, one.no),
        }
        if call.switch("showcustomid"):
            row["CustomID"] = one.custom_id
        rows.append(row)
    return rows


def campaign_number(one: Entry, words: Mapping[int, int]) -> int:
    word = words.get(one.message_id or 0)
    return groupings.number(word) if word else one.campaign_id or 0


_EVENTS = {
    "delivered": "sent", "opened": "opened", "clicked": "clicked", "bounced": "bounced", "returned": "bounced",
    "expired": "bounced", "suppressed": "blocked", "cancelled": "blocked", "unsubscribed": "unsub",
    "complained": "spam",
}  # fmt: skip


def _history(call: Call, key: str) -> list[dict[str, Any]]:
    found = mail_log.single(call.workspace.pk, number_of(key) or 0)
    if found is None:
        return []
    return [
        {
            "Comment": line["reply"] or "",
            "EventAt": int(line["at"].timestamp()),
            "EventType": _EVENTS[line["what"]],
            "State": STATES.get(CAUSES.get(line["cause"], 0), ("",))[0],
            "Useragent": "",
            "UseragentID": 0,
        }
        for line in mail_log.history(found)
        if line["what"] in _EVENTS and not (line["what"] in _MEASURED and line["cause"])
    ]


def _information(call: Call, found: Sequence[Entry]) -> list[dict[str, Any]]:
    measured = mail_log.measures(call.workspace.pk, [one.message_id for one in found if one.message_id])
    done = {one.no: done_with(one) for one in found}
    words = of_messages(call.workspace.pk, [one.message_id for one in found if one.message_id])
    return [
        {
            "CampaignID": campaign_number(one, words),
            "ClickTrackedCount": done[one.no].count("clicked"),
            "ContactID": one.contact_id or 0,
            "CreatedAt": told(one.at),
            "ID": one.no,
            "MessageSize": measured.get(one.message_id or 0, (0,))[0],
            "OpenTrackedCount": done[one.no].count("opened"),
            "QueuedCount": int(status_of(one) == "queued"),
            "SendEndAt": told(one.ended_at),
            "SentCount": int(one.state == "delivered"),
            "SpamAssassinRules": {"ALT": "", "ID": -1},
            "SpamAssassinScore": 0,
        }
        for one in found
    ]


def _states(call: Call) -> list[int]:
    return sorted(STATES)


def _state(call: Call, key: str) -> int:
    number = number_of(key)
    if number not in STATES:
        raise missing()
    return number


def _told_states(call: Call, found: Sequence[int]) -> list[dict[str, Any]]:
    return [{"ID": number, "RelatedTo": STATES[number][1], "State": STATES[number][0]} for number in found]


def _nothing(call: Call) -> list[Any]:
    raise Wrong(400, "Name the message: /messagehistory/NUMBER.")


def _lines(call: Call, found: Sequence[Any]) -> list[dict[str, Any]]:
    return list(found[0]) if found else []


_ABSENT = frozenset({"plansubscription"})
_SORTS = {"id": ("no", True), "arrivedat": ("no", True)}  # numbers are given as they arrive
MESSAGE = Resource("message", _rows, find, _show, Scope.RESULTS, absent=_ABSENT, sorts=_SORTS)
HISTORY = Resource("messagehistory", _nothing, _history, _lines, Scope.RESULTS)
INFORMATION = Resource("messageinformation", _rows, find, _information, Scope.RESULTS, absent=_ABSENT, sorts=_SORTS)
STATE = Resource("messagestate", _states, _state, _told_states, Scope.RESULTS)
