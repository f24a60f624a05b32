"""Who entered a segment and who left it this week, and how large it was day by day."""

from __future__ import annotations

from typing import Any

from babel.dates import format_date
from django.http import Http404, HttpResponse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from envol.accounts.models import Role
from envol.audience import following
from envol.audience.models import Follow, Segment
from envol.contacts.models import Contact
from envol.web import charts
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.templatetags.envol import number
from envol.web.views.contacts import name_of

WEEK = 7


def moves_of(segment: Segment) -> dict[str, Any]:
    """What the page of a segment shows of its moves and its size."""
    follow = Follow.objects.filter(segment=segment).first()
    newest: list[Any] = following.newest(segment)
    people = {one.id: one for one in Contact.objects.filter(id__in={move.contact_id for move in newest})}
    shown = []
    for move in newest:
        if (person := people.get(move.contact_id)) is not None:
            shown.append({"move": move, "person": person, "name": name_of(person.props)})
    sizes = following.sizes(segment)
    return {
        "follow": follow,
        "week": following.of_days(segment, WEEK),
        "newest": shown,
        "sizes": list(reversed(sizes))[:14],
        "plot": _plot(segment, sizes),
    }


def _plot(segment: Segment, sizes: Any) -> str:
    if len(sizes) < 2:
        return ""
    locale = "fr_FR" if (get_language() or "en").startswith("fr") else "en_GB"
    first, last = sizes[0][0], sizes[-1][0]
    by_day = dict(sizes)
    days = [first.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]
    values = [by_day.get(day) for day in days]
    every = max(1, len(days) // 6)
    labels = [format_date(day, "d MMM", locale=locale) if n % every == 0 else "" for n, day in enumerate(days)]
    low, high = min(by_day.values()), max(by_day.values())
    desc = _("From %(first)s to %(last)s people; at least %(low)s, at most %(high)s.") % {
        "first": number(sizes[0][1]), "last": number(sizes[-1][1]), "low": number(low), "high": number(high),
    }  # fmt: skip
    return charts.lines(
        "sizes",
        [charts.Series(_("people"), values, "one")],
        title=_("Size of “%(name)s”, day by day") % {"name": segment.name},
        desc=desc,
        ticks=lambda n: number(round(n)),
        labels=labels,
    )


@require_POST
@audience(Role.EDITOR)
def follow_segment(request: MemberRequest, segment_id: int) -> HttpResponse:
    """Begin or stop writing down who enters and leaves."""
    segment = Segment.objects.filter(workspace=request.workspace, pk=segment_id).first()
    if segment is None:
        raise Http404
    if request.POST.get("act") == "stop":
        following.stop(segment, actor_id=request.member.pk)
        return see(request, "segment", segment.pk, said=_("Who enters and leaves is no longer written down."))
    try:
        following.start(segment, actor_id=request.member.pk)
    except following.TooMany as error:
        return refuse(request, "segment", segment.pk, said=str(error))
    return see(
        request, "segment", segment.pk, anchor="moves",
        said=_("From now on it is written down who enters and leaves, looked at every ten minutes."),
    )  # fmt: skip
