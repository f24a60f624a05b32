"""The filter of the people's table: from the address, as sentences, as the rule of a segment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import Http404, QueryDict
from django.utils.translation import gettext as _

from envol.accounts.models import Workspace
from envol.audience.models import Segment
from envol.consent.models import Purpose
from envol.contacts import filters
from envol.contacts.filters import Filter
from envol.contacts.models import List, Property
from envol.web.doors import MemberRequest
from envol.web.masking import sees_addresses
from envol.web.templatetags.envol import label
from envol.web.templatetags.envol import word as said

KEYS = ("q", "list", "segment", "tag", "permission", "proof", "blocked")
"""What of an address is the filter; the rest of it is order, place and choice."""


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def filter_of(request: MemberRequest, query: QueryDict | None = None) -> Filter:
    """The people an address asks for; 404 when it names what this workspace does not have."""
    given = request.GET if query is None else query
    chosen = Filter(
        text=" ".join(given.get("q", "").split())[:200],
        names_only=not sees_addresses(request),
        list_id=_number(given.get("list", "")) if given.get("list") else None,
        segment_id=_number(given.get("segment", "")) if given.get("segment") else None,
        tag=given.get("tag", "").strip()[:60],
        permission=given.get("permission", "")[:80],
        proof=given.get("proof", "")[:20],
        blocked=bool(given.get("blocked") or given.get("suppressed")),
    )
    try:
        filters.where(request.workspace, chosen)
    except filters.FilterProblem:
        raise Http404 from None
    return chosen


def query_of(given: QueryDict, more: Iterable[tuple[str, Any]] = ()) -> str:
    """``?…`` with the filter of ``given`` and what else is named; empty when there is nothing."""
    kept = QueryDict(mutable=True)
    for key in KEYS:
        if text := given.get(key, "").strip():
            kept[key] = text
    for key, text in more:
        if text:
            kept[key] = str(text)
    return "?" + kept.urlencode() if kept else ""


def chips_of(workspace: Workspace, chosen: Filter, given: QueryDict) -> list[dict[str, str]]:
    """One sentence for each part of the filter, with the address that takes it away."""
    chips: list[dict[str, str]] = []

    def chip(key: str, sentence: str) -> None:
        left = given.copy()
        for gone in (key, "after", "suppressed" if key == "blocked" else key):
            left.pop(gone, None)
        chips.append({"sentence": sentence, "without": "?" + left.urlencode()})

    if chosen.text:
        chip("q", _("Matches “%(words)s”") % {"words": chosen.text})
    if chosen.list_id is not None:
        chip("list", _("On the list “%(name)s”") % {"name": List.objects.get(pk=chosen.list_id).name})
    if chosen.segment_id is not None:
        chip("segment", _("In the segment “%(name)s”") % {"name": Segment.objects.get(pk=chosen.segment_id).name})
    if chosen.tag:
        chip("tag", _("Wears the tag “%(tag)s”") % {"tag": chosen.tag})
    if chosen.permission:
        key, _dot, state = chosen.permission.rpartition(".")
        named = {"purpose": label(Purpose.objects.get(workspace=workspace, key=key))}
        sentences = {
            "yes": _("May be written to for “%(purpose)s”"),
            "no": _("Not for “%(purpose)s”"),
            "granted": _("Agrees to “%(purpose)s”"),
            "refused": _("Said no to “%(purpose)s”"),
            "lapsed": _("The permission for “%(purpose)s” ended by its term"),
            "requested": _("Asked for “%(purpose)s”, not confirmed yet"),
        }
        reason = _("Not for “%(purpose)s”: %(why)s") % {**named, "why": said(state)}
        chip("permission", sentences[state] % named if state in sentences else reason)
    if chosen.proof:
        chip("proof", _("A permission with: %(proof)s") % {"proof": said(chosen.proof)})
    if chosen.blocked:
        chip("blocked", _("Gets nothing more"))
    return chips


def tree_of(workspace: Workspace, chosen: Filter) -> dict[str, Any] | None:
    """The same people as a rule of the segment language, or None where that language cannot say it."""
    if chosen.blocked or chosen.names_only or chosen.ids or chosen.proof:
        return None
    rules: list[dict[str, Any]] = []
    known = set(Property.objects.filter(workspace=workspace, type="text").values_list("key", flat=True))
    for word in chosen.text.split()[:8]:
        places = ["email", *(f"prop.{key}" for key in filters.NAMES if key in known)]
        either = [{"field": place, "op": "contains", "value": word} for place in places]
        rules.append({"match": "any", "rules": either})
    if chosen.list_id is not None:
        rules.append({"field": "list", "op": "on", "value": chosen.list_id})
    if chosen.segment_id is not None:
        rules.append({"field": "segment", "op": "in", "value": chosen.segment_id})
    if chosen.tag:
        rules.append({"field": "tag", "op": "has_any", "value": [chosen.tag]})
    if chosen.permission:
        key, _dot, state = chosen.permission.rpartition(".")
        if (
            state not in ("yes", "no")
            or Purpose.objects.filter(workspace=workspace, key=key, kind="measuring").exists()
        ):
            return None
        rules.append({"field": "permission", "op": "may_write" if state == "yes" else "may_not_write", "value": key})
    return {"v": 1, "match": "all", "rules": rules} if rules else None
