"""Segments: which there are, how many, who, and why."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from django.utils.translation import gettext_lazy as _
from msgspec import UNSET, Meta, Struct, UnsetType

from envol.accounts.models import Scope
from envol.api.own.ground import Call, Fault, Id, Input, Page, Paged, Route, Wrong, after, cursor, missing, page
from envol.api.own.people import key_of
from envol.audience import counting, engine, text
from envol.audience.catalogue import Catalogue
from envol.audience.engine import Reason
from envol.audience.language import SegmentProblem
from envol.audience.models import Segment
from envol.audience.sentences import describe
from envol.consent.models import Purpose
from envol.contacts.models import Contact


class SegmentTold(Struct):
    """``rule`` as a tree, as text and as a sentence; ``problem``: what it needs is gone."""

    id: int
    name: str
    rule: Any
    text: str | None
    sentence: dict[str, str]
    problem: str | None


class SegmentFigures(Struct, omit_defaults=True):
    """``contacts``: everybody. With a purpose: whom one may write to, and why not the others."""

    count: int
    contacts: int
    seconds: float
    may_be_written_to: int | UnsetType = UNSET
    refused: dict[str, int] | UnsetType = UNSET


class SegmentWhole(Struct):
    segment: SegmentTold
    figures: SegmentFigures


class Counted(Struct):
    rule: Any
    text: str
    sentence: dict[str, str]
    figures: SegmentFigures


class Person(Struct):
    contact: int
    email: str


class WhyRule(Struct, omit_defaults=True):
    """One rule, or a group of them, and whether it holds for this person."""

    place: str
    holds: bool
    sentence: str = ""
    match: str = ""
    rules: list[WhyRule] = []


class WhyIn(Struct):
    contact: int
    inside: Annotated[bool, Meta(description="Is she in it?")]
    why: WhyRule


class PurposeQuery(Input):
    purpose: Annotated[str, Meta(max_length=60)] | None = None


class WhyQuery(Input):
    """Who: her address, or her number."""

    email: Annotated[str, Meta(max_length=254)] | None = None
    contact: Id | None = None
    language: Annotated[str, Meta(max_length=8)] = "en"


class CountInput(Input):
    """Either ``rule`` (a tree) or ``text``."""

    rule: Annotated[dict[str, Any], Meta(description="The tree, as a segment tells it.")] | None = None
    text: Annotated[str, Meta(max_length=20_000)] | None = None
    purpose: Annotated[str, Meta(max_length=60)] | None = None


def purpose_of(call: Call, key: str | None) -> Purpose | None:
    if not key:
        return None
    found = Purpose.objects.filter(workspace=call.workspace, key=key).first()
    if found is None:
        said = f"There is no purpose {key!r} here: see /purposes."
        raise Wrong("invalid", said, [Fault("purpose", said)])
    return found


def _wrong(problem: SegmentProblem) -> Wrong:
    return Wrong("invalid", str(problem), [Fault(str(one.path), one.sentence) for one in problem.problems])


def _row(call: Call) -> Segment:
    found = Segment.objects.filter(workspace=call.workspace, pk=call.at["segment"]).first()
    if found is None:
        raise missing("segment")
    return found


def _told(catalogue: Catalogue, one: Segment) -> SegmentTold:
    tree = one.tree
    try:
        said = {language: describe(tree, catalogue, language) for language in ("fr", "en")}
        return SegmentTold(one.pk, one.name, tree, text.write(tree, catalogue), said, None)
    except SegmentProblem as error:
        return SegmentTold(one.pk, one.name, tree, None, {}, str(error))


def _figures(catalogue: Catalogue, tree: Any, purpose: Purpose | None) -> SegmentFigures:
    alone = counting.Page(secrets.randbits(31) or 1)  # nothing newer can come from it
    try:
        found = counting.figures(catalogue, tree, purpose, alone, 1, patience=None)
    except SegmentProblem as problem:
        raise _wrong(problem) from None
    made = SegmentFigures(found.count, found.total, round(found.seconds, 3))
    if purpose is not None:
        made.may_be_written_to = found.reasons.get("", 0)
        made.refused = {why: n for why, n in found.reasons.items() if why}
    return made


def list_segments(call: Call) -> Page[SegmentTold]:
    catalogue = Catalogue(call.workspace)
    return page(call, Segment.objects.filter(workspace=call.workspace), lambda one: _told(catalogue, one))


def get_segment(call: Call) -> SegmentWhole:
    one, catalogue = _row(call), Catalogue(call.workspace)
    return SegmentWhole(_told(catalogue, one), _figures(catalogue, one.whole, purpose_of(call, call.query.purpose)))


def list_segment_members(call: Call) -> Page[Person]:
    one, limit = _row(call), call.query.limit
    try:
        ids = counting.people(Catalogue(call.workspace), one.whole, after(call), limit + 1)
    except SegmentProblem as problem:
        raise _wrong(problem) from None
    more = cursor(ids[limit - 1]) if len(ids) > limit else None
    mine = Contact.objects.filter(workspace_id=call.workspace.pk, pk__in=ids[:limit])
    known = dict(mine.values_list("pk", "email"))
    return Page([Person(number, known[number]) for number in ids[:limit] if number in known], more)


def explain_segment(call: Call) -> WhyIn:
    query, mine = call.query, Contact.objects.filter(workspace_id=call.workspace.pk)
    if (query.email is None) == (query.contact is None):
        raise Wrong("invalid", "Say who: email or contact.")
    one = _row(call)
    by = {"email_key": key_of(query.email)} if query.email is not None else {"pk": query.contact}
    person = mine.filter(**by).first()
    if person is None:
        raise missing("contact")
    try:
        found = engine.explain(Catalogue(call.workspace), one.whole, person.pk, query.language)
    except SegmentProblem as problem:
        raise _wrong(problem) from None
    if found is None:
        raise missing("contact")
    return WhyIn(person.pk, found.holds, _why(found))


def _why(reason: Reason) -> WhyRule:
    rules = [_why(one) for one in reason.parts] if reason.match else []
    return WhyRule(str(reason.path), reason.holds, reason.sentence or "", reason.match or "", rules)


def count_people(call: Call) -> Counted:
    given: CountInput = call.body
    if (given.rule is None) == (given.text is None):
        raise Wrong("invalid", "Send either rule or text.")
    catalogue = Catalogue(call.workspace)
    try:
        tree = text.read(given.text, catalogue) if given.text is not None else given.rule
        figures = _figures(catalogue, tree, purpose_of(call, given.purpose))
        said = {language: describe(tree, catalogue, language) for language in ("fr", "en")}
        return Counted(tree, text.write(tree, catalogue), said, figures)
    except SegmentProblem as problem:
        raise _wrong(problem) from None


_S = Scope.SEGMENTS
ROUTES = (
    Route("GET", "/segments", _S, list_segments, _("Segments, with their rules."), Page[SegmentTold], Paged),
    Route("GET", "/segments/{segment}", _S, get_segment, _("One segment: its rule, and how many it means now."),
          SegmentWhole, PurposeQuery),
    Route("GET", "/segments/{segment}/members", _S, list_segment_members, _("Who is in it now."), Page[Person], Paged),
    Route("GET", "/segments/{segment}/why", _S, explain_segment, _("Is this person in it, rule by rule?"), WhyIn,
          WhyQuery),
    Route("POST", "/segments/count", _S, count_people, _("Count a rule without keeping it."), Counted, body=CountInput,
          reads=True),
)  # fmt: skip
