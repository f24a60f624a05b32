"""What needs me now; and the pages for what cannot be shown."""

from __future__ import annotations

import secrets
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from envol.accounts.models import Job, Role, Workspace
from envol.campaigns.models import Campaign, State
from envol.consent import informing, reminders
from envol.consent.models import Permission, Purpose
from envol.contacts.counting import known
from envol.contacts.models import Contact
from envol.outbound import held
from envol.outbound.models import Domain, Post, Sending
from envol.web import language as languages
from envol.web.doors import MemberRequest, anybody, audience
from envol.web.figures import outlines

RUNNING = (State.SCHEDULED, State.PREPARING, State.SENDING, State.PAUSED)


def _steps(workspace: Workspace) -> list[tuple[str, bool]]:
    """The four first steps and whether each is done."""
    return [
        ("domain", Domain.objects.filter(workspace=workspace).exists() or settings.ENVOL.route == "local"),
        ("contacts", Contact.objects.filter(workspace_id=workspace.id).exists()),
        ("consent", Permission.objects.filter(workspace_id=workspace.id).exists()),
        ("message", Campaign.objects.filter(workspace=workspace, state=State.SENT).exists()),
    ]


@require_safe
@audience(Role.VIEWER)
def home(request: MemberRequest) -> HttpResponse:
    workspace: Workspace = request.workspace
    partial = request.headers.get("HX-Request") == "true"
    # For a script, only what needs somebody now: it moves while the page is open.
    facts = _now(request) if partial else _now(request) | _at_rest(workspace)
    answer = render(request, "_now.html" if partial else "home.html", facts)
    patch_vary_headers(answer, ["HX-Request"])
    return answer


def _now(request: MemberRequest) -> dict[str, Any]:
    """What runs, what waits for somebody, what is yet to be done first."""
    workspace: Workspace = request.workspace
    campaigns = Campaign.objects.filter(workspace=workspace)
    editor = request.member.role != Role.VIEWER
    domains = list(Domain.objects.filter(workspace=workspace).order_by("name"))
    steps = _steps(workspace)
    return {
        "running": outlines(campaigns.filter(state__in=RUNNING).order_by("-updated_at")[:10]),
        "failed": list(campaigns.filter(state=State.FAILED).order_by("-updated_at")[:5]),
        "drafts": list(campaigns.filter(state=State.DRAFT).order_by("-updated_at")[:5]),
        "jobs": list(
            Job.objects.filter(
                workspace=workspace, kind__startswith="import.", state__in=["waiting", "running"]
            ).order_by("-id")[:5]
        ),
        "domains": domains,
        "waiting_domains": [d for d in domains if not d.trusted and (d.failing_at or not d.passed_at)],
        "posts": Post.objects.filter(mailing_list__workspace=workspace, state="held").count(),
        "origins": informing.open_of(workspace.pk) if editor else [],
        "ending": reminders.ending(workspace.pk, 0.05) if editor else [],
        "held": held.waiting(workspace).count() if editor else 0,
        "local": settings.ENVOL.route == "local",
        "steps": steps,
        "begun": all(done for _, done in steps),
    }


def _at_rest(workspace: Workspace) -> dict[str, Any]:
    """What stands on the whole page beside: the base, and the last results."""
    sent = Campaign.objects.filter(workspace=workspace, state__in=[State.SENT, State.STOPPED])
    newsletter = Purpose.objects.filter(workspace=workspace, kind="marketing").order_by("bit").first()
    base = known(workspace.pk, newsletter.bit if newsletter else None)
    return {
        "results": outlines(sent.order_by("-updated_at")[:3]),
        "known": base.people,
        "may": base.may,
        "newsletter": newsletter,
        "tests": Sending.objects.filter(workspace=workspace, kind="test").exists(),
    }


@require_POST
@anybody
def language(request: HttpRequest) -> HttpResponse:
    """Speak another language, and stay on the page."""
    wanted = request.POST.get("language", "")
    if wanted in languages.KNOWN:
        languages.remember(request, wanted)
    back = request.POST.get("next", "/")
    safe = url_has_allowed_host_and_scheme(back, allowed_hosts=None)
    answer = HttpResponseRedirect(back if safe else "/")
    answer.status_code = 303
    return answer


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return render(request, "errors/not_found.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """The reference is in the log too, so that an operator finds the cause."""
    import logging

    reference = secrets.token_hex(4)
    logging.getLogger(__name__).error("a page failed, reference %s", reference)
    return render(request, "errors/server_error.html", {"reference": reference}, status=500)
