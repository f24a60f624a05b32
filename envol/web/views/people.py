"""The people behind a figure: before sending those chosen, allowed, left out; afterwards by outcome and reaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any
from urllib.parse import urlencode

from babel.dates import get_day_names
from django.contrib import messages
from django.db.models import QuerySet
from django.db.models.expressions import RawSQL
from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.text import slugify
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from envol.accounts.journal import note
from envol.accounts.models import Role
from envol.audience import segments
from envol.audience.language import SegmentProblem
from envol.campaigns import checks
from envol.campaigns.models import Campaign
from envol.consent import gates
from envol.contacts.export_files import needs_approval
from envol.contacts.models import Contact
from envol.db import TooSlow, is_large, within
from envol.insight.keeping import TooMany, keep, rule_for
from envol.insight.people import OUTCOMES, People, behind
from envol.outbound.models import Outcome, Retry
from envol.web.answers import see, see_path
from envol.web.audiences import as_filter, in_segment
from envol.web.doors import MemberRequest, audience
from envol.web.figures import chosen_sendings
from envol.web.masking import sees_addresses, shown
from envol.web.paging import PAGE, Page, before_of, made_of, page_of
from envol.web.tables import line
from envol.web.templatetags.envol import number, word
from envol.web.views.campaigns import one
from envol.web.views.contacts import name_of

PATIENCE = 0.025  # seconds that a page gives to counting; what takes longer follows it
BEFORE = ("chosen", "allowed")  # told by the campaign's audience, before anything is sent


def title_of(show: str) -> str:
    """The heading of a group; "" for one that does not exist."""
    group, _colon, part = show.partition(":")
    rest = part.partition(":")[2]
    if group in ("clicked", "opened") and part == "machine":
        return _("Addresses whose machines followed a link")
    if group == "site" and rest:
        group = rest
    if part == "reacted":
        return (
            _("People who agreed to be measured and clicked")
            if group == "agreed_clicks"
            else _("People who agreed to be measured and opened")
        )
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
        "returned": _("People whose message came back later"),
        "excluded": _("People left out"),
        "link": _("People who followed this link"),
        "site": _("People at this destination"),
        "agreed_opens": _("People who agreed that opens are measured"),
        "agreed_clicks": _("People who agreed that clicks are measured"),
        "slot": _("People who clicked at this hour of the week"),
    }
    return str(words.get(group, ""))


def detail_of(show: str) -> str:
    """What narrows a group, in words: a reason, a destination, an hour."""
    group, _colon, part = show.partition(":")
    if group == "site":
        return part.partition(":")[0]
    if group == "slot":
        day, _colon, hour = part.partition(":")
        names = get_day_names("wide", locale=(get_language() or "en")[:2])
        return _("%(day)s from %(from)s to %(to)s h") % {
            "day": names[(int(day) - 1) % 7],
            "from": hour,
            "to": int(hour) + 1,
        }
    if part.startswith("part:3600:"):
        return _("hour %(hour)s since the start") % {"hour": int(part[10:]) + 1}
    if part.startswith("part:"):
        start = 5 * int(part.rpartition(":")[2])
        return _("minutes %(from)s to %(to)s since the start") % {"from": start, "to": start + 5}
    return str(word(part)) if group in ("excluded", *OUTCOMES) and part else ""


def _sendings(request: MemberRequest, campaign: Campaign) -> list[int]:
    return [sending.id for sending in chosen_sendings(campaign, request.GET.get("sending", ""))[0]]


def _behind(show: str, sendings: list[int]) -> People | None:
    """A group that a sending made; None for one that the audience tells. 404 for a group nobody defined."""
    group = show.partition(":")[0]
    if group in BEFORE or (group == "excluded" and not sendings):
        return None
    try:
        return behind(sendings, show)
    except ValueError:
        raise Http404 from None


def _group(campaign: Campaign, show: str, sendings: list[int]) -> QuerySet[Contact]:
    """The contacts of one group; 404 for a group nobody defined."""
    workspace = campaign.workspace
    rows = Contact.objects.filter(workspace_id=workspace.id)
    group, _colon, part = show.partition(":")
    if found := _behind(show, sendings):
        return rows.filter(id__in=as_filter(found.sql, found.params))
    try:
        rows = rows.filter(id__in=in_segment(workspace, campaign.segment.whole if campaign.segment else None))
    except SegmentProblem:
        return rows.none()
    if group == "chosen":
        return rows
    if campaign.purpose is None:
        nobody = group == "allowed" or part not in ("", gates.NO_PERMISSION)
        return rows.none() if nobody else rows
    # Over the row itself, so that a page of the list ends where it is full.
    reason = f"SELECT ({checks.refusal_sql(campaign)}) FROM (SELECT {Contact._meta.db_table}.*) AS c"
    rows = rows.annotate(refusal=RawSQL(reason, []))  # noqa: S611 - an expression of the gates
    if group == "allowed":
        return rows.filter(refusal__isnull=True)
    return rows.filter(refusal=part) if part else rows.filter(refusal__isnull=False)


def _counted(rows: QuerySet[Contact], found: People | None, *, patiently: bool) -> tuple[int, int] | None:
    """How many people, and how many more were erased; None when that takes longer than a page may wait."""
    try:
        with nullcontext() if patiently or not is_large(Contact._meta.db_table) else within(PATIENCE):
            return (rows.count(), 0) if found is None else found.counted()
    except TooSlow:
        return None


@require_safe
@audience(Role.VIEWER)
def people(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """The people of one group; for a script that asks for ``part=count``, how many they are."""
    campaign = one(request, campaign_id)
    show = request.GET.get("show", "chosen")
    sendings = _sendings(request, campaign)
    rows, found = _group(campaign, show, sendings), _behind(show, sendings)
    group, _colon, _part = show.partition(":")
    part = request.GET.get("part") == "count"
    counted = _counted(rows, found, patiently=part or "count" in request.GET)
    facts: dict[str, Any] = {
        "campaign": campaign,
        "show": show,
        "detail": detail_of(show),
        "sending": request.GET.get("sending", ""),
        "counted": counted is not None,
        "total": counted[0] if counted else None,
        "erased": counted[1] if counted else 0,
    }
    if part and request.headers.get("HX-Request") == "true":
        return render(request, "campaigns/_people_count.html", facts)
    page = page_of(request, rows) if found is None else _newest(request, found)
    for person in page.rows:
        person.name = name_of(person.props)
    if group in OUTCOMES or group == "deferred":
        _add_replies(sendings, page.rows)
    facts |= {
        "page": page,
        "title": title_of(show),
        "before": found is None,
        "live": found is not None and rule_for(sendings, show) is not None,
        "default_name": _default_name(campaign, show),
        "replies": group in OUTCOMES or group == "deferred",
    }
    return render(request, "campaigns/people.html", facts)


def _newest(request: MemberRequest, found: People) -> Page:
    workspace_id = request.workspace.pk
    ids = found.newest(workspace_id, PAGE + 1, before_of(request))
    known = Contact.objects.filter(workspace_id=workspace_id).in_bulk(ids[:PAGE])
    return made_of(request, [known[one] for one in ids[:PAGE] if one in known], ids[PAGE - 1] if ids[PAGE:] else None)


def _default_name(campaign: Campaign, show: str) -> str:
    """A name that says where the people come from, to be changed by whoever wants."""
    parts = [campaign.name, title_of(show), detail_of(show)]
    return " – ".join(part for part in parts if part)[:180]


@require_POST
@audience(Role.EDITOR)
def keep_people(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """Keep a group as a segment: a rule where one can say it, else a fixed list of those who are in it now."""
    campaign = one(request, campaign_id)
    show = request.POST.get("show", "")
    wanted = request.POST.get("sending", "")
    sendings = [sending.id for sending in chosen_sendings(campaign, wanted)[0]]
    back = f"{reverse('web:people', args=[campaign.pk])}?" + urlencode(
        {"show": show} | ({"sending": wanted} if wanted else {})
    )
    if not sendings or show.partition(":")[0] in BEFORE:
        messages.error(request, _("These people are told by the audience of the campaign: open its segment instead."))
        return see_path(back)
    name = request.POST.get("name", "") or _default_name(campaign, show)
    try:
        kept = keep(request.workspace, sendings, show, name, request.member)
    except TooMany as error:
        messages.error(request, str(error))
        return see_path(back)
    except SegmentProblem as error:
        messages.error(request, " ".join(problem.sentence for problem in error.problems))
        return see_path(back)
    except ValueError:
        raise Http404 from None
    if kept.fixed:
        said = ngettext(
            "Saved as a fixed list of %(n)s person: no rule can say who was meant, so nobody joins it by itself.",
            "Saved as a fixed list of %(n)s people: no rule can say who was meant, so nobody joins it by itself.",
            kept.people,
        )
    else:
        said = ngettext(
            "Saved as a segment of %(n)s person; whoever reacts later is in it too.",
            "Saved as a segment of %(n)s people; whoever reacts later is in it too.",
            kept.people,
        )
    back_to = segments.undo_of(kept.segment)
    return see(request, "segment", kept.segment.pk, said=said % {"n": number(kept.people)}, undo=back_to)


def _add_replies(sendings: list[int], people: list[Any]) -> None:
    ids = [person.id for person in people]
    said: dict[int, Any] = {r.no: r for r in Retry.objects.filter(sending_id__in=sendings, no__in=ids)}
    said |= {o.no: o for o in Outcome.objects.filter(sending_id__in=sendings, no__in=ids).order_by("sending_id")}
    for person in people:
        row = said.get(person.id)
        person.reply = " ".join(str(part) for part in (row.code, row.enhanced, row.reply) if part) if row else ""


@require_safe
@audience(Role.VIEWER)
def people_csv(request: MemberRequest, campaign_id: int) -> HttpResponseBase:
    """The group as CSV (UTF-8 with mark); cells that a spreadsheet would run are made harmless."""
    campaign = one(request, campaign_id)
    show = request.GET.get("show", "chosen")
    rows = _group(campaign, show, _sendings(request, campaign)).order_by("id")
    if sees_addresses(request) and needs_approval(campaign.workspace, people := rows.count(), request.member.pk):
        said = _("%(n)s people leave as a file only when another owner agrees: keep them as a segment and export that.")
        messages.error(request, said % {"n": number(people)})
        return see_path(f"{reverse('web:people', args=[campaign.pk])}?{urlencode({'show': show})}")
    note(campaign.workspace, "member", "campaign.people_exported", campaign, actor_id=request.member.pk, group=show)

    def lines() -> Iterator[str]:
        yield "\ufeff" + line(["id", "email", "name", "language"])
        for person in rows.iterator(chunk_size=2000):
            name = shown(request, name_of(person.props))
            yield line([str(person.id), shown(request, person.email), name, person.language or ""])

    answer = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="campaign-{campaign.pk}-{slugify(show)}.csv"'
    return answer
