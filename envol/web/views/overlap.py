"""How far do segments name the same people? Up to ten against one another, each pair a segment to open."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from envol.accounts.models import Role
from envol.audience import overlap
from envol.audience.catalogue import Catalogue
from envol.audience.language import SegmentProblem
from envol.audience.models import Segment
from envol.audience.overlap import Overlap
from envol.db import TooSlow, within
from envol.web import charts
from envol.web.doors import MemberRequest, audience
from envol.web.templatetags.envol import number, percent

OFFERED = 100  # segments that the form lists
CEILING = 30.0  # seconds


def chosen_segments(request: MemberRequest) -> tuple[list[Segment], list[Segment], int]:
    """Those the form offers, those that ``?segment=`` chose of this workspace, and how many more were chosen."""
    offered = list(Segment.objects.filter(workspace=request.workspace).order_by("name")[:OFFERED])
    wanted = {int(one) for one in request.GET.getlist("segment") if one.isascii() and one.isdigit() and len(one) < 19}
    found = list(Segment.objects.filter(workspace=request.workspace, pk__in=wanted).order_by("name"))
    offered += [one for one in found if one not in offered]
    return offered, found[: overlap.MOST], max(0, len(found) - overlap.MOST)


def closest(chosen: list[Segment], found: Overlap) -> str:
    """The two of the chosen that share most of their people."""
    pairs = [(found.jaccard(a, b) or 0.0, a, b) for a, b in combinations(range(len(chosen)), 2)]
    if not pairs:
        return ""
    share, a, b = max(pairs)
    if not share:
        return _("None of the chosen segments share anybody.")
    return ngettext(
        "Closest to one another: “%(a)s” and “%(b)s” have %(both)s person in common, %(share)s of those in either.",
        "Closest to one another: “%(a)s” and “%(b)s” have %(both)s people in common, %(share)s of those in either.",
        found.both(a, b),
    ) % {
        "a": chosen[a].name,
        "b": chosen[b].name,
        "both": number(found.both(a, b)),
        "share": percent(found.both(a, b), found.either(a, b)),
    }


@require_safe
@audience(Role.VIEWER)
def segments_overlap(request: MemberRequest) -> HttpResponse:
    offered, chosen, too_many = chosen_segments(request)
    facts: dict[str, Any] = {"offered": offered, "chosen": chosen, "too_many": too_many, "most": overlap.MOST}
    if len(chosen) < 2:
        return render(request, "segments/overlap.html", facts)
    try:
        with within(CEILING):
            found = overlap.overlap(Catalogue(request.workspace), [segment.whole for segment in chosen])
    except SegmentProblem as error:
        return render(request, "segments/overlap.html", facts | {"unreadable": str(error)})
    except TooSlow:
        return render(request, "segments/overlap.html", facts | {"slow": True})
    finding = closest(chosen, found)
    among = range(len(chosen))
    editor = request.member.role != Role.VIEWER
    rows = [
        {
            "no": a + 1,
            "segment": segment,
            "size": found.size(a),
            "cells": [_cell(chosen, found, a, b, editor) for b in among],
        }
        for a, segment in enumerate(chosen)
    ]
    picture = charts.matrix(
        "overlap",
        [segment.name for segment in chosen],
        [[found.jaccard(a, b) for b in among] for a in among],
        title=_("Overlap of segments"),
        desc=finding,
        percent=lambda share: percent(share, 1),
    )
    together = found.people - found.masks.get(0, 0)
    facts |= {"found": found, "rows": rows, "svg": picture, "finding": finding, "together": together}
    return render(request, "segments/overlap.html", facts)


def _cell(chosen: list[Segment], found: Overlap, a: int, b: int, editor: bool) -> dict[str, Any]:
    if a == b:
        return {"own": True}
    both = found.both(a, b)
    names = {"a": chosen[a].name, "b": chosen[b].name}
    rules = [{"field": "segment", "op": "in", "value": chosen[n].pk} for n in (a, b)]
    query = {"name": _("%(a)s and %(b)s") % names, "tree": json.dumps({"v": 1, "match": "all", "rules": rules})}
    return {
        "both": both,
        "share": percent(both, found.either(a, b)),
        "href": f"{reverse('web:new_segment')}?{urlencode(query)}" if editor and both else "",
    }
