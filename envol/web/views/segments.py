"""Who exactly? Segments as a sentence and a count; one of them with its people, its users, and why someone is in it."""

from __future__ import annotations

import json
import secrets
import time
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from envol.accounts.models import Role, Workspace
from envol.audience import counting, engine, hands, text
from envol.audience import segments as service
from envol.audience.catalogue import Catalogue
from envol.audience.days import Days
from envol.audience.language import SegmentProblem
from envol.audience.models import Segment
from envol.audience.offers import Offers
from envol.contacts import filters
from envol.contacts.models import Contact
from envol.web import segment_words
from envol.web.answers import refuse, see
from envol.web.audiences import sentence_of
from envol.web.doors import MemberRequest, audience
from envol.web.examples import Example, examples, families
from envol.web.masking import sees_addresses
from envol.web.paging import page_of
from envol.web.views.contacts import name_of
from envol.web.views.segment_builder import figures_of
from envol.web.views.segment_moves import moves_of
from envol.web.views.segment_versions import versions_of

COUNTING = 0.06  # seconds that the list gives to counts before it leaves the others to be asked for one by one
FOUND = 8
SHOWN = 50
ONE_DAY = timedelta(days=1)


@require_safe
@audience(Role.VIEWER)
def segments(request: MemberRequest) -> HttpResponse:
    workspace: Workspace = request.workspace
    catalogue = Catalogue(workspace)
    page = page_of(request, Segment.objects.filter(workspace=workspace))
    end = time.monotonic() + COUNTING
    total = Offers(catalogue).total
    found, users = [], service.users_of(page.rows)
    for one in page.rows:
        left = end - time.monotonic()
        found.append(
            {
                "segment": one,
                "sentence": sentence_of(catalogue, one.whole),
                "count": _counted(catalogue, one, left) if left > 0.01 else None,
                "used_by": users[one.pk],
            }
        )
    facts: dict[str, Any] = {"found": found, "total": total, "page": page, "counted_at": timezone.now()}
    if not page.rows and not page.first:
        facts["examples"] = [_to_copy(catalogue, example) for example in examples(catalogue)]
    return render(request, "segments/list.html", facts)


def _to_copy(catalogue: Catalogue, example: Example) -> dict[str, str]:
    query = {"name": example.name, "tree": json.dumps(example.tree, ensure_ascii=False)}
    return {
        "name": example.name,
        "sentence": sentence_of(catalogue, example.tree),
        "href": f"{reverse('web:new_segment')}?{urlencode(query)}",
    }


@require_safe
@audience(Role.EDITOR)
def ready_segments(request: MemberRequest) -> HttpResponse:
    """Segments to copy, by the five families of criteria."""
    catalogue = Catalogue(request.workspace)
    found = [
        {"family": family, "examples": [_to_copy(catalogue, example) for example in family.examples]}
        for family in families(catalogue)
    ]
    return render(request, "segments/ready.html", {"found": found})


def _counted(catalogue: Catalogue, segment: Segment, seconds: float) -> int | None:
    """People in it now, or None when that takes longer; ``unreadable`` rules count nobody."""
    begun = time.monotonic()
    try:
        told = counting.told_by_columns(catalogue, segment.whole, seconds=seconds)
        if told is not None:
            return sum(told.values())
        left = max(counting.WORTH_ASKING, seconds - (time.monotonic() - begun))
        with counting.turn_of(counting.Page.of(secrets.token_hex(8)), 1, left):
            return engine.count(catalogue, segment.whole)
    except (SegmentProblem, counting.Superseded, counting.TooSlow):
        return None


def _one(request: MemberRequest, segment_id: int) -> Segment:
    found = Segment.objects.filter(workspace=request.workspace, id=segment_id).first()
    if found is None:
        raise Http404
    return found


@require_safe
@audience(Role.VIEWER)
def segment_count(request: MemberRequest, segment_id: int) -> HttpResponse:
    """The count of one segment, for the list; the segment's own page for whoever follows the link."""
    found = _one(request, segment_id)
    if "HX-Request" not in request.headers:
        return see(request, "segment", found.pk)
    count = _counted(Catalogue(request.workspace), found, counting.CEILING)
    return render(request, "segments/_count.html", {"segment": found, "count": count, "asked": True})


@require_safe
@audience(Role.VIEWER)
def segment(request: MemberRequest, segment_id: int) -> HttpResponse:
    found = _one(request, segment_id)
    catalogue = Catalogue(request.workspace)
    facts = {"segment": found, **figures_of(request, found, catalogue)}
    if "HX-Request" in request.headers:
        return render(request, "segments/_one_figures.html", facts | {"counted_at": timezone.now()})
    facts.update(
        used_by=service.used_by(found),
        versions=versions_of(found, catalogue),
        counted_at=timezone.now(),
        tree=_as_text(found, catalogue),
        **moves_of(found),
        **_by_hand(found),
        **_why(request, catalogue, found),
        **_then(request, catalogue, found),
    )
    return render(request, "segments/one.html", facts)


def _as_text(segment: Segment, catalogue: Catalogue) -> str:
    """The rule as experts write it; as it is kept when it cannot be read any more."""
    try:
        return text.write(segment.tree, catalogue)
    except SegmentProblem:
        return json.dumps(segment.tree, ensure_ascii=False, indent=2)


def _then(request: MemberRequest, catalogue: Catalogue, segment: Segment) -> dict[str, Any]:
    """ "Who was in on that day?": a week ago is proposed; what cannot be a past day is said at its place."""
    today = Days.of(timezone.now(), request.workspace.time_zone).today
    typed = request.GET.get("on", "")
    facts: dict[str, Any] = {"on": typed or (today - timedelta(days=7)).isoformat(), "yesterday": today - ONE_DAY}
    if not typed:
        return facts
    try:
        day = date.fromisoformat(typed)
        if day >= today:
            raise ValueError
    except ValueError:
        return facts | {"not_a_past_day": True}
    page = counting.Page.of(secrets.token_hex(8))
    try:
        return facts | {"day": day, "moved": counting.moved(catalogue, segment.whole, day, page)}
    except SegmentProblem as error:
        return facts | {"moved_unreadable": str(error)}
    except (counting.Superseded, counting.TooSlow):
        return facts | {"moved_slow": True}


def _by_hand(segment: Segment) -> dict[str, Any]:
    """The latest of those who were put in or left out by hand, with their names."""
    chosen = {one.contact_id: one.inside for one in hands.of(segment)} if segment.by_hand else {}
    shown = list(chosen)[:SHOWN]
    rows: dict[int, Any] = {
        one.pk: one for one in Contact.objects.filter(workspace_id=segment.workspace.pk, pk__in=shown)
    }
    for one in rows.values():
        one.name = name_of(one.props)
    found = [(rows[pk], chosen[pk]) for pk in shown if pk in rows]
    return {"by_hand": found, "by_hand_more": len(chosen) - len(shown)}


def _why(request: MemberRequest, catalogue: Catalogue, segment: Segment) -> dict[str, Any]:
    """ "Why is she in it, or not?": people who match the search, and the answer about the one chosen."""
    words = request.GET.get("who", "").strip()
    chosen = request.GET.get("person", "")
    rows = Contact.objects.filter(workspace_id=request.workspace.id)
    facts: dict[str, Any] = {"who": words, "by_address": sees_addresses(request)}
    if chosen.isascii() and chosen.isdigit() and len(chosen) < 19:
        person: Any = rows.filter(id=int(chosen)).first()
        if person is None:
            raise Http404
        person.name = name_of(person.props)
        facts["person"] = person
        try:
            facts["reason"] = engine.explain(catalogue, segment.whole, person.pk, get_language() or "en")
        except SegmentProblem as error:
            facts["unreadable"] = str(error)
        facts["matches"] = segment_words.MATCHES
        facts["hand"] = segment.people.filter(contact_id=person.pk).values_list("inside", flat=True).first()
    elif words:
        chosen_by = filters.Filter(text=words, names_only=not sees_addresses(request))
        found = filters.page(request.workspace, chosen_by, limit=FOUND)
        people: list[Any] = found.contacts
        for one in people:
            one.name = name_of(one.props)
        facts["candidates"], facts["more"] = people, found.next is not None
    return facts


@require_POST
@audience(Role.EDITOR)
def delete_segment(request: MemberRequest, segment_id: int) -> HttpResponse:
    found = _one(request, segment_id)
    name = found.name
    try:
        undo = service.delete(found, actor_id=request.member.pk)
    except SegmentProblem as error:
        return refuse(request, "segment", segment_id, said=" ".join(p.sentence for p in error.problems))
    return see(
        request, "segments", said=_("The segment “%(name)s” is gone; its people stay.") % {"name": name}, undo=undo
    )
