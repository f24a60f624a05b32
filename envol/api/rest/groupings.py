"""Campaigns of a program: single messages under one ``CustomCampaign``, as campaigns of the dialect.

Their numbers lie beyond those of our campaigns, so both stand in one resource.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

from envol.api.rest.ground import Call, Wrong
from envol.api.rest.values import told
from envol.outbound.models import Domain, Grouping

Rows = TypeVar("Rows", bound=Model)

BASE = 1 << 48  # within what every client reads exactly (RFC 8259 §6)


def number(pk: int) -> int:
    return BASE | pk


def by_number(call: Call, given: int) -> Grouping | None:
    """The grouping that this number of a campaign names; None where it is one of ours, or nobody's."""
    if not BASE <= given < BASE << 1:
        return None
    return Grouping.objects.filter(workspace=call.workspace, pk=given ^ BASE).first()


def by_word(call: Call, word: str) -> Grouping | None:
    return Grouping.objects.filter(workspace=call.workspace, name=word).first()


def named(call: Call) -> Grouping | None:
    """The one that ``Campaign``, ``CampaignID`` or ``CustomCampaign`` of a query names."""
    number_given = call.number("campaignid", "campaign")
    found = by_number(call, number_given) if number_given is not None else None
    if "customcampaign" not in call.query:
        return found
    word = by_word(call, call.query["customcampaign"])
    return word if number_given is None or word == found else None


def left_by(call: Call) -> QuerySet[Grouping]:
    """Those that the filters of campaigns leave, but for the filters of time."""
    query, found = call.query, Grouping.objects.filter(workspace=call.workspace)
    if (given := call.number("campaignid", "campaign")) is not None:
        found = found.filter(pk=given ^ BASE) if BASE <= given < BASE << 1 else found.none()
    if "customcampaign" in query:
        found = found.filter(name=query["customcampaign"])
    found = from_sender(call, found)
    others = (call.number("contactslist", "contactslistid"), call.number("workflowid"))
    if any(others) or call.switch("isdeleted") or call.switch("isstarred") or call.switch("isnewslettertool"):
        return found.none()
    return found.none() if call.number("campaignstatus") not in (None, 2) else found


def from_sender(call: Call, found: QuerySet[Rows]) -> QuerySet[Rows]:
    """Those that ``From``, ``FromDomain`` and ``FromID`` leave, of campaigns and of these alike."""
    query = call.query
    if "from" in query:
        found = found.filter(from_address__iexact=query["from"])
    if "fromdomain" in query:
        found = found.filter(from_address__iendswith=f"@{query['fromdomain']}")
    if (number := call.number("fromid")) is not None:
        domain = Domain.objects.filter(workspace=call.workspace, pk=number).values_list("name", flat=True).first()
        found = found.filter(from_address__iendswith=f"@{domain}") if domain else found.none()
    return found


def shown(call: Call, one: Grouping) -> dict[str, Any]:
    return {
        "CampaignType": 1,
        "ClickTracked": int(call.workspace.single_clicks),
        "CreatedAt": told(one.created_at),
        "CustomValue": one.name,
        "FromEmail": one.from_address,
        "FromName": one.from_name,
        "ID": number(one.pk),
        "IsDeleted": False,
        "IsStarred": False,
        "ListID": 0,
        "NewsLetterID": 0,
        "OpenTracked": int(call.workspace.single_opens),
        "SegmentationID": 0,
        "SendEndAt": "",
        "SendStartAt": told(one.created_at),
        "Status": 2,
        "Subject": "",
    }


def falling(call: Call) -> bool:
    """Whether the rows of `Both` are asked for from the last; they are ordered by number alone."""
    words = call.query.get("sort", "").replace("+", " ").upper().split() or ["ID"]
    if words not in (["ID"], ["ID", "ASC"], ["ID", "DESC"]):
        raise Wrong(400, f'Sort by "{" ".join(words)[:60]}" is not offered by this resource.')
    return words[-1] == "DESC"


class Both(Sequence[Any]):
    """Two kinds of rows one after the other, each by number, without reading more than is asked for."""

    def __init__(self, ours: QuerySet[Any], theirs: QuerySet[Any], *, falling: bool) -> None:
        sign = "-" if falling else ""
        parts = [ours.order_by(f"{sign}pk"), theirs.order_by(f"{sign}pk")]
        self._parts = parts[::-1] if falling else parts

    def __len__(self) -> int:
        return sum(part.count() for part in self._parts)

    def __getitem__(self, place: Any) -> Any:
        if not isinstance(place, slice):
            return self[place : place + 1][0]
        first, second = self._parts
        begin, end = place.start or 0, len(self) if place.stop is None else place.stop
        there = first.count()
        return [*first[min(begin, there) : min(end, there)], *second[max(0, begin - there) : max(0, end - there)]]
