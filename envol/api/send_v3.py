"""``POST /v3/send``, the older call, as messages of the newer one: told in one piece, sent whole or not at all.

``Recipients`` are separate mails with their own ``Vars``; ``To``, ``Cc`` and ``Bcc`` are lines of addresses of one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from email.utils import getaddresses
from typing import Any

from envol.api import send_v31
from envol.api.send_v31 import Letter, Problem, Refused

MOST_MESSAGES = 100
MOST_EACH = 50

_PLAIN = {
    "subject": "Subject",
    "text-part": "TextPart",
    "html-part": "HTMLPart",
    "mj-templatelanguage": "TemplateLanguage",
    "mj-prio": "Priority",
    "mj-campaign": "CustomCampaign",
    "mj-deduplicatecampaign": "DeduplicateCampaign",
    "mj-customid": "CustomID",
    "mj-eventpayload": "EventPayload",
    "mj-monitoringcategory": "MonitoringCategory",
    "vars": "Variables",
}
_TRACKS = {"0": "account_default", "1": "disabled", "2": "enabled"}
_FIELD_OF = {
    "From": "FromEmail",
    "TextPart": "Text-part",
    "HTMLPart": "Html-part",
    "TemplateID": "Mj-TemplateID",
    "Variables": "Vars",
    "CustomCampaign": "Mj-campaign",
    "DeduplicateCampaign": "Mj-deduplicatecampaign",
}


def refused(message: str, status: int = 400) -> Refused:
    return Refused(status, {"ErrorInfo": "", "ErrorMessage": message, "StatusCode": status})


def read(body: bytes) -> send_v31.Call:
    """One message at the root, or several. Raises Refused: nothing of the call is sent."""
    try:
        raw = json.loads(body, object_pairs_hook=send_v31.once, parse_constant=send_v31.no_constant)
    except (ValueError, RecursionError):
        raise refused("Malformed JSON, please review the syntax and properties types.") from None
    if not isinstance(raw, dict):
        raise refused("Malformed JSON: an object is expected.")
    root = send_v31.folded(raw)
    given = root.get("messages", [root])
    if not isinstance(given, list) or not given or not all(isinstance(one, dict) for one in given):
        raise refused('"Messages" is a list of messages.')
    if len(given) > MOST_MESSAGES:
        raise refused(f"A call has at most {MOST_MESSAGES} messages.")
    letters: list[Letter | list[Problem]] = []
    for one in given:
        for message in _messages(send_v31.folded(one)):
            found = send_v31.letter_or_problems(message)
            if not isinstance(found, Letter):
                raise told(found)
            letters.append(found)
    return send_v31.Call(letters)


def told(problems: Sequence[Problem]) -> Refused:
    """The first fault, with the names of this call."""
    first = problems[0]
    where = ", ".join(_FIELD_OF.get(name, name) for name in first.related)
    return refused(f"{first.message} ({where})" if where else first.message, first.status)


def _messages(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One message of this call as messages of the newer one, in small letters."""
    common: dict[str, Any] = {new.lower(): given[old] for old, new in _PLAIN.items() if given.get(old) is not None}
    common["from"] = _sender(given)
    common["subject"] = given.get("subject") or ""
    _template(given, common)
    for old, new in (("mj-trackopen", "trackopens"), ("mj-trackclick", "trackclicks")):
        if given.get(old) is not None:
            common[new] = _TRACKS.get(str(given[old]), "wrong")
    _headers(given, common)
    for old, new, inline in (("attachments", "attachments", False), ("inline_attachments", "inlinedattachments", True)):
        if given.get(old):
            common[new] = _files(given[old], inline)
    recipients = given.get("recipients")
    if recipients:
        if any(given.get(name) for name in ("to", "cc", "bcc")):
            raise refused('"Recipients" cannot be used with "To", "Cc" or "Bcc".')
        return [_separate(common, one) for one in _listed(recipients)]
    if not given.get("to"):
        raise refused('Missing "To" or "Recipients" property')
    for name in ("to", "cc", "bcc"):
        if given.get(name):
            common[name] = _line(given[name], name.capitalize())
    return [common]


def _sender(given: Mapping[str, Any]) -> dict[str, Any] | None:
    email = given.get("fromemail")
    if not isinstance(email, str) or not email.strip():
        if given.get("mj-templateid"):
            return None
        raise refused("Missing mandatory property. (FromEmail)")
    name, address = getaddresses([email])[0] if "<" in email else ("", email.strip())
    return {"Email": address, "Name": given.get("fromname") or name}


def _template(given: Mapping[str, Any], common: dict[str, Any]) -> None:
    number = given.get("mj-templateid")
    if number is not None and number != "":
        if isinstance(number, str) and not number.strip().isdecimal():
            common["templatename"] = number
        else:
            common["templateid"] = number
    if report := given.get("mj-templateerrorreporting"):
        common["templateerrorreporting"] = {"Email": report}
    common["templateerrordeliver"] = str(given.get("mj-templateerrordeliver", "")).lower() in ("deliver", "true", "1")


def _headers(given: Mapping[str, Any], common: dict[str, Any]) -> None:
    raw = given.get("headers")
    if raw is None:
        return
    if not isinstance(raw, dict):
        raise refused('"Headers" is not JSON object type')
    common["headers"] = raw


def _files(raw: Any, inline: bool) -> list[dict[str, Any]]:
    if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
        raise refused("Attachments are a list of objects.")
    made = []
    for one in map(send_v31.folded, raw):
        file = {
            "ContentType": one.get("content-type") or one.get("contenttype"),
            "Filename": one.get("filename"),
            "Base64Content": one.get("content"),
        }
        made.append(file | ({"ContentID": one.get("filename")} if inline else {}))
    return made


def _listed(raw: Any) -> list[dict[str, Any]]:
    if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
        raise refused('"Recipients" is a list of objects.')
    return [send_v31.folded(one) for one in raw]


def _separate(common: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, Any]:
    person = {"Email": one.get("email"), "Name": one.get("name") or ""}
    own, shared = one.get("vars") or {}, common.get("variables") or {}
    if not isinstance(own, dict) or not isinstance(shared, dict):
        raise refused('"Vars" is not JSON object type')
    return {**common, "to": [person], "variables": {**shared, **own}}


def _line(raw: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(raw, str):
        raise refused(f'"{name}" is a line of addresses.')
    if "\r" in raw or "\n" in raw:
        raise refused("Invalid characters detected")
    people = [{"Email": address, "Name": shown} for shown, address in getaddresses([raw]) if address or shown]
    if len(people) > MOST_EACH:
        raise refused(f"Too many recipients in {name}")
    return people


def answered(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The entries of the newer answer as one list of this one."""
    return {
        "Sent": [
            {"Email": one["Email"], "MessageID": one["MessageID"], "MessageUUID": one["MessageUUID"]}
            for entry in entries
            for kind in ("To", "Cc", "Bcc")
            for one in entry[kind]
        ]
    }
