"""``POST /v3.1/send`` read and answered, pure: octets in, letters or errors out, in the words programs expect.

Names are read whatever their case, since clients write `to` and `SandBoxMode`. A message that is wrong fails alone; the
others of the call are sent.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from envol.wire.address import AddressError, normalise
from envol.wire.message import headers
from envol.wire.message.headers import Mailbox
from envol.wire.message.parts import Attachment

MOST_MESSAGES = 50
MOST_RECIPIENTS = 50
MOST_OCTETS = 15 * 1024 * 1024  # of attachments, decoded
MOST_PARTS = 50
LONGEST_SUBJECT = 255
LONGEST_TAGS = 256
MOST_BODY = 24 * 1024 * 1024  # octets of a call

AUTH = (
    "API key authentication/authorization failure. You may be unauthorized to access the API or your API key may be"
    " expired. Visit API keys management section to check your keys."
)
SUSPENDED = "Your account has been temporarily blocked. Please contact our support team to get assistance."
FORBIDDEN = frozenset(
    [
        "from",
        "sender",
        "subject",
        "to",
        "cc",
        "bcc",
        "return-path",
        "delivered-to",
        "dkim-signature",
        "domainkey-status",
        "received-spf",
        "authentication-results",
        "received",
        "x-mailjet-prio",
        "x-mailjet-debug",
        "user-agent",
        "x-mailer",
        "x-mj-customid",
        "x-mj-eventpayload",
        "x-mj-vars",
        "x-mj-templateerrordeliver",
        "x-mj-templateerrorreporting",
        "x-mj-templatelanguage",
        "x-mailjet-trackopen",
        "x-mailjet-trackclick",
        "x-mj-templateid",
        "x-mj-workflowid",
        "x-feedback-id",
        "x-mailjet-segmentation",
        "list-id",
        "x-mj-mid",
        "x-mj-errormessage",
        "date",
        "x-csa-complaints",
        "message-id",
        "x-mailjet-campaign",
        "x-mj-statisticscontactslistid",
    ]
)
# Fields that a caller may write and that our composer keeps to itself: they are set as they are given.
AS_GIVEN = frozenset({"list-unsubscribe", "list-unsubscribe-post", "auto-submitted", "feedback-id"})
LISTS_OF_THEIRS = "lists.mailjet.com"
_WORDS_OF_SMTP = {"1": "enabled", "0": "disabled"}
_TAGS = re.compile(r"[A-Za-z0-9._~!$'()*+,;:@/?%&=-]*")
_NUMERIC_TLD = re.compile(r"\.\d+\Z")


@dataclass(frozen=True, slots=True)
class Problem:
    """One entry of ``Errors``."""

    code: str
    status: int
    message: str
    related: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        return {
            "ErrorIdentifier": str(uuid.uuid4()),
            "ErrorCode": self.code,
            "StatusCode": self.status,
            "ErrorMessage": self.message,
            "ErrorRelatedTo": list(self.related),
        }


@dataclass(slots=True)
class Letter:
    """One message of a call. A recipient stands in one of `to`, `cc` and `bcc`, the first that names her.

    sender: None where the template says it. copyright: of the template, once it was found. language: are `{{ }}` and
    `{% %}` evaluated? report_to: who hears of errors in a template; deliver: send it as it is in spite of them. tags: a
    query for every link. once: to whoever had something of this campaign nothing leaves. opens, clicks: are they to be
    measured, as far as each allows? None: as the workspace has it. only: whom it goes to, where others stand in its
    fields. message_id: its program's own, without brackets. priority: 0 to 3, which is the most urgent.
    """

    sender: Mailbox | None
    to: list[Mailbox]
    cc: list[Mailbox] = field(default_factory=list)
    bcc: list[Mailbox] = field(default_factory=list)
    reply_to: list[Mailbox] = field(default_factory=list)
    subject: str = ""
    text: str | None = None
    html: str | None = None
    extra: list[tuple[str, str]] = field(default_factory=list)
    given: list[tuple[str, str]] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)
    custom_id: str = ""
    payload: str = ""
    campaign: str = ""
    template_id: int | None = None
    template_name: str = ""
    copyright: str = ""
    language: bool = False
    variables: dict[str, Any] = field(default_factory=dict)
    report_to: Mailbox | None = None
    deliver: bool = False
    tags: str = ""
    once: bool = False
    opens: bool | None = None
    clicks: bool | None = None
    only: list[Mailbox] | None = None
    priority: int = 2
    message_id: str = ""

    @property
    def people(self) -> list[Mailbox]:
        return [*self.to, *self.cc, *self.bcc] if self.only is None else self.only


@dataclass(frozen=True, slots=True)
class Call:
    """`letters`: what is to be sent, or why not, in the order of the call. at_once: it wants to hear of its senders in
    the answer (AdvanceErrorHandling)."""

    letters: list[Letter | list[Problem]]
    sandbox: bool = False
    at_once: bool = False


class Refused(Exception):
    """The whole call: nothing of it was sent."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status, self.body = status, body
        super().__init__(body.get("ErrorMessage", ""))


def refused(status: int, message: str, code: str = "", **more: Any) -> Refused:
    body = {"ErrorIdentifier": str(uuid.uuid4()), "StatusCode": status, "ErrorMessage": message}
    return Refused(status, body | ({"ErrorCode": code} if code else {}) | more)


class _Wrong(Exception):
    def __init__(self, *problems: Problem) -> None:
        self.problems = problems


def _wrong(code: str, message: str, *related: str, status: int = 400) -> _Wrong:
    return _Wrong(Problem(code, status, message, related))


# ---- reading


def read(body: bytes) -> Call:
    """Raises :class:`Refused` for what is no call at all."""
    try:
        raw = json.loads(body, object_pairs_hook=once, parse_constant=no_constant)
    except (ValueError, RecursionError):
        message = "Malformed JSON, please review the syntax and properties types."
        raise refused(400, message, "mj-0002") from None
    root = folded(raw) if isinstance(raw, dict) else {}
    messages = root.get("messages")
    if not isinstance(messages, list):
        problems = [Problem("mj-0004", 400, 'Type mismatch. Expected type "Messages".', ("Messages",))]
        if "messages" not in root or messages is None:
            problems = [Problem("mj-0003", 400, "Missing mandatory property.", ("Messages",))]
        raise _of_call(problems)
    if not messages:
        message = "You must provide at least one item in the collection."
        raise _of_call([Problem("mj-0007", 400, message, ("Messages",))])
    if len(messages) > MOST_MESSAGES:
        message = f"The collection holds more than {MOST_MESSAGES} items."
        raise _of_call([Problem("mj-0008", 400, message, ("Messages",))])
    common = root.get("globals") or {}
    if not isinstance(common, dict):
        raise _of_call([Problem("mj-0004", 400, 'Type mismatch. Expected type "Globals".', ("Globals",))])
    letters = [letter_or_problems(one, folded(common)) for one in messages]
    return Call(letters, _boolean(root.get("sandboxmode")), _boolean(root.get("advanceerrorhandling")))


def _of_call(problems: list[Problem]) -> Refused:
    first = problems[0]
    told = [one.told() for one in problems]
    return refused(first.status, first.message, first.code, Errors=told, Messages=[])


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice")
    return made


def no_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are no JSON


def folded(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in given.items()}


def letter_or_problems(raw: Any, common: Mapping[str, Any] = MappingProxyType({})) -> Letter | list[Problem]:
    """One message read; `common` has what it does not say itself, its names in small letters."""
    if not isinstance(raw, dict):
        return [Problem("mj-0004", 400, 'Type mismatch. Expected type "Message".', ("Messages",))]
    own = {name: value for name, value in folded(raw).items() if value is not None}
    _respelt(own)
    merged = {name: value for name, value in common.items() if value is not None} | own
    for name in ("headers", "variables"):
        if isinstance(common.get(name), dict) and isinstance(own.get(name), dict):
            merged[name] = common[name] | own[name]
    problems: list[Problem] = []
    found: dict[str, Any] = {}
    for read_one in (_people, _contents, _headers, _attachments, _template, _words):
        try:
            found |= read_one(merged)
        except _Wrong as wrong:
            problems += wrong.problems
    if problems:
        return problems
    letter = Letter(**found)
    inline = any(one.content_id is not None for one in letter.attachments)
    if inline and letter.html is None and not (letter.template_id or letter.template_name):
        message = "Inlined attachments need an HTMLPart that shows them."
        return [Problem("mj-0005", 400, message, ("InlinedAttachments",))]
    return letter


def _respelt(own: dict[str, Any]) -> None:
    """What clients write in a place or under a name of their own, where its own says nothing.

    Symfony's mailer hands its fields X-Mailjet-TrackOpen and -TrackClick on as ``TrackOpen`` and ``TrackClick``, with
    the words of either door; n8n puts ``TemplateLanguage`` into ``From``.
    """
    for theirs, ours in (("trackopen", "trackopens"), ("trackclick", "trackclicks")):
        if theirs in own:
            own.setdefault(ours, _WORDS_OF_SMTP.get(str(own[theirs]), own[theirs]))
    if isinstance(own.get("from"), dict):
        inside = folded(own["from"]).get("templatelanguage")
        if inside is not None:
            own.setdefault("templatelanguage", inside)


def _people(given: Mapping[str, Any]) -> dict[str, Any]:
    problems: list[Problem] = []

    def each(name: str, shown: str) -> list[Mailbox]:
        raw = given.get(name, [])
        if not isinstance(raw, list):
            problems.append(Problem("mj-0004", 400, 'Type mismatch. Expected type "array of emails".', (shown,)))
            return []
        found = []
        for place, one in enumerate(raw[: MOST_RECIPIENTS + 1]):
            try:
                person = _mailbox(one, f"{shown}[{place}]")
                if person.address.lower().endswith(f"@{LISTS_OF_THEIRS}"):
                    # The address of a list there: a copy that left would reach whoever is on it still.
                    message = f'"{person.address}" is a list: a campaign (campaigndraft) writes to those on a list.'
                    raise _wrong("mj-0013", message, f"{shown}[{place}].Email")
                found.append(person)
            except _Wrong as wrong:
                problems.extend(wrong.problems)
        return found

    def one_of(name: str, shown: str) -> Mailbox | None:
        try:
            return _mailbox(given[name], shown) if given.get(name) else None
        except _Wrong as wrong:
            problems.extend(wrong.problems)
            return None

    sender = one_of("from", "From")
    if not given.get("from") and not (given.get("templateid") or given.get("templatename")):
        problems.append(Problem("mj-0003", 400, "Missing mandatory property.", ("From",)))
    to, cc, bcc = each("to", "To"), each("cc", "Cc"), each("bcc", "Bcc")
    if "to" not in given:
        problems.append(Problem("mj-0003", 400, "Missing mandatory property.", ("To",)))
    elif given["to"] == []:
        problems.append(Problem("mj-0007", 400, "You must provide at least one item in the collection.", ("To",)))
    if sum(len(given.get(name) or ()) for name in ("to", "cc", "bcc") if isinstance(given.get(name), list)) > (
        MOST_RECIPIENTS
    ):
        message = f"A message has at most {MOST_RECIPIENTS} recipients."
        problems.append(Problem("send-0015", 400, message, ("To", "CC", "Bcc")))
    answer_to = one_of("replyto", "ReplyTo")
    other = one_of("sender", "Sender")
    if other is not None and sender is not None and other.address.lower() != sender.address.lower():
        message = "This key may not set another sender than From."
        problems.append(Problem("send-0006", 403, message, ("Sender",)))
    if problems:
        raise _Wrong(*problems)
    seen: set[str] = set()
    return {
        "sender": sender,
        "to": _first_named(to, seen),
        "cc": _first_named(cc, seen),
        "bcc": _first_named(bcc, seen),
        "reply_to": [answer_to] if answer_to else [],
    }


def _first_named(people: Iterable[Mailbox], seen: set[str]) -> list[Mailbox]:
    kept = []
    for one in people:
        key = normalise(one.address).key
        if key not in seen:
            seen.add(key)
            kept.append(one)
    return kept


def _mailbox(raw: Any, place: str) -> Mailbox:
    if not isinstance(raw, dict):
        raise _wrong("mj-0004", 'Type mismatch. Expected type "emailIn".', place)
    given = folded(raw)
    email, name = given.get("email"), given.get("name")
    if email is None:
        raise _wrong("mj-0003", "Missing mandatory property.", f"{place}.Email")
    if not isinstance(email, str) or not isinstance(name, str | None):
        raise _wrong("mj-0004", 'Type mismatch. Expected type "string".', f"{place}.{'Name' if name else 'Email'}")
    if not email.strip():
        raise _wrong("mj-0012", "The value must not be empty.", f"{place}.Email")
    try:
        address = normalise(email.strip())
        if _NUMERIC_TLD.search(address.domain):
            raise AddressError("a domain does not end in a number")
    except AddressError:
        raise _wrong("mj-0013", f'"{email[:320]}" is an invalid email address.', f"{place}.Email") from None
    try:
        return Mailbox(headers.check("Name", name or ""), address.written)
    except ValueError as error:
        raise _wrong("mj-0005", str(error), f"{place}.Name") from None


def _text(given: Mapping[str, Any], name: str, shown: str, longest: int = 0) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise _wrong("mj-0004", 'Type mismatch. Expected type "string".', shown)
    if longest and len(value) > longest:
        raise _wrong("mj-0006", f"The value is longer than {longest} characters.", shown)
    return value


def _kept(given: Mapping[str, Any], name: str, shown: str, longest: int) -> str:
    """A text that is kept as it is: without NUL and without half a surrogate pair, which no text of PostgreSQL has."""
    value = _text(given, name, shown, longest)
    if headers.UNKEPT.search(value):
        raise _wrong("mj-0005", "The value holds a character that is never kept (NUL, half a surrogate pair).", shown)
    return value


def _contents(given: Mapping[str, Any]) -> dict[str, Any]:
    text, html = _text(given, "textpart", "TextPart"), _text(given, "htmlpart", "HTMLPart")
    if not (text or html or given.get("templateid") or given.get("templatename")):
        message = 'At least "HTMLPart", "TextPart" or "TemplateID" must be provided.'
        raise _wrong("send-0003", message, "TextPart", "HTMLPart", "TemplateID")
    subject = _text(given, "subject", "Subject", LONGEST_SUBJECT)
    try:
        headers.subject_line(subject)
    except ValueError as error:
        raise _wrong("mj-0005", str(error), "Subject") from None
    return {"subject": subject, "text": text or None, "html": html or None}


def _headers(given: Mapping[str, Any]) -> dict[str, Any]:
    raw = given.get("headers") or {}
    if not isinstance(raw, dict):
        raise _wrong("mj-0004", 'Type mismatch. Expected type "object".', "Headers")
    if len(raw) > MOST_PARTS:
        raise _wrong("mj-0008", f"The collection holds more than {MOST_PARTS} items.", "Headers")
    problems: list[Problem] = []
    extra, as_given, answers = [], [], []
    for name, value in raw.items():
        place, low = f'Headers["{name[:100]}"]', name.lower()
        if low in FORBIDDEN or low.startswith(("content-", "arc-", "resent-")) or low == "mime-version":
            problems.append(Problem("send-0011", 400, f'The header "{name[:100]}" cannot be customized.', (place,)))
            continue
        if isinstance(value, bool | int | float):
            value = str(value)
        if not isinstance(value, str):
            problems.append(Problem("mj-0004", 400, 'Type mismatch. Expected type "string".', (place,)))
            continue
        try:
            headers.field_line(name, value)
        except ValueError as error:
            problems.append(Problem("mj-0005", 400, str(error), (place,)))
            continue
        (answers if low == "reply-to" else as_given if low in AS_GIVEN else extra).append((name, value))
    if problems:
        raise _Wrong(*problems)
    if answers and not given.get("replyto"):
        as_given += answers
    return {"extra": extra, "given": as_given}


def _attachments(given: Mapping[str, Any]) -> dict[str, Any]:
    found: list[Attachment] = []
    total = 0
    for name, shown in (("attachments", "Attachments"), ("inlinedattachments", "InlinedAttachments")):
        raw = given.get(name) or []
        if not isinstance(raw, list):
            raise _wrong("mj-0004", 'Type mismatch. Expected type "array".', shown)
        if len(raw) > MOST_PARTS:
            raise _wrong("mj-0008", f"The collection holds more than {MOST_PARTS} items.", shown)
        for place, one in enumerate(raw):
            made = _attachment(one, f"{shown}[{place}]", inline=name.startswith("inlined"))
            total += len(made.content)
            if total > MOST_OCTETS:
                raise _wrong("mj-0011", f"Attachments are larger than {MOST_OCTETS >> 20} MB together.", shown)
            found.append(made)
    return {"attachments": found}


def _attachment(raw: Any, place: str, *, inline: bool) -> Attachment:
    if not isinstance(raw, dict):
        raise _wrong("mj-0004", 'Type mismatch. Expected type "attachment".', place)
    given = folded(raw)
    values = {}
    for name in ("ContentType", "Filename", "Base64Content"):
        value = given.get(name.lower())
        if value is None:
            raise _wrong("mj-0003", "Missing mandatory property.", f"{place}.{name}")
        if not isinstance(value, str):
            raise _wrong("mj-0004", 'Type mismatch. Expected type "string".', f"{place}.{name}")
        if not value:
            raise _wrong("mj-0012", "The value must not be empty.", f"{place}.{name}")
        values[name] = value
    try:
        content = base64.b64decode("".join(values["Base64Content"].split()), validate=True)
    except (binascii.Error, ValueError):
        raise _wrong("mj-0005", "The value is not base64.", f"{place}.Base64Content") from None
    content_id = given.get("contentid") or values["Filename"] if inline else None
    made = Attachment(values["Filename"], content, values["ContentType"], content_id)
    try:
        made.encode()
    except ValueError as error:
        raise _wrong("mj-0005", str(error), place) from None
    return made


def _template(given: Mapping[str, Any]) -> dict[str, Any]:
    number = given.get("templateid") or None
    if isinstance(number, str) and number.strip().isdecimal() and len(number) < 20:
        number = int(number)
    if number is not None and (isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 1 << 63):
        raise _wrong("mj-0004", 'Type mismatch. Expected type "int".', "TemplateID")
    variables = given.get("variables") or {}
    if not isinstance(variables, dict):
        raise _wrong("mj-0004", 'Type mismatch. Expected type "object".', "Variables")
    language = _boolean(given.get("templatelanguage"))
    report = given.get("templateerrorreporting")
    deliver = _boolean(given.get("templateerrordeliver"))
    if (report or deliver) and not language:
        raise _wrong("send-0016", "TemplateLanguage must be set to use this property.", "TemplateLanguage")
    once = _boolean(given.get("deduplicatecampaign"))
    if once and not given.get("customcampaign"):
        message = "DeduplicateCampaign needs a CustomCampaign."
        raise _wrong("send-0012", message, "CustomCampaign", "DeduplicateCampaign")
    tags = _text(given, "urltags", "URLTags", LONGEST_TAGS).strip().lstrip("?&")
    if not _TAGS.fullmatch(tags):
        raise _wrong("mj-0005", "URLTags is the query of an address, as in a=b&c=d.", "URLTags")
    return {
        "template_id": number,
        "template_name": _kept(given, "templatename", "TemplateID", 200),
        "language": language,
        "once": once,
        "variables": variables,
        "report_to": _mailbox(report, "TemplateErrorReporting") if report else None,
        "deliver": deliver,
        "tags": tags,
    }


def _words(given: Mapping[str, Any]) -> dict[str, Any]:
    priority = given.get("priority", 2)
    if str(priority) not in ("0", "1", "2", "3"):
        raise _wrong("mj-0005", "Priority is 0, 1, 2 or 3.", "Priority")
    measured = {}
    for name, shown in (("opens", "TrackOpens"), ("clicks", "TrackClicks")):
        word = str(given.get(shown.lower(), "account_default")).lower()
        if word not in ("account_default", "enabled", "disabled"):
            raise _wrong("mj-0005", "The value is account_default, enabled or disabled.", shown)
        measured[name] = None if word == "account_default" else word == "enabled"
    return {
        **measured,
        "priority": int(priority),
        "custom_id": _kept(given, "customid", "CustomID", 1000),
        "payload": _kept(given, "eventpayload", "EventPayload", 10_000),
        "campaign": _kept(given, "customcampaign", "CustomCampaign", 255),
    }


def _boolean(value: Any) -> bool:
    """Clients write true, 1 and both as text."""
    return value is True or value == 1 or (isinstance(value, str) and value.strip().lower() in ("true", "1"))


# ---- answering

Told = list[tuple[str, int, str]]
"""Of each recipient: address, MessageID, MessageUUID."""


def success(letter: Letter, told: Told, address: str) -> dict[str, Any]:
    """The entry of a letter; ``told`` in the order to, cc, bcc."""
    entries = [
        {"Email": email, "MessageUUID": uid, "MessageID": number, "MessageHref": f"{address}/v3/REST/message/{number}"}
        for email, number, uid in told
    ]
    after_to, after_cc = len(letter.to), len(letter.to) + len(letter.cc)
    return {
        "Status": "success",
        "CustomID": letter.custom_id,
        "To": entries[:after_to],
        "Cc": entries[after_to:after_cc],
        "Bcc": entries[after_cc:],
    }


def failure(problems: Sequence[Problem]) -> dict[str, Any]:
    return {"Status": "error", "Errors": [one.told() for one in problems]}


def status_of(problems: Iterable[Problem]) -> int:
    """200 when all was well; what all of the errors are, if they are one; else 400."""
    found = {one.status for one in problems}
    if not found:
        return 200
    return found.pop() if len(found) == 1 else 400
