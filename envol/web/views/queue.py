"""What waits, why and till when: by site and answer; tried at once or cancelled by hand."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from envol.accounts.models import Role
from envol.campaigns.models import Campaign
from envol.outbound import queue as service
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.templatetags.envol import number
from envol.web.views.mail import KINDS, found


@require_safe
@audience(Role.VIEWER)
def queue(request: MemberRequest) -> HttpResponse:
    """``?site=&cause=`` asks whether these should be cancelled: there is no way back."""
    workspace = request.workspace.pk
    may_act = request.member.role != Role.VIEWER
    asked = (request.GET.get("site", ""), request.GET.get("cause", ""))
    deferred, waiting = service.deferred(workspace), service.waiting(workspace)
    campaigns = Campaign.objects.filter(workspace=request.workspace, pk__in={one.campaign_id or 0 for one in waiting})
    names = dict(campaigns.values_list("pk", "name"))
    facts: dict[str, Any] = {
        "deferred": deferred,
        "waiting": [
            {"w": one, "name": names.get(one.campaign_id or 0, ""), "kind": KINDS.get(one.kind, one.kind)}
            for one in waiting
        ],
        "put_off": sum(one.people for one in deferred),
        "untried": sum(one.people for one in waiting),
        "asked": next((one for one in deferred if (one.site, one.cause) == asked), None) if may_act else None,
        "may_act": may_act,
    }
    return render(request, "mail/queue.html", facts)


@require_POST
@audience(Role.EDITOR)
def queue_act(request: MemberRequest) -> HttpResponse:
    """Whom one answer of one site keeps waiting: try at once, or cancel."""
    site, cause, act = (request.POST.get(name, "")[:253] for name in ("site", "cause", "act"))
    who: dict[str, Any] = {"actor": "member", "actor_id": request.member.pk}
    if act == "now":
        n = service.try_now(request.workspace.pk, site, cause, **who)
        if not n:
            return refuse(request, "queue", said=_("Nobody waits for this any more: the couriers were faster."))
        said = ngettext("%(n)s message is tried again now.", "%(n)s messages are tried again now.", n)
    elif act == "cancel":
        n = service.cancel(request.workspace.pk, site, cause, **who)
        if not n:
            return refuse(request, "queue", said=_("Nobody waits for this any more: the couriers were faster."))
        said = ngettext("%(n)s message is cancelled.", "%(n)s messages are cancelled.", n)
    else:
        raise Http404
    return see(request, "queue", said=said % {"n": number(n)})


@require_POST
@audience(Role.EDITOR)
def mail_act(request: MemberRequest, sending_id: int, recipient_no: int) -> HttpResponse:
    """One message that waits: try at once, or cancel."""
    one = found(request, sending_id, recipient_no)
    act = request.POST.get("act", "")
    who: dict[str, Any] = {"actor": "member", "actor_id": request.member.pk}
    if act == "now":
        done, said = service.try_one_now(request.workspace.pk, one, **who), _("It is tried again now.")
    elif act == "cancel":
        done, said = service.cancel_one(request.workspace.pk, one, **who), _("It is cancelled: it leaves no more.")
    else:
        raise Http404
    if not done:
        said = _("Too late: it is being delivered at this moment, or over. Look again.")
        return refuse(request, "sent_message", sending_id, recipient_no, said=said)
    return see(request, "sent_message", sending_id, recipient_no, said=said)
