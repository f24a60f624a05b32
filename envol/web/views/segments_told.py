"""Segments for the organisation's own programs, by API key: which there are, how many, who, and why."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import override
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from envol.accounts.models import Scope
from envol.audience import counting, engine, text
from envol.audience.catalogue import Catalogue
from envol.audience.engine import Reason
from envol.audience.language import SegmentProblem
from envol.audience.models import Segment
from envol.audience.sentences import describe
from envol.consent.models import Purpose
from envol.contacts import people as contacts
from envol.contacts.models import Contact
from envol.web.doors import api_key
from envol.wire.address import AddressError

MOST = 1000  # of one page


class _Wrong(ValueError):
    """What the program sent cannot be; the sentence says what to send."""


def _answer(work: Callable[[], JsonResponse]) -> JsonResponse:
    """What a view found, or why not, as 400 (the request) or 422 (the rule, with the place in it)."""
    try:
        with override("en"):
            return work()
    except _Wrong as error:
        return JsonResponse({"error": str(error)}, status=400)
    except SegmentProblem as error:
        places = [{"place": one.path, "why": one.sentence} for one in error.problems]
        return JsonResponse({"error": str(error), "places": places}, status=422)
    except counting.TooSlow:
        return JsonResponse({"error": "This takes longer than 30 seconds: ask for less."}, status=503)


def _number(request: HttpRequest, name: str, default: int, most: int) -> int:
    raw = request.GET.get(name, str(default))
    if not (raw.isascii() and raw.isdigit() and len(raw) < 19):
        raise _Wrong(f"{name} is a whole number.")
    return min(int(raw), most)


def _purpose(request: HttpRequest, key: Any) -> Purpose | None:
    if not key:
        return None
    found = Purpose.objects.filter(workspace=request.workspace, key=str(key)).first()  # type: ignore[attr-defined]
    if found is None:
        raise _Wrong(f"There is no purpose {str(key)[:50]!r} here.")
    return found


def _figures(catalogue: Catalogue, tree: Any, purpose: Purpose | None) -> dict[str, Any]:
    page = counting.Page(secrets.randbits(31) or 1)  # nothing newer can come from it
    found = counting.figures(catalogue, tree, purpose, page, 1, patience=None)
    made: dict[str, Any] = {"count": found.count, "contacts": found.total, "seconds": round(found.seconds, 3)}
    if purpose is not None:
        made["may_be_written_to"] = found.reasons.get("", 0)
        made["refused"] = {why: n for why, n in found.reasons.items() if why}
    return made


def _told(catalogue: Catalogue, segment: Segment) -> dict[str, Any]:
    tree = segment.tree
    made: dict[str, Any] = {"id": segment.pk, "name": segment.name, "rule": tree}
    try:
        made |= {
            "text": text.write(tree, catalogue),
            "sentence": {language: describe(tree, catalogue, language) for language in ("fr", "en")},
        }
    except SegmentProblem as error:  # a property or list that it needs is gone
        made["problem"] = str(error)
    return made


@require_safe
@api_key(Scope.SEGMENTS)
def segments_json(request: HttpRequest) -> JsonResponse:
    """A list in order of id, ``?after=ID&limit=N``; when more may follow, Link says where (RFC 8288)."""

    def work() -> JsonResponse:
        after, limit = _number(request, "after", 0, 1 << 62), max(1, _number(request, "limit", 100, MOST))
        catalogue = Catalogue(request.workspace)  # type: ignore[attr-defined]
        rows = list(Segment.objects.filter(workspace=catalogue.workspace, pk__gt=after).order_by("pk")[:limit])
        answer = JsonResponse([_told(catalogue, one) for one in rows], safe=False)
        if len(rows) == limit:
            answer["Link"] = f'</segments.json?after={rows[-1].pk}&limit={limit}>; rel="next"'
        return answer

    return _answer(work)


def _segment(request: HttpRequest, segment_id: int) -> Segment:
    return get_object_or_404(Segment, workspace=request.workspace, pk=segment_id)  # type: ignore[attr-defined]


@require_safe
@api_key(Scope.SEGMENTS)
def segment_json(request: HttpRequest, segment_id: int) -> JsonResponse:
    """The rule, its sentence and its figures; with ``?purpose=KEY`` also whom one may write to, and why not others."""

    def work() -> JsonResponse:
        segment = _segment(request, segment_id)
        catalogue = Catalogue(segment.workspace)
        figures = _figures(catalogue, segment.whole, _purpose(request, request.GET.get("purpose")))
        return JsonResponse(_told(catalogue, segment) | figures)

    return _answer(work)


@require_safe
@api_key(Scope.SEGMENTS)
def segment_people_json(request: HttpRequest, segment_id: int) -> JsonResponse:
    """Who is in it, in order of id: ``?after=ID&limit=N``, Link says where more are."""

    def work() -> JsonResponse:
        segment = _segment(request, segment_id)
        after, limit = _number(request, "after", 0, 1 << 62), max(1, _number(request, "limit", MOST, MOST))
        ids = counting.people(Catalogue(segment.workspace), segment.whole, after, limit)
        known = dict(Contact.objects.filter(workspace_id=segment.workspace.pk, pk__in=ids).values_list("pk", "email"))
        people = [{"contact": one, "email": known[one]} for one in ids if one in known]
        answer = JsonResponse(people, safe=False)
        if len(ids) == limit:
            answer["Link"] = f'</segments/{segment.pk}/people.json?after={ids[-1]}&limit={limit}>; rel="next"'
        return answer

    return _answer(work)


@require_safe
@api_key(Scope.SEGMENTS)
def segment_why_json(request: HttpRequest, segment_id: int) -> JsonResponse:
    """Is this person in it (``?email=`` or ``?contact=ID``), rule by rule; 404 for nobody here."""

    def work() -> JsonResponse:
        segment = _segment(request, segment_id)
        if email := request.GET.get("email", ""):
            try:
                person = contacts.find(segment.workspace, email)
            except AddressError as error:
                raise _Wrong(str(error)) from None
        elif "contact" in request.GET:
            number = _number(request, "contact", 0, 1 << 62)
            person = Contact.objects.filter(workspace_id=segment.workspace.pk, pk=number).first()
        else:
            raise _Wrong("Say who: ?email=… or ?contact=NUMBER.")
        catalogue = Catalogue(segment.workspace)
        reason = (
            engine.explain(catalogue, segment.whole, person.pk, request.GET.get("language", "en")) if person else None
        )
        if person is None or reason is None:
            return JsonResponse({"error": "There is nobody of this address or number here."}, status=404)
        return JsonResponse({"contact": person.pk, "in": reason.holds, "why": _reason(reason)})

    return _answer(work)


def _reason(reason: Reason) -> dict[str, Any]:
    made: dict[str, Any] = {"place": reason.path, "holds": reason.holds}
    if reason.sentence:
        made["sentence"] = reason.sentence
    if reason.match:
        made |= {"match": reason.match, "rules": [_reason(one) for one in reason.parts]}
    return made


@csrf_exempt  # an API key is asked for, and no cookie counts
@require_POST
@api_key(Scope.SEGMENTS)
def count_json(request: HttpRequest) -> JsonResponse:
    """``{"rule": tree}`` or ``{"text": …}``, and a purpose where wanted: the figures, without saving anything."""

    def work() -> JsonResponse:
        try:
            raw = json.loads(request.body)
        except (ValueError, RecursionError, RequestDataTooBig):
            raise _Wrong('Send JSON: {"text": "prop.city = "Lyon""} or {"rule": { … }}.') from None
        if not isinstance(raw, dict) or ("rule" in raw) == ("text" in raw):
            raise _Wrong("Send an object with either rule or text.")
        catalogue = Catalogue(request.workspace)  # type: ignore[attr-defined]
        tree = text.read(str(raw["text"]), catalogue) if "text" in raw else raw["rule"]
        figures = _figures(catalogue, tree, _purpose(request, raw.get("purpose")))
        sentence = {language: describe(tree, catalogue, language) for language in ("fr", "en")}
        return JsonResponse({"rule": tree, "text": text.write(tree, catalogue), "sentence": sentence} | figures)

    return _answer(work)
