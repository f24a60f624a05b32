"""What is planned, running, sent? Is this one ready? Five cards that say what is missing."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Count
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.models import Role, Workspace
from envol.audience.models import Segment
from envol.campaigns import actions, checks
from envol.campaigns.models import Campaign, State
from envol.consent.models import Purpose
from envol.contacts.models import Contact
from envol.content import preview as previews
from envol.content import templates
from envol.content.models import Template, Version
from envol.content.problems import RenderProblem, TemplateProblem
from envol.outbound import domains
from envol.web import starters
from envol.web.answers import refuse, see
from envol.web.audiences import sentence_of
from envol.web.doors import MemberRequest, audience
from envol.web.figures import outline
from envol.web.masking import sees_addresses
from envol.web.paging import page_of
from envol.web.safety import PREVIEW_POLICY

EDITABLE = (State.DRAFT, State.STOPPED, State.FAILED)


def _workspace(request: MemberRequest) -> Workspace:
    return request.workspace


def one(request: MemberRequest, campaign_id: int) -> Campaign:
    """The campaign of this workspace, or 404."""
    rows = Campaign.objects.select_related("workspace", "purpose", "segment", "template")
    found = rows.filter(workspace=_workspace(request), id=campaign_id).first()
    if found is None:
        raise Http404
    return found


@require_safe
@audience(Role.VIEWER)
def campaigns(request: MemberRequest) -> HttpResponse:
    rows = Campaign.objects.filter(workspace=_workspace(request))
    by_state = dict(rows.values_list("state").annotate(n=Count("id")).order_by())
    state = request.GET.get("state", "")
    if state in State.values:
        rows = rows.filter(state=state)
    if words := request.GET.get("q", "").strip():
        rows = rows.filter(name__icontains=words)
    page = page_of(request, rows)
    facts = {
        "page": page,
        "found": [outline(c) for c in page.rows],
        "states": [(s.value, by_state.get(s.value, 0)) for s in State if by_state.get(s.value)],
        "total": sum(by_state.values()),
        "state": state,
    }
    return render(request, "campaigns/list.html", facts)


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def new_campaign(request: MemberRequest) -> HttpResponse:
    """A name, and what to start from: a model of ours, or the content of an earlier campaign."""
    workspace = _workspace(request)
    known = list(Template.objects.filter(workspace=workspace).order_by("-id")[:50])
    facts: dict[str, Any] = {"starters": starters.all_of(get_language() or "en"), "templates": known}
    if request.method != "POST":
        return render(request, "campaigns/new.html", facts)
    name, start = request.POST.get("name", ""), request.POST.get("start", "letter")
    try:
        made = actions.create(workspace, name, member=request.member, **_sender_before(workspace))
    except actions.Refused as error:
        facts.update(name=name, problem=str(error))
        return render(request, "campaigns/new.html", facts, status=422)
    earlier = next((t for t in known if str(t.pk) == start), None)
    version = Version.objects.filter(template=earlier).order_by("-no").first() if earlier else None
    starter = starters.get(start, workspace.language)
    try:
        copy = templates.save(
            workspace,
            _own_name(made),
            version.mode if version else starter.mode,
            version.source if version else starter.source,
            version.subject if version else starter.subject,
            preheader=version.preheader if version else "",
            text=version.text_source if version else None,
            fallbacks=version.fallbacks if version else starter.fallbacks,
        )
    except TemplateProblem:
        return see(request, "campaign", made.pk, said=_("The campaign is made; write its content."))
    actions.edit(made, made.revision, member=request.member, template=copy.template)
    return see(request, "campaign", made.pk, said=_("The campaign is made. Nothing leaves before you say so."))


def _sender_before(workspace: Workspace) -> dict[str, Any]:
    """Sender and purpose of the last campaign: what most people would choose again."""
    last = Campaign.objects.filter(workspace=workspace).exclude(from_address="").order_by("-id").first()
    if last is None:
        purpose = Purpose.objects.filter(workspace=workspace, key="newsletter").first()
        return {"purpose": purpose, "from_name": workspace.title}
    return {
        "purpose": last.purpose,
        "from_name": last.from_name,
        "from_address": last.from_address,
        "reply_to": last.reply_to,
    }


def _own_name(campaign: Campaign) -> str:
    return f"{campaign.name[:180]} ({campaign.pk})"


# ---- the page of one campaign


def facts_of(campaign: Campaign) -> dict[str, Any]:
    """What the five cards show: present choices, and the checks of each card."""
    language = get_language() or "en"
    found = actions.check(campaign)
    cards: dict[str, list[dict[str, Any]]] = {}
    for check in found:
        card = {"domains": "sender", "settings": "sender", "send": "send"}.get(check.where, check.where)
        cards.setdefault(card, []).append({"check": check, "sentence": check.sentence(language)})
    version = checks.latest_version(campaign)
    try:
        who = actions.summary(campaign)
    except ValueError:
        who = None
    return {
        "campaign": campaign,
        "editable": campaign.state in EDITABLE,
        "version": version,
        "starter": version is not None and starters.is_untouched(version.source),
        "cards": cards,
        "blocked": [c for c in found if c.level == checks.BLOCK],
        "who": who,
        "sentence": sentence_of(campaign.workspace, campaign.segment.tree if campaign.segment else None),
    }


def _choices(request: MemberRequest, campaign: Campaign) -> dict[str, Any]:
    workspace = campaign.workspace
    version = checks.latest_version(campaign)
    variables = [name for name in (version.variables if version else []) if name.startswith("contact.")]
    fallbacks = version.fallbacks if version else {}
    return {
        "purposes": Purpose.objects.filter(workspace=workspace).exclude(kind="measuring").order_by("bit"),
        "segments": Segment.objects.filter(workspace=workspace).order_by("name"),
        "domains": domains.of(workspace),
        "variables": [(name, fallbacks.get(name, "")) for name in variables if name != "contact.email"],
        "source": version.source if version else "",
        "subject": version.subject if version else "",
        "preheader": version.preheader if version else "",
        "mode": version.mode if version else "mjml",
        "text": (version.text_source or "") if version else "",
        "problems": [],
        "own_address": request.user.email,
        "local": settings.ENVOL.route == "local",
    }


@require_safe
@audience(Role.VIEWER)
def campaign(request: MemberRequest, campaign_id: int) -> HttpResponse:
    found = one(request, campaign_id)
    return render(request, "campaigns/one.html", {**facts_of(found), **_choices(request, found)})


@require_POST
@audience(Role.EDITOR)
def save(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """One card at a time; ``revision`` refuses to write over somebody else's work."""
    found = one(request, campaign_id)
    card = request.POST.get("card", "")
    typed = _choices(request, found)
    status = 422
    try:
        revision = int(request.POST.get("revision", ""))
        match card:
            case "name":
                _edit(request, found, revision, name=request.POST.get("name", ""))
            case "audience":
                _edit(request, found, revision, purpose=_id(request, "purpose"), segment=_id(request, "segment"))
            case "sender":
                fields = {key: request.POST.get(key, "").strip() for key in ("from_name", "from_address", "reply_to")}
                _edit(request, found, revision, **fields)
                _save_subject(request, found)
            case "content":
                _save_content(request, found, revision)
            case _:
                raise Http404
    except actions.Conflict as error:
        problems, status = [str(error)], 409
    except TemplateProblem as error:
        problems = [problem_sentence(p) for p in error.problems]
    except ValueError as error:
        problems = [str(error)]
    else:
        return see(request, "campaign", found.pk, said=_("Saved."), anchor=card)
    # What was typed is never lost: the page comes back with it.
    for key in ("source", "subject", "preheader", "mode", "text"):
        typed[key] = request.POST.get(key, typed[key])
    typed.update(problems=problems, failed_card=card)
    found.refresh_from_db()
    return render(request, "campaigns/one.html", {**facts_of(found), **typed}, status=status)


def problem_sentence(problem: Any) -> str:
    parts = {"html": _("content"), "text": _("text part"), "subject": _("subject"), "preheader": _("preheader")}
    where = _("%(part)s, line %(line)s") % {"part": parts.get(problem.part, problem.part), "line": problem.line}
    meant = " " + _("Did you mean %(word)s?") % {"word": problem.suggestion} if problem.suggestion else ""
    return f"{where}: {problem.message}{meant}"


def _edit(request: MemberRequest, found: Campaign, revision: int, **changes: Any) -> None:
    actions.edit(found, revision, member=request.member, **changes)


def _id(request: MemberRequest, name: str) -> int | None:
    value = request.POST.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 12 else None


def _save_subject(request: MemberRequest, found: Campaign) -> None:
    """A new subject is a new version of the same content; versions never change."""
    version = checks.latest_version(found)
    subject, preheader = request.POST.get("subject"), request.POST.get("preheader", "")
    if version is None or subject is None or (subject, preheader) == (version.subject, version.preheader):
        return
    _new_version(
        request, found, version.mode, version.source, subject, preheader, version.text_source, version.fallbacks
    )


def _save_content(request: MemberRequest, found: Campaign, revision: int) -> None:
    version = checks.latest_version(found)
    fallbacks = {
        key.removeprefix("fallback:"): str(value).strip()
        for key, value in request.POST.items()
        if key.startswith("fallback:") and str(value).strip()
    }
    _edit(request, found, revision)  # refuses a conflict, or a campaign on its way, before anything is written
    _new_version(
        request,
        found,
        request.POST.get("mode", "mjml"),
        request.POST.get("source", ""),
        version.subject if version else (request.POST.get("subject") or found.name),
        version.preheader if version else "",
        request.POST.get("text", "").strip() or None,
        fallbacks,
    )


def _new_version(
    request: MemberRequest,
    found: Campaign,
    mode: str,
    source: str,
    subject: str,
    preheader: str,
    text: str | None,
    fallbacks: dict[str, str],
) -> None:
    # Content that another campaign uses too is copied, so that theirs stays as it is.
    mine = found.template is not None and not Campaign.objects.filter(template=found.template).exclude(pk=found.pk)
    name = found.template.name if mine and found.template else _own_name(found)
    made = templates.save(
        found.workspace, name, mode, source, subject, preheader=preheader, text=text, fallbacks=fallbacks
    )
    if found.template is None or found.template.pk != made.template.pk:
        found.refresh_from_db()
        _edit(request, found, found.revision, template=made.template)


@require_safe
@xframe_options_exempt
@audience(Role.VIEWER)
def preview(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """The message alone, by the code that sends; ``?contact=ID`` as that person reads it (not for viewers)."""
    found = one(request, campaign_id)
    version = checks.latest_version(found)
    person = None
    wanted = request.GET.get("contact", "")
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 19 and sees_addresses(request):
        person = Contact.objects.filter(workspace_id=found.workspace.id, id=int(wanted)).first()
        if person is None:
            raise Http404
    status = 200
    if version is None:
        body = ""
    else:
        sender = {"name": found.from_name, "address": found.from_address or "preview@localhost.invalid"}
        try:
            parts = previews.preview(
                version, person, sender=sender, base_url=settings.ENVOL.base_url, campaign_name=found.name
            )
            body = parts.html or _as_page(parts.text)
        except RenderProblem as error:
            body, status = _as_page(str(error)), 422
    answer = HttpResponse(body, status=status)
    answer["Content-Security-Policy"] = PREVIEW_POLICY
    return answer


def _as_page(text: str) -> str:
    from django.utils.html import escape

    return f'<!doctype html><pre style="white-space:pre-wrap;font:1rem/1.5 monospace">{escape(text)}</pre>'


@require_POST
@audience(Role.EDITOR)
def test(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """One message to one address, by the road of all others."""
    found = one(request, campaign_id)
    try:
        actions.send_test(found, request.POST.get("address", ""), request.member)
    except actions.NotReady as error:
        language = get_language() or "en"
        return refuse(request, "campaign", found.pk, said=" ".join(c.sentence(language) for c in error.checks))
    except ValueError as error:
        return refuse(request, "campaign", found.pk, said=str(error))
    if settings.ENVOL.route == "local":
        return see(
            request, "campaign", found.pk, said=_("The test is on its way: it lands in the Inbox."), anchor="test"
        )
    return see(request, "campaign", found.pk, said=_("The test is on its way."), anchor="test")
