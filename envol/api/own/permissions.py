"""May somebody be written to, and why; permission and withdrawal passed on; requests about data."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.utils.translation import gettext_lazy as _
from msgspec import Meta, Struct

from envol.accounts.journal import note
from envol.accounts.models import Scope
from envol.api import declared
from envol.api.own.ground import Call, Email, Fault, Id, Input, Page, Paged, Route, Wrong, missing, page
from envol.api.own.groups import purpose_of
from envol.api.own.people import contact_row, key_of
from envol.consent import acts, partners, requests
from envol.consent import why as reasons
from envol.consent.models import Partner, Purpose, RightsRequest
from envol.consent.similar import Offer
from envol.contacts import people
from envol.contacts.models import Contact
from envol.outbound import leaving
from envol.wire.address import AddressError

Reference = Annotated[str, Meta(min_length=1, max_length=60, description="The key of a purpose.")]


class PurposeTold(Struct):
    key: str
    label: dict[str, str]
    kind: str
    months: int | None


class PartnerTold(Struct):
    """Named by the words of ``purpose`` from version ``since_version`` on, to before ``until_version`` (null: still).

    ``given``: people who were in a file for it; ``owed``: of these, whom it has still to be told of, since they took
    their agreement back or were erased.
    """

    id: int
    purpose: str
    name: str
    site: str
    country: str
    since_version: int
    until_version: int | None
    added_at: datetime
    ended_at: datetime | None
    given: int
    owed: int


class Line(Struct):
    """The answer of the person that this rests on: its place in the ledger, its proof."""

    id: int
    block: int
    leaf: int
    state: str
    basis: str
    since: str
    until: str | None
    recorded_at: str | None
    proof: str
    source: str | None


class Only(Struct):
    """Of a customer: what messages may be about. An empty ``seller`` is the organisation itself."""

    family: str
    seller: str


class Allowed(Struct):
    """``contact`` is null for a stranger, to whom nothing is allowed. ``only``: the permission is a customer's."""

    contact: int | None
    allowed: bool
    reason: str
    purpose: str
    at: str | None
    sentence: dict[str, str]
    line: Line | None
    only: Only | None


class WhyQuery(Input):
    """``at``: as of a day or a moment in the past. ``about``: the kind of product that a message is about, ``seller``:
    who sells it; customers may be written to about products like those they bought."""

    email: Email
    purpose: Reference
    at: Annotated[str, Meta(max_length=40)] = ""
    about: Annotated[str, Meta(max_length=200)] = ""
    seller: Annotated[str, Meta(max_length=200)] = ""


class GrantInput(Input):
    """Permission is never stronger than what a member declared for the key, and only for that purpose."""

    contact: Id
    purpose: Reference


class WithdrawalInput(Input):
    """Without a purpose: no marketing at all."""

    email: Email
    purpose: Annotated[str, Meta(max_length=60)] | None = None


class Withdrawn(Struct):
    contact: int | None
    changed: bool


class RequestInput(Input):
    """She is mailed a link that proves her mailbox; a program never proves who asks."""

    email: Email
    kind: Literal["access", "portability", "rectification", "erasure", "restriction", "objection", "review"]
    words: Annotated[str, Meta(max_length=4000)] = ""
    language: Literal["fr", "en"] | None = None


class RequestTold(Struct):
    id: int
    kind: str
    state: str
    received_at: datetime
    answer_before: datetime
    ended_at: datetime | None


def list_purposes(call: Call) -> Page[PurposeTold]:
    def told(one: Purpose) -> PurposeTold:
        return PurposeTold(one.key, {"fr": one.label_fr, "en": one.label_en}, one.kind, one.months)

    return page(call, Purpose.objects.filter(workspace=call.workspace), told)


def list_partners(call: Call) -> Page[PartnerTold]:
    """Also those that are named no more: an agreement covers the partners that its version named."""
    standing = partners.standing(call.workspace.pk)

    def told(one: Partner) -> PartnerTold:
        figures = standing.get(one.pk)
        return PartnerTold(
            one.pk, one.purpose.key, one.name, one.site, one.country, one.since_version, one.until_version,
            one.added_at, one.ended_at, figures.given if figures else 0, figures.owed if figures else 0,
        )  # fmt: skip

    return page(call, Partner.objects.filter(workspace=call.workspace).select_related("purpose"), told)


def _purpose(call: Call, key: str) -> Purpose:
    found = purpose_of(call, key)
    assert found is not None
    return found


def _allowed(
    call: Call,
    key: str,
    contact: Contact | None,
    purpose: Purpose,
    at: datetime | None = None,
    offer: Offer | None = None,
) -> Allowed:
    facts: dict[str, Any] = reasons.why(
        call.workspace, contact.pk if contact else None, key, purpose, at=at, offer=offer
    ).facts()  # fmt: skip
    line = Line(**facts["line"]) if facts["line"] else None
    return Allowed(
        contact.pk if contact else None, facts["allowed"], facts["reason"], purpose.key, facts["at"],
        facts["sentence"], line, Only(**facts["only"]) if facts["only"] else None,
    )  # fmt: skip


def ask_permission(call: Call) -> Allowed:
    query, key = call.query, key_of(call.query.email)
    purpose = _purpose(call, query.purpose)
    try:
        at = reasons.read_moment(query.at, call.workspace) if query.at else None
    except (ValueError, OverflowError) as error:
        raise Wrong("invalid", str(error), [Fault("at", str(error))]) from None
    offer = Offer(query.about, query.seller) if query.about else None
    return _allowed(call, key, people.find(call.workspace, query.email), purpose, at, offer)


def grant_permission(call: Call) -> Allowed:
    contact, purpose = contact_row(call, call.body.contact), _purpose(call, call.body.purpose)
    declaration = declared.of(call.key)
    if declaration is None or declaration.purpose_id != purpose.pk:
        said = "No member declared for this key where people agree to this purpose: that is done on the key's page."
        raise Wrong("conflict", said)
    try:
        if not declared.permit(contact, declaration):
            raise Wrong("conflict", "She refused this herself, or her address takes no mail: only she comes back.")
    except acts.Refusal as refusal:
        raise Wrong("conflict", str(refusal)) from None
    contact.refresh_from_db()
    return _allowed(call, contact.email_key, contact, purpose)


def withdraw_permission(call: Call) -> Withdrawn:
    key, purpose = key_of(call.body.email), purpose_of(call, call.body.purpose)
    person = people.find(call.workspace, call.body.email)
    number = person.pk if person else None
    # Of somebody we do not know only the address can be kept silent.
    changed = leaving.unsubscribe(
        call.workspace.pk, number, key, purpose if person else None,
        sending_id=None, cause="told by a program", via="program",
    )  # fmt: skip
    if changed:
        said = purpose.key if purpose else "marketing"
        note(call.workspace, "key", "contact.withdrawn", actor_id=call.key.pk, contact=number, purpose=said)
    return Withdrawn(number, changed)


def _request(one: RightsRequest) -> RequestTold:
    return RequestTold(one.pk, one.kind, one.state, one.received_at, one.due_at, one.ended_at)


def receive_request(call: Call) -> RequestTold:
    given: RequestInput = call.body
    try:
        made = requests.receive(
            call.workspace, given.kind, given.email, channel="api",
            language=given.language or call.workspace.language, words=given.words,
        )  # fmt: skip
    except (AddressError, ValueError) as error:
        raise Wrong("invalid", str(error)) from None
    return _request(made)


def get_request(call: Call) -> RequestTold:
    found = RightsRequest.objects.filter(workspace_id=call.workspace.pk, pk=call.at["request"]).first()
    if found is None:
        raise missing("request")
    return _request(found)


_P = Scope.CONSENT
ROUTES = (
    Route("GET", "/purposes", _P, list_purposes, _("What mail may be sent for."), Page[PurposeTold], Paged),
    Route("GET", "/partners", _P, list_partners, _("To whom data may be passed on, by version of the words."),
          Page[PartnerTold], Paged),
    Route("GET", "/consent/why", _P, ask_permission, _("May this person be written to, and why?"), Allowed, WhyQuery),
    Route("POST", "/consent/grants", _P, grant_permission, _("Pass a permission on, as it was declared for the key."),
          Allowed, body=GrantInput),
    Route("POST", "/consent/withdrawals", _P, withdraw_permission, _("Pass a withdrawal on; it counts at once."),
          Withdrawn, body=WithdrawalInput),
    Route("POST", "/consent/requests", _P, receive_request, _("Pass a request about data on."), RequestTold,
          body=RequestInput, status=202),
    Route("GET", "/consent/requests/{request}", _P, get_request, _("How a request stands."), RequestTold),
)  # fmt: skip
