"""Which pictures have we? What shows them? Bring one, describe it, delete it when nothing shows it."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db.models import Count
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from envol.accounts.models import Role
from envol.campaigns import content
from envol.campaigns.models import Campaign
from envol.content import media as service
from envol.content.models import Media, MediaUse
from envol.content.problems import MediaProblem
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.paging import page_of

SHOWN = 5  # campaigns named beside a picture


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def media(request: MemberRequest) -> HttpResponse:
    """The pictures of the workspace, newest first, and the door for a new one."""
    problem = ""
    if request.method == "POST":
        file = request.FILES.get("file")
        if not isinstance(file, UploadedFile) or not file.name or file.file is None:
            problem = _("Choose a picture first: JPEG, PNG, GIF or WebP.")
        else:
            try:
                made = service.receive(
                    request.workspace, file.file, file.name, alt=request.POST.get("alt", ""), member=request.member
                )
            except MediaProblem as error:
                problem = str(error)
            else:
                return see(request, "media", said=_("The picture is there, in the sizes that messages need."),
                           anchor=f"m{made.pk}")  # fmt: skip
    rows = Media.objects.filter(workspace=request.workspace).annotate(n=Count("uses"))
    page = page_of(request, rows)
    facts = {
        "page": page,
        "pictures": [{"media": one, **service.facts(one), **_use(request, one)} for one in page.rows],
        "problem": problem,
        "alt": request.POST.get("alt", ""),
    }
    return render(request, "media/list.html", facts, status=422 if problem else 200)


def _use(request: MemberRequest, picture: Media) -> dict[str, Any]:
    """Campaigns that show it, sent or in writing."""
    templates = MediaUse.objects.filter(media=picture).values("version__template")
    found = list(Campaign.objects.filter(workspace=request.workspace, template__in=templates).order_by("-id")[:SHOWN])
    found += [c for c in content.drafts_with_picture(request.workspace.pk, picture.pk) if c not in found]
    return {"campaigns": found, "free": not found and not MediaUse.objects.filter(media=picture).exists()}


@require_POST
@audience(Role.EDITOR)
def act(request: MemberRequest, media_id: int) -> HttpResponse:
    """Describe or delete one picture."""
    found = Media.objects.filter(workspace=request.workspace, pk=media_id).first()
    if found is None:
        raise Http404
    if request.POST.get("act") == "describe":
        service.describe(found, request.POST.get("alt", ""))
        return see(request, "media", said=_("The description is saved; new messages begin with it."))
    if not _use(request, found)["free"]:
        return refuse(
            request, "media", said=_("A message shows this picture: it stays, so that the message stays whole.")
        )
    try:
        service.delete(found, member=request.member)
    except MediaProblem as error:
        return refuse(request, "media", said=str(error))
    return see(request, "media", said=_("The picture is deleted."))
