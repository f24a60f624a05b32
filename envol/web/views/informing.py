"""Who was never told where her data came from, and until when must she be? The clock of art. 14, and telling them."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envol.accounts.models import Role
from envol.consent import informing, policies, tasks
from envol.consent.models import Origin
from envol.outbound.requests import outcomes
from envol.web.answers import see
from envol.web.doors import MemberRequest, audience
from envol.web.views.desk import WRITES, may_write


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.VIEWER)
def origin(request: MemberRequest, origin_id: int) -> HttpResponse:
    """One source: its clock, who was told, and the service message that tells the others."""
    found = Origin.objects.filter(workspace=request.workspace, pk=origin_id).first()
    if found is None:
        raise Http404
    if request.method == "POST" and not may_write(request):
        return render(request, "errors/forbidden.html", {"least": WRITES}, status=403)
    typed = {
        "subject": _("Where your address came to %(name)s from") % {"name": request.workspace.title},
        "message": "\n\n".join(
            [
                *informing.sentences(request.workspace, [found]),
                *([notice] if (notice := informing.whole(request.workspace)) else []),
            ]
        ),
    }
    wrong = ""
    if request.method == "POST":
        typed = {key: request.POST.get(key, "").replace("\r\n", "\n").replace("\0", "").strip() for key in typed}
        if not all(typed.values()):
            wrong = _("Write a subject and a message.")
        elif found.name.casefold() not in typed["message"].casefold():
            wrong = _("The message has to say who gave the data: “%(name)s”.") % {"name": found.name}
        else:
            words = typed["message"][: policies.MOST]
            tasks.start_informing(found, typed["subject"][:200], words, request.member.pk)
            return see(request, "origin", found.pk, said=_("People are being told; this page can be left."))
    facts: dict[str, Any] = {
        "origin": found,
        "standing": informing.standing(found),
        "outcomes": outcomes(request.workspace.pk, "informing", found.pk, found.made_at),
        "typed": typed,
        "wrong": wrong,
        "job": tasks.last_informing(found),
        "may_write": may_write(request),
        "notice": policies.newest(request.workspace, policies.NOTICE),
    }
    return render(request, "consent/origin.html", facts, status=422 if wrong else 200)
