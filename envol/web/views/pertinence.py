"""Was the segmentation pertinent? Chosen segments against the others who got the same message."""

from __future__ import annotations

from typing import Any

from babel.numbers import format_decimal, format_percent
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from envol.accounts.models import Role
from envol.audience import overlap
from envol.audience.catalogue import Catalogue
from envol.audience.language import SegmentProblem
from envol.audience.models import Segment
from envol.campaigns.models import Campaign
from envol.db import TooSlow, is_large, within
from envol.insight.pertinence import (
    DAYS_TO_BUY,
    MANY,
    MONTH,
    Comparison,
    Judged,
    Pertinence,
    over_campaigns,
    pertinence,
)
from envol.insight.report import SMALL
from envol.insight.trial import COUNTER, NOT_SHOWN, PERTINENT, TOO_SMALL, Group
from envol.outbound.models import Send
from envol.web import charts
from envol.web.answers import see_path
from envol.web.doors import MemberRequest, audience
from envol.web.figures import chosen_sendings
from envol.web.masking import shown
from envol.web.tables import line
from envol.web.templatetags.envol import number, percent
from envol.web.views.campaigns import one
from envol.web.views.overlap import chosen_segments, closest

CEILING = 30.0  # seconds


@require_safe
@audience(Role.VIEWER)
def report_segments(request: MemberRequest, campaign_id: int) -> HttpResponse:
    campaign = one(request, campaign_id)
    sendings, only = chosen_sendings(campaign, request.GET.get("sending", ""))
    offered, chosen, too_many = chosen_segments(request)
    facts: dict[str, Any] = {
        "campaign": campaign, "sent": bool(sendings), "only": only, "offered": offered, "chosen": chosen,
        "too_many": too_many, "most": overlap.MOST, "days_to_buy": DAYS_TO_BUY, "month": MONTH,
    }  # fmt: skip
    if not sendings or not chosen:
        return render(request, "campaigns/pertinence.html", facts)
    if is_large(Send._meta.db_table) and "whole" not in request.GET:
        given = request.GET.copy()
        given["whole"] = "1"
        return render(request, "campaigns/pertinence.html", facts | {"later": "?" + given.urlencode()})
    catalogue = Catalogue(request.workspace)
    try:
        with within(CEILING):
            found = pertinence(catalogue, [sending.id for sending in sendings], [s.whole for s in chosen])
    except SegmentProblem as error:
        return render(request, "campaigns/pertinence.html", facts | {"unreadable": str(error)})
    except TooSlow:
        return render(request, "campaigns/pertinence.html", facts | {"slow": True})
    if len(chosen) == 1:
        given = request.GET.copy()
        given["over"] = "1"
        facts["over_href"] = f"?{given.urlencode()}#over"
        if "over" in request.GET:
            facts |= _over(catalogue, chosen[0])
    read = [_read(segment, judged, found) for segment, judged in zip(chosen, found.segments, strict=True)]
    facts |= {"found": found, "read": read, "many": len(chosen) > MANY, "alike": closest(chosen, found.among)}
    return render(request, "campaigns/pertinence.html", facts)


@require_safe
@audience(Role.VIEWER)
def report_segments_csv(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """The figures of the page, one line for each segment and reaction: for a statistician, unrounded."""
    campaign = one(request, campaign_id)
    sendings, _only = chosen_sendings(campaign, request.GET.get("sending", ""))
    _offered, chosen, _too_many = chosen_segments(request)
    page = see_path(f"{reverse('web:report_segments', args=[campaign.pk])}?{request.GET.urlencode()}")
    if not sendings or not chosen:
        return page
    try:
        with within(CEILING):
            found = pertinence(
                Catalogue(request.workspace), [sending.id for sending in sendings], [s.whole for s in chosen]
            )
    except (SegmentProblem, TooSlow):
        return page  # it says what is wrong, and what to do
    head = [
        _("Segment"), _("Reaction"), _("In it: did"), _("In it: of"), _("In it: rate"), _("In it: from"),
        _("In it: to"), _("The others: did"), _("The others: of"), _("The others: rate"), _("The others: from"),
        _("The others: to"), _("Times as often"), _("from"), _("to"), _("Chance, corrected"), _("Verdict"),
        _("In it a month ago"), _("Left since"), _("Entered since"),
    ]  # fmt: skip
    lines = ["\ufeff", line(head)]
    for segment, judged in zip(chosen, found.segments, strict=True):
        for test in judged.tests:
            ratio = [test.ratio.value, test.ratio.low, test.ratio.high] if test.ratio else ["", "", ""]
            sides = [x for g in (test.inside, test.outside) for x in (g.people, g.of, g.rate, *g.interval)]
            figures = [_plainly(one_) for one_ in (*sides, *ratio, test.chance)]
            moved = [judged.moved.then, judged.moved.left, judged.moved.entered]
            name = shown(request, segment.name)
            lines.append(line([name, metric_name(test.metric), *figures, verdict_word(test.verdict), *moved]))
    answer = HttpResponse("".join(lines), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="campaign-{campaign.pk}-segments.csv"'
    return answer


def _over(catalogue: Catalogue, segment: Segment) -> dict[str, Any]:
    """The same comparison on the last campaigns, and what they say together."""
    try:
        with within(CEILING):
            told = over_campaigns(catalogue, segment.whole)
    except TooSlow:
        return {"over_slow": True}
    names = dict(Campaign.objects.filter(pk__in=[one_.campaign_id for one_ in told]).values_list("pk", "name"))
    rows = [
        {
            "campaign": names.get(one_.campaign_id, ""),
            "id": one_.campaign_id,
            "since": one_.since,
            "inside": _of(one_.test.inside),
            "outside": _of(one_.test.outside),
            "ratio": _times(one_.test.ratio.value) if one_.test.ratio else "–",
            "between": _span(_times(one_.test.ratio.low), _times(one_.test.ratio.high)) if one_.test.ratio else "",
            "verdict": one_.test.verdict,
        }
        for one_ in told
    ]
    ratios = [one_.test.ratio.value for one_ in told if one_.test.ratio and one_.test.verdict != TOO_SMALL]
    more = sum(1 for value in ratios if value > 1)
    facts = {"more": number(more), "all": number(len(ratios))}
    if not ratios:
        said = _("None of the last campaigns is large enough to say anything.")
    elif more == len(ratios):
        said = _("Each time people in it clicked more often (%(more)s of %(all)s): it holds.") % facts
    elif more == 0:
        said = _("Not once did people in it click more often (%(more)s of %(all)s).") % facts
    else:
        said = _("People in it clicked more often %(more)s times of %(all)s: it depends on the message.") % facts
    return {"over": rows, "over_said": said}


def _plainly(figure: Any) -> Any:
    return f"{figure:.6g}" if isinstance(figure, float) else "" if figure is None else figure


def verdict_word(verdict: str) -> str:
    return {
        PERTINENT: _("pertinent"),
        NOT_SHOWN: _("not shown"),
        COUNTER: _("counter-productive"),
        TOO_SMALL: _("too small"),
    }[verdict]


def _read(segment: Segment, judged: Judged, found: Pertinence) -> dict[str, Any]:
    lead = judged.lead
    return {
        "segment": segment,
        "verdict": judged.verdict if lead else "",
        "sentence": _sentence(segment.name, judged, found),
        "harm": [_harm(test) for test in judged.tests if test.harm and test.verdict == COUNTER],
        "svg": _drawn(segment, lead) if lead and lead.inside.of and lead.outside.of else "",
        "rows": [
            {
                "name": metric_name(test.metric),
                "inside": _of(test.inside),
                "inside_between": _between(test.inside),
                "outside": _of(test.outside),
                "outside_between": _between(test.outside),
                "ratio": _times(test.ratio.value) if test.ratio else "–",
                "ratio_between": _span(_times(test.ratio.low), _times(test.ratio.high)) if test.ratio else "",
                "verdict": test.verdict,
            }
            for test in judged.tests
        ],
        "judged": judged,
    }


def metric_name(metric: str) -> str:
    return {
        "clicked": _("clicked"),
        "bought": _("bought"),
        "unsubscribed": _("unsubscribed"),
        "complained": _("complained"),
    }[metric]


def _sentence(name: str, judged: Judged, found: Pertinence) -> str:
    lead = judged.lead
    if lead is None:
        return _("Neither clicks nor orders can be compared here; only leaving and complaints are.")
    facts = {"name": name, "ratio": "", "low": "", "high": ""}
    if lead.ratio:
        bounds = {"ratio": lead.ratio.value, "low": lead.ratio.low, "high": lead.ratio.high}
        facts |= {key: _times(value) for key, value in bounds.items()}
    clicked = lead.metric == "clicked"
    if lead.verdict in (PERTINENT, COUNTER):
        how = (
            _("people of “%(name)s” clicked %(ratio)s times as often as the others (between %(low)s and %(high)s).")
            if clicked
            else _("people of “%(name)s” bought %(ratio)s times as often as the others (between %(low)s and %(high)s).")
        ) % facts
        if lead.verdict == PERTINENT:
            return _("Pertinent: %(finding)s") % {"finding": how}
        return _("Counter-productive: %(finding)s") % {"finding": how}
    if lead.verdict == NOT_SHOWN:
        said = (
            _("Not shown: whether people of “%(name)s” clicked more or less than the others, these figures do not say.")
            if clicked
            else _(
                "Not shown: whether people of “%(name)s” bought more or less than the others, these figures do not say."
            )
        )
        return said % facts
    if not lead.inside.of:
        return _("Too small: nobody of “%(name)s” got this message, of those who can be compared.") % facts
    if not lead.outside.of:
        return _("Too small: all who got this message were in “%(name)s”; there is nobody to compare with.") % facts
    facts |= {"inside": number(lead.inside.of), "outside": number(lead.outside.of)}
    return (
        _("Too small: with %(inside)s people in “%(name)s” and %(outside)s others, chance says more than the message.")
        % facts
    )


def _harm(test: Comparison) -> str:
    ratio = {"ratio": _times(test.ratio.value) if test.ratio else ""}
    if test.metric == "unsubscribed":
        return _("But they unsubscribed %(ratio)s times as often.") % ratio
    return _("But they complained %(ratio)s times as often.") % ratio


def _drawn(segment: Segment, test: Comparison) -> SafeString:
    desc = _("In it: %(inside)s, between %(a)s. The others: %(outside)s, between %(b)s.") % {
        "inside": _of(test.inside), "a": _between(test.inside), "outside": _of(test.outside),
        "b": _between(test.outside),
    }  # fmt: skip
    rows = [
        charts.Span(label, group.rate or 0.0, *group.interval, kind)
        for label, group, kind in ((_("in it"), test.inside, "one"), (_("the others"), test.outside, "two"))
    ]
    title = f"{segment.name}: {metric_name(test.metric)}"
    return charts.intervals(f"pertinence-{segment.pk}", rows, title=title, desc=desc, percent=_rough)


def _locale() -> str:
    return "fr_FR" if (get_language() or "en").startswith("fr") else "en_GB"


def _times(value: float) -> str:
    return str(format_decimal(value, "#,##0.00" if value < 10 else "#,##0", locale=_locale()))


def _fine(rate: float) -> str:
    form = "#,##0.00 %" if _locale() == "fr_FR" else "#,##0.00%"
    return str(format_percent(rate, form, locale=_locale()))


def _rough(rate: float) -> str:
    return percent(rate, 1)


def _of(group: Group) -> str:
    """« 4.00% (48 of 1,200) »; of few people the numbers alone."""
    counts = _("%(n)s of %(of)s") % {"n": number(group.people), "of": number(group.of)}
    if group.of < SMALL or group.rate is None:
        return counts
    return f"{_fine(group.rate)} ({counts})"


def _between(group: Group) -> str:
    return _span(*(_fine(bound) for bound in group.interval)) if group.of else "–"


def _span(low: str, high: str) -> str:
    return _("%(low)s to %(high)s") % {"low": low, "high": high}
