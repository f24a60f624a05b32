"""The people behind a figure: before sending those chosen, allowed, left out; afterwards by outcome and reaction."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from envol.accounts.journal import note
from envol.accounts.models import Role
from envol.audience.language import SegmentProblem
from envol.campaigns.models import Campaign
from envol.consent import gates
from envol.contacts.exports import safe
from envol.contacts.models import Contact
from envol.insight.people import OUTCOMES, behind
from envol.outbound.models import Outcome, Retry
from envol.web.audiences import as_filter, in_segment
from envol.web.doors import MemberRequest, audience
from envol.web.figures import sendings_of
from envol.web.masking import shown
from envol.web.paging import page_of
from envol.web.views.campaigns import one
from envol.web.views.contacts import name_of


def title_of(group: str) -> str:
    """The heading of a group; "" for one that does not exist."""
    words = {
        "chosen": _("People the audience chooses"),
        "allowed": _("People who would get it"),
        "accepted": _("People it was sent to"),
        "waiting": _("People still waiting"),
        "deferred": _("People deferred, tried again later"),
        "delivered": _("People it was delivered to"),
        "bounced": _("People whose mailbox refused it"),
        "expired": _("People given up after many tries"),
        "cancelled": _("People left out by stopping"),
        "suppressed": _("People refused just before sending"),
        "clicked": _("People who clicked"),
        "opened": _("People known to have opened"),
        "unsubscribed": _("People who unsubscribed"),
        "complained": _("People who complained"),
        "excluded": _("People left out"),
        "link": _("People who followed this link"),
        "site": _("People at this destination"),
        "agreed_opens": _("People who agreed that opens are measured"),
        "agreed_clicks": _("People who agreed that clicks are measured"),
    }
    return str(words.get(group, ""))


def _group(campaign: Campaign, show: str) -> QuerySet[Contact]:
    """The contacts of one group; 404 for a group nobody defined."""
    workspace = campaign.workspace
    rows = Contact.objects.filter(workspace_id=workspace.id)
    group, _colon, part = show.partition(":")
    sendings = [sending.id for sending in sendings_of(campaign)]
    if group not in ("chosen", "allowed") and not (group == "excluded" and not sendings):
        try:
            found = behind(sendings, show)
        except ValueError:
            raise Http404 from None
        return rows.filter(id__in=as_filter(found.sql, found.params))
    try:
        rows = rows.filter(id__in=in_segment(workspace, campaign.segment.tree if campaign.segment else None))
    except SegmentProblem:
        return rows.none()
    if group == "chosen":
        return rows
    purpose = campaign.purpose
    reason = gates.refusal_sql(
        Contact._meta.db_table,
        bit=purpose.bit if purpose else None,
        transactional=bool(purpose and purpose.kind == "transactional"),
    )
    rows = rows.annotate(refusal=RawSQL(reason, []))  # noqa: S611 - an expression of the gates
    if group == "allowed":
        return rows.filter(refusal__isnull=True)
    return rows.filter(refusal=part) if part else rows.filter(refusal__isnull=False)


@require_safe
@audience(Role.VIEWER)
def people(request: MemberRequest, campaign_id: int) -> HttpResponse:
    campaign = one(request, campaign_id)
    show = request.GET.get("show", "chosen")
    rows = _group(campaign, show)
    page = page_of(request, rows)
    group, _colon, part = show.partition(":")
    for person in page.rows:
        person.name = name_of(person.props)
    if group in OUTCOMES or group == "deferred":
        _add_replies(campaign, page.rows)
    facts: dict[str, Any] = {
        "campaign": campaign,
        "page": page,
        "show": show,
        "title": title_of(group),
        "reason": part if group in ("excluded", "site", *OUTCOMES) else "",
        "total": rows.count(),
        "replies": group in OUTCOMES or group == "deferred",
    }
    return render(request, "campaigns/people.html", facts)


def _add_replies(campaign: Campaign, people: list[Any]) -> None:
    sendings = [sending.id for sending in sendings_of(campaign)]
    ids = [person.id for person in people]
    said: dict[int, Any] = {r.no: r for r in Retry.objects.filter(sending_id__in=sendings, no__in=ids)}
    said |= {o.no: o for o in Outcome.objects.filter(sending_id__in=sendings, no__in=ids).order_by("sending_id")}
    for person in people:
        row = said.get(person.id)
        person.reply = " ".join(str(part) for part in (row.code, row.enhanced, row.reply) if part) if row else ""


@require_safe
@audience(Role.VIEWER)
def people_csv(request: MemberRequest, campaign_id: int) -> StreamingHttpResponse:
    """The group as CSV (UTF-8 with mark); cells that a spreadsheet would run are made harmless."""
    campaign = one(request, campaign_id)
    show = request.GET.get("show", "chosen")
    rows = _group(campaign, show).order_by("id")
    note(campaign.workspace, "member", "campaign.people_exported", campaign, actor_id=request.member.pk, group=show)

    def lines() -> Iterator[str]:
        yield "\ufeff" + _line(["id", "email", "name", "language"])
        for person in rows.iterator(chunk_size=2000):
            name = shown(request, name_of(person.props))
            yield _line([str(person.id), shown(request, person.email), name, person.language or ""])

    answer = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="campaign-{campaign.pk}-{slugify(show)}.csv"'
    return answer


def _line(cells: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([safe(cell) for cell in cells])
    return out.getvalue()
