"""What do we tell people, since when, and to whom did which version apply? Notices, policies, terms."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from envol.accounts.models import Role
from envol.consent import notices, policies, tasks
from envol.consent.models import PolicyVersion
from envol.contacts.models import Contact
from envol.web.answers import see
from envol.web.doors import MemberRequest, audience
from envol.web.views.desk import WRITES, may_write
from envol.wire.address import AddressError, normalise


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.VIEWER)
def texts(request: MemberRequest) -> HttpResponse:
    """Every text with its version; and, of one person, which version bound her on a day. She is named by POST, so that
    no address stands in a log, or by her number."""
    if request.method == "POST" and request.member.role == Role.VIEWER:  # who sees no address tries none out
        return render(request, "errors/forbidden.html", {"least": Role.EDITOR}, status=403)
    lines = [
        {"route": f"web:text_{kind}", "words": words, "newest": policies.newest(request.workspace, kind)}
        for kind, words in policies.KINDS.items()
    ]
    day = request.POST.get("on", request.GET.get("on", "")) or request.workspace.today().isoformat()
    facts: dict[str, Any] = {
        "lines": lines,
        "may_write": may_write(request),
        "on": day,
        "asked": {},
        "may_ask": request.member.role != Role.VIEWER,
    }
    if request.method == "POST" or "person" in request.GET:
        facts |= _applied(request, day)
    return render(request, "consent/desk/texts.html", facts, status=422 if facts.get("wrong") else 200)


def _applied(request: MemberRequest, day: str) -> dict[str, Any]:
    """What bound the person who is asked about, on that day."""
    typed, number = request.POST.get("address", ""), request.GET.get("person", "")
    try:
        on = date.fromisoformat(day)
    except ValueError:
        return {"asked": {"address": typed}, "wrong": {"on": _("Write a day as year-month-day, such as 2026-03-31.")}}
    mine = Contact.objects.filter(workspace_id=request.workspace.pk)
    if request.method == "POST":
        try:
            person = mine.filter(email_key=normalise(typed).key).first()
        except AddressError:
            said = _("Write one whole address, such as name@domain.org.")
            return {"asked": {"address": typed}, "wrong": {"address": said}}
        if person is None:
            return {"asked": {"address": typed}, "wrong": {"address": _("Nobody here has this address.")}}
    else:
        known = number.isascii() and number.isdigit() and len(number) < 18
        person = mine.filter(pk=int(number)).first() if known else None
        if person is None:
            raise Http404
    found = [
        {"words": policies.KINDS[one.kind], "route": f"web:text_{one.kind}", "one": one}
        for one in policies.applied_to(request.workspace, person.pk, on)
    ]
    asked = {"address": typed}
    return {"asked": asked, "person": person, "day": on, "applied": found, "early": on < person.created_at.date()}


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.VIEWER)
def text(request: MemberRequest, kind: str) -> HttpResponse:
    """One text: the version in force, a new one to write, people to tell, earlier versions."""
    if kind not in policies.KINDS:
        raise Http404
    if request.method == "POST" and not may_write(request):
        return render(request, "errors/forbidden.html", {"least": WRITES}, status=403)
    versions = list(PolicyVersion.objects.filter(workspace=request.workspace, kind=kind).order_by("-no")[:50])
    now = versions[0] if versions else None
    typed, wrong = _begin(request, kind, now), ""
    if request.method == "POST" and request.POST.get("act") == "tell" and now is not None:
        subject, words = (request.POST.get(key, "").replace("\0", "").strip() for key in ("subject", "message"))
        if not subject or not words:
            wrong = _("Write a subject and a message.")
        else:
            tasks.start_policy(now, subject[:200], words[: policies.MOST], request.member.pk)
            return see(request, f"text_{kind}", said=_("People are being told; this page can be left."))
    elif request.method == "POST":
        typed = {key: request.POST.get(key, "").replace("\r\n", "\n").replace("\0", "") for key in typed}
        try:
            policies.publish(
                request.workspace, kind, {"fr": typed["fr"], "en": typed["en"]},
                {"fr": typed["short_fr"], "en": typed["short_en"]} if kind == policies.NOTICE else {},
                member_id=request.member.pk,
            )  # fmt: skip
            said = _("The new version is there. Who comes from now on takes it at once.")
            return see(request, f"text_{kind}", said=said)
        except policies.Problem as problem:
            wrong = str(problem)
    name = request.workspace.title
    facts = {
        "kind": kind,
        "words": policies.KINDS[kind],
        "is_notice": kind == policies.NOTICE,
        "versions": versions,
        "now": now,
        "typed": typed,
        "wrong": wrong,
        "waiting": policies.to_tell(now) if now is not None and now.no > 1 else 0,
        "subject": _("What changes at %(name)s") % {"name": name},
        "job": tasks.last_policy(now) if now is not None else None,
        "may_write": may_write(request),
    }
    return render(request, "consent/desk/text.html", facts, status=422 if wrong else 200)


def _begin(request: MemberRequest, kind: str, now: PolicyVersion | None) -> dict[str, Any]:
    """What the boxes hold: a fresh draft when asked for or when there is none, else the version in force."""
    if kind == policies.NOTICE and (now is None or "fresh" in request.GET):
        whole, short = notices.draft(request.workspace)
    else:
        whole, short = (now.texts, now.short) if now is not None else ({}, {})
    return {
        "fr": whole.get("fr", ""),
        "en": whole.get("en", ""),
        "short_fr": short.get("fr", ""),
        "short_en": short.get("en", ""),
    }
