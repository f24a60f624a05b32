"""What else do people do? Events that the organisation's own programs tell of: what comes in, and how it is sent."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

from envol.accounts.models import Role, Scope, Workspace
from envol.audience import segments
from envol.contacts import happenings as service
from envol.events import custom
from envol.events.models import CustomEvent
from envol.web import segment_words, telling
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, api_key, audience
from envol.web.purchases import opened
from envol.web.templatetags.envol import label


@csrf_exempt  # an API key is asked for, and no cookie counts
@require_POST
@api_key(Scope.EVENTS)
def tell_events(request: HttpRequest) -> JsonResponse:
    """``{"events": [ … ]}`` or one event; 200 with what was kept, what was known and what was refused and why."""
    return telling.tell(request, "event", service.tell)


@require_safe
@audience(Role.VIEWER)
def happenings(request: MemberRequest) -> HttpResponse:
    return _page(request)


def _page(request: MemberRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    workspace: Workspace = request.workspace
    heard = custom.heard(workspace)
    editor = request.member.role != Role.VIEWER
    lines = []
    for event in CustomEvent.objects.filter(workspace=workspace, removed_at=None).order_by("key"):
        rule = {"field": f"event.{event.key}", "op": "at_least", "value": 1}
        name = label(event)
        lines.append(
            {
                "event": event,
                "label": name,
                "heard": heard.get(event.pk),
                "told": [(key, segment_words.FACT_TYPES[type_]) for key, type_ in sorted(event.properties.items())],
                "href": opened(name, rule) if editor and event.pk in heard else "",
            }
        )
    facts = {"lines": lines, "most": custom.MOST_NAMES, "address": f"{settings.ENVOL.base_url}/events.json", **more}
    return render(request, "audience/happenings.html", facts, status=status)


@require_POST
@audience(Role.EDITOR)
def change_happening(request: MemberRequest, event_id: int) -> HttpResponse:
    """Call it something else, or delete it when no segment speaks of it."""
    event = CustomEvent.objects.filter(workspace=request.workspace, pk=event_id, removed_at=None).first()
    if event is None:
        raise Http404
    act = request.POST.get("act", "")
    if act == "rename":
        fr, en = request.POST.get("label_fr", ""), request.POST.get("label_en", "")
        try:
            custom.rename(event, fr, en, actor_id=request.member.pk)
        except ValueError as error:
            return _page(request, status=422, changing=event.pk, typed=(fr, en), problem=str(error))
        return see(request, "happenings", said=_("Saved: programs go on telling it as %(name)s.") % {"name": event.key})
    if act == "remove":
        users = [one.name for one in segments.using_field(request.workspace, f"event.{event.key}")]
        if users:
            said = _("“%(name)s” is used by %(users)s; change those first.")
            named = {"name": label(event), "users": ", ".join(users[:5])}
            return refuse(request, "happenings", said=said % named)
        back = custom.remove(event, actor_id=request.member.pk)
        said = _("The event is hidden; in a week it goes with everything that was told of it.")
        return see(request, "happenings", said=said, undo=back)
    return refuse(request, "happenings", said=_("There is no such act; nothing was changed."))
