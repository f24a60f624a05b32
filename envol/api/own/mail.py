"""Single messages handed in; campaigns and sign-up forms read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from msgspec import Meta, Struct

from envol import db_role
from envol.accounts.models import Scope
from envol.api import accepting
from envol.api.own.ground import (
    STRANGE_CURSOR,
    Call,
    Email,
    Fault,
    Input,
    Page,
    Paged,
    Route,
    Wrong,
    missing,
    page,
)
from envol.api.own.people import contact_row
from envol.api.send_v31 import LONGEST_SUBJECT, MOST_PARTS, MOST_RECIPIENTS, Letter
from envol.campaigns.models import Campaign
from envol.collect.models import SignupForm
from envol.insight import report
from envol.outbound import grounds, mail_log
from envol.outbound.mail_log import Entry
from envol.outbound.privacy import ERASED
from envol.wire.address import AddressError, normalise
from envol.wire.message.headers import Mailbox
from envol.wire.message.parts import Attachment


class Party(Input):
    email: Email
    name: Annotated[str, Meta(max_length=200)] = ""


class File(Input):
    """``content`` in base64. ``content_id``: the HTML part shows it as cid:…"""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    content: bytes
    type: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.+-]+/[A-Za-z0-9.+-]+$", max_length=100)] = (
        "application/octet-stream"
    )
    content_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._@-]{1,200}$")] | None = None


_People = Annotated[list[Party], Meta(max_length=MOST_RECIPIENTS)]


class MessageInput(Input, rename={"sender": "from"}):
    """One message that somebody waits for: a receipt, a link. ``reference``: your own word for it.

    ``track_opens``, ``track_clicks``: measure it as far as each recipient allows; null: as your workspace has it.
    """

    sender: Party
    to: Annotated[list[Party], Meta(min_length=1, max_length=MOST_RECIPIENTS)]
    subject: Annotated[str, Meta(min_length=1, max_length=LONGEST_SUBJECT)]
    text: str | None = None
    html: str | None = None
    cc: _People = []
    bcc: _People = []
    reply_to: Party | None = None
    attachments: Annotated[list[File], Meta(max_length=MOST_PARTS)] = []
    reference: Annotated[str, Meta(max_length=255)] = ""
    track_opens: bool | None = None
    track_clicks: bool | None = None


class Copy(Struct):
    email: str
    id: int


class Accepted(Struct):
    """It is on disk: from here on it is delivered, or you read why not."""

    recipients: list[Copy]


def _box(one: Party, place: str) -> Mailbox:
    try:
        return Mailbox(one.name, normalise(one.email).written)
    except AddressError as error:
        raise Wrong("invalid", f"{one.email!r} is no address: {error}", [Fault(place, str(error))]) from None


def send_message(call: Call) -> Accepted:
    given: MessageInput = call.body
    if given.text is None and given.html is None:
        raise Wrong("invalid", "A message needs text, html or both.", [Fault("$.text", "Give text or html.")])
    people: dict[str, list[Mailbox]] = {}
    seen: set[str] = set()
    for field in ("to", "cc", "bcc"):
        people[field] = []
        for n, party in enumerate(getattr(given, field)):
            box = _box(party, f"$.{field}[{n}]")
            if (known := normalise(box.address).key) not in seen:  # the first that names her counts
                seen.add(known)
                people[field].append(box)
    letter = Letter(
        _box(given.sender, "$.from"), people["to"], people["cc"], people["bcc"],
        reply_to=[_box(given.reply_to, "$.reply_to")] if given.reply_to else [],
        subject=given.subject, text=given.text, html=given.html, custom_id=given.reference,
        opens=given.track_opens, clicks=given.track_clicks,
        attachments=[Attachment(one.name, one.content, one.type, one.content_id) for one in given.attachments],
    )  # fmt: skip
    if len(letter.people) > MOST_RECIPIENTS:
        raise Wrong("invalid", f"A message has at most {MOST_RECIPIENTS} recipients.")
    with db_role.as_owner():  # whoever is written to becomes a contact, and messages are written by COPY
        (entry,) = accepting.accept_letters(call.key, [letter])
    if entry["Status"] != "success":
        problem = entry["Errors"][0]
        raise Wrong("forbidden" if problem["StatusCode"] in (401, 403) else "invalid", problem["ErrorMessage"])
    return Accepted([Copy(one["Email"], one["MessageID"]) for part in ("To", "Cc", "Bcc") for one in entry[part]])


class Ground(Struct):
    """The answer in force when the message was queued, as the ledger has it: ``leaf`` of ``block``.

    All but ``id`` is null where the person was erased since.
    """

    id: int
    block: int | None
    leaf: int | None
    basis: str | None
    since: datetime | None
    source: str | None


class MessageTold(Struct):
    """One message to one person, and what became of it. ``id`` counts within ``sending``.

    ``email`` is null where the person was erased since. ``ground`` is null where the message needed none (a contract,
    a test to a colleague). ``ended_at`` is null while it waits; ``code``, ``enhanced`` and ``reply``: what the other
    side said last.
    """

    id: int
    sending: int
    kind: str
    campaign: int | None
    contact: int | None
    email: str | None
    subject: str
    reference: str
    message_id: str
    state: str
    attempts: int
    accepted_at: datetime
    ended_at: datetime | None
    code: int | None
    enhanced: str | None
    reply: str
    ground: Ground | None


def _messages(call: Call, entries: Sequence[Entry]) -> list[MessageTold]:
    found = grounds.of_each(call.workspace.pk, [(one.sending_id, one.no) for one in entries])
    return [
        MessageTold(
            one.no, one.sending_id, one.kind, one.campaign_id, one.contact_id,
            one.address if one.address != ERASED else None, one.subject, one.custom_id, mail_log.message_id_of(one),
            one.state, one.attempts, one.at, one.ended_at, one.code, one.enhanced, one.reply,
            Ground(*ground) if (ground := found.get((one.sending_id, one.no))) else None,
        )
        for one in entries
    ]  # fmt: skip


def _message(call: Call, found: Entry | None) -> MessageTold:
    if found is None:
        raise missing("message")
    return _messages(call, [found])[0]


def get_message(call: Call) -> MessageTold:
    return _message(call, mail_log.single(call.workspace.pk, call.at["message"]))


def get_message_of_sending(call: Call) -> MessageTold:
    return _message(call, mail_log.entry(call.workspace.pk, call.at["sending"], call.at["message"]))


def list_messages_of_contact(call: Call) -> Page[MessageTold]:
    person = contact_row(call, call.at["contact"])
    try:
        found = mail_log.of_address(call.workspace.pk, person.email, call.query.cursor, call.query.limit)
    except mail_log.BadCursor:
        raise Wrong("invalid", STRANGE_CURSOR) from None
    return Page(_messages(call, found.entries), found.next or None)


# ---- campaigns


class CampaignTold(Struct):
    id: int
    name: str
    state: str
    purpose: str | None
    segment: int | None
    scheduled_at: datetime | None
    created_at: datetime


class Reaction(Struct):
    """Those who agreed to be measured, by person and by event; machines are left out."""

    people: int
    events: int


class CampaignFigures(Struct):
    """``outcome``: people by what became of their copy. As of now."""

    campaign: int
    outcome: dict[str, int]
    opened: Reaction
    clicked: Reaction
    unsubscribed: Reaction
    complained: Reaction


def _campaign(one: Campaign) -> CampaignTold:
    purpose = one.purpose.key if one.purpose else None
    return CampaignTold(one.pk, one.name, one.state, purpose, one.segment_id, one.scheduled_at, one.created_at)


def _campaign_row(call: Call) -> Campaign:
    mine = Campaign.objects.filter(workspace=call.workspace).select_related("purpose")
    found = mine.filter(pk=call.at["campaign"]).first()
    if found is None:
        raise missing("campaign")
    return found


def list_campaigns(call: Call) -> Page[CampaignTold]:
    return page(call, Campaign.objects.filter(workspace=call.workspace).select_related("purpose"), _campaign)


def get_campaign(call: Call) -> CampaignTold:
    return _campaign(_campaign_row(call))


def _reaction(found: Any) -> Reaction:
    return Reaction(found.people, found.events)


def get_campaign_figures(call: Call) -> CampaignFigures:
    one = _campaign_row(call)
    found = report.report(call.workspace, one)
    return CampaignFigures(
        one.pk, dict(found.outcome), _reaction(found.opened), _reaction(found.clicked),
        _reaction(found.unsubscribed), _reaction(found.complained),
    )  # fmt: skip


# ---- forms


class FormTold(Struct, rename={"joins": "list"}):
    """A sign-up page. ``url``: where people fill it in; ``list``: what they join."""

    id: int
    joins: int
    active: bool
    url: str
    languages: list[str]
    fields: list[Any]
    created_at: datetime


def _form(one: SignupForm) -> FormTold:
    url = f"{settings.ENVOL.base_url}/s/{one.token}"
    return FormTold(one.pk, one.list_id, one.active, url, one.languages, one.fields, one.created_at)


def list_forms(call: Call) -> Page[FormTold]:
    return page(call, SignupForm.objects.filter(workspace=call.workspace), _form)


def get_form(call: Call) -> FormTold:
    found = SignupForm.objects.filter(workspace=call.workspace, pk=call.at["form"]).first()
    if found is None:
        raise missing("form")
    return _form(found)


ROUTES = (
    Route("POST", "/messages", Scope.SMTP, send_message, _("Send one message, to somebody who waits for it."), Accepted,
          body=MessageInput, status=202),
    Route("GET", "/messages/{message}", Scope.RESULTS, get_message,
          _("What became of a message, by the number that its call answered, and on which ground it left."),
          MessageTold),
    Route("GET", "/sendings/{sending}/messages/{message}", Scope.RESULTS, get_message_of_sending,
          _("The same of any message, campaigns’ too."), MessageTold),
    Route("GET", "/contacts/{contact}/messages", Scope.RESULTS, list_messages_of_contact,
          _("What went to a person’s address, newest first."), Page[MessageTold], Paged),
    Route("GET", "/campaigns", Scope.RESULTS, list_campaigns, _("Campaigns, in the order they were made."),
          Page[CampaignTold], Paged),
    Route("GET", "/campaigns/{campaign}", Scope.RESULTS, get_campaign, _("One campaign."), CampaignTold),
    Route("GET", "/campaigns/{campaign}/figures", Scope.RESULTS, get_campaign_figures, _("What a campaign brought."),
          CampaignFigures),
    Route("GET", "/forms", Scope.CONTACTS, list_forms, _("Sign-up forms."), Page[FormTold], Paged),
    Route("GET", "/forms/{form}", Scope.CONTACTS, get_form, _("One sign-up form."), FormTold),
)  # fmt: skip
