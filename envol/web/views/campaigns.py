"""What is planned, running, sent? Is this one ready? Five cards that say what is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.models import Role, Workspace
from envol.audience.catalogue import Catalogue
from envol.audience.models import Segment
from envol.campaigns import actions, checks, content, drafts
from envol.campaigns.models import Campaign, ContentDraft, State
from envol.consent import similar
from envol.consent.models import Purpose
from envol.consent.purposes import UNSENT
from envol.content import designs, gallery
from envol.content.models import Template, Version
from envol.content.problems import TemplateProblem
from envol.outbound import domains
from envol.web.answers import refuse, see
from envol.web.audiences import sentence_of
from envol.web.doors import MemberRequest, audience
from envol.web.figures import outlines
from envol.web.paging import page_of
from envol.web.views.contents import shown_line, typed_line

AT_ONCE = 0.02  # seconds that a page waits for what a large base has to say; what takes longer comes after it
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
        "found": outlines(page.rows),
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
    start = request.POST.get("start", gallery.MODELS[0].key)
    facts: dict[str, Any] = {"models": gallery.MODELS, "templates": known, "start": start}
    if request.method != "POST":
        return render(request, "campaigns/new.html", facts)
    name = request.POST.get("name", "")
    earlier = next((t for t in known if str(t.pk) == start), None)
    version = Version.objects.filter(template=earlier).order_by("-no").first() if earlier else None
    try:
        with transaction.atomic():
            made = actions.create(workspace, name, member=request.member, **sender_before(workspace))
            words = content.words_of(version) if version else content.started(made, start, workspace.language)
            if words.design is not None and words.design.model.key == gallery.ASKING:
                drafts.edit(made, made.revision, member=request.member, unmeasured=True)
            content.save(made, made.revision, words, base_url=settings.ENVOL.base_url, member=request.member)
    except actions.Refused as error:
        facts.update(name=name, problem=str(error))
        return render(request, "campaigns/new.html", facts, status=422)
    return see(request, "campaign", made.pk, said=_("The campaign is made. Nothing leaves before you say so."))


def sender_before(workspace: Workspace) -> dict[str, Any]:
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


# ---- the page of one campaign


def facts_of(campaign: Campaign, seconds: float | None = None) -> dict[str, Any]:
    """What the five cards show: present choices, and the checks of each card.

    ``counting``: who would get it was not known within ``seconds``; the page comes first, the figures follow it.
    """
    language = get_language() or "en"
    catalogue = Catalogue(campaign.workspace)
    looked = checks.look(campaign, seconds, catalogue)
    found = looked.checks
    cards: dict[str, list[dict[str, Any]]] = {}
    for check in found:
        card = {"domains": "sender", "settings": "sender", "send": "send"}.get(check.where, check.where)
        cards.setdefault(card, []).append({"check": check, "sentence": check.sentence(language)})
    version = checks.latest_version(campaign)
    return {
        "campaign": campaign,
        "editable": campaign.state in EDITABLE,
        "version": version,
        "design": designs.of(version),
        "draft": content.draft_of(campaign),
        "cards": cards,
        "blocked": [c for c in found if c.level == checks.BLOCK],
        "who": looked.who,
        "counting": not looked.complete,
        "sentence": sentence_of(catalogue, campaign.segment.whole if campaign.segment else None),
    }


def _choices(request: MemberRequest, campaign: Campaign) -> dict[str, Any]:
    workspace = campaign.workspace
    version = checks.latest_version(campaign)
    bought = similar.known(workspace.pk) if similar.some(workspace.pk) else []
    return {
        "purposes": Purpose.objects.filter(workspace=workspace)
        .exclude(kind="measuring")
        .exclude(key__in=UNSENT)
        .order_by("bit"),
        "segments": Segment.objects.filter(workspace=workspace).order_by("name"),
        "domains": domains.of(workspace),
        "subject": (subject := shown_line(campaign, version.subject) if version else ""),
        "preheader": (preheader := shown_line(campaign, version.preheader) if version else ""),
        "subject_now": subject,
        "preheader_now": preheader,
        "form": {
            "from_name": campaign.from_name,
            "from_address": campaign.from_address,
            "reply_to": campaign.reply_to,
            "purpose": campaign.purpose.pk if campaign.purpose else "",
            "segment": campaign.segment.pk if campaign.segment else "",
            "name": campaign.name,
            "unmeasured": campaign.unmeasured,
            "product_family": campaign.product_family,
            "seller": campaign.seller,
        },
        "bought": bought,
        "families": sorted({family for family, _seller, _n in bought if family}),
        "sellers": sorted({seller for _family, seller, _n in bought if seller}),
        "problems": [],
        "own_address": request.user.email,
        "local": settings.ENVOL.route == "local",
    }


@require_safe
@audience(Role.VIEWER)
def campaign(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """The page; for a script that asks for ``part=who``, the people of the audience alone."""
    found = one(request, campaign_id)
    if request.GET.get("part") == "who" and request.headers.get("HX-Request") == "true":
        return render(request, "campaigns/_who.html", facts_of(found))
    facts = facts_of(found, None if "count" in request.GET else AT_ONCE)
    return render(request, "campaigns/one.html", {**facts, **_choices(request, found)})


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
                chosen = {key: _id(request, key) for key in ("purpose", "segment")}
                about = {key: request.POST[key] for key in ("product_family", "seller") if key in request.POST}
                _edit(request, found, revision, **chosen, **about, unmeasured="unmeasured" in request.POST)
            case "sender":
                fields = {key: request.POST.get(key, "").strip() for key in ("from_name", "from_address", "reply_to")}
                _edit(request, found, revision, **fields)
                _save_subject(request, found)
            case _:
                raise Http404
    except actions.Conflict as error:
        problems, status = [str(error)], 409
        typed["changed"] = _changed(found)
    except TemplateProblem as error:
        problems = [str(p) for p in error.problems]
    except ValueError as error:
        problems = [str(error)]
    else:
        return see(request, "campaign", found.pk, said=_("Saved."), anchor=card)
    # What was typed is never lost: the page comes back with it.
    for key in ("subject", "preheader"):
        typed[key] = request.POST.get(key, typed[key])
    if card == "audience":
        typed["form"]["unmeasured"] = "unmeasured" in request.POST
    for key in typed["form"]:
        if key in request.POST and key != "unmeasured":
            given = request.POST[key]
            typed["form"][key] = (_id(request, key) or "") if key in ("purpose", "segment") else given
    typed.update(problems=problems, failed_card=card)
    found.refresh_from_db()
    return render(request, "campaigns/one.html", {**facts_of(found), **typed}, status=status)


def _changed(found: Campaign) -> str:
    """What somebody else changed meanwhile, in a sentence."""
    last = drafts.last_change(found)
    if last is None:
        return ""
    words = {
        "name": _("the name"),
        "purpose": _("the purpose"),
        "segment": _("the segment"),
        "unmeasured": _("whether it is measured"),
        "product_family": _("what it is about"),
        "seller": _("who sells that"),
        "template": _("the content"),
        "from_name": _("the name of the sender"),
        "from_address": _("the address of the sender"),
        "reply_to": _("the address for answers"),
    }
    facts = {
        "who": last.who,
        "what": ", ".join(words[key] for key in last.fields if key in words) or _("the content"),
        "time": f"{timezone.localtime(last.at):%H:%M}",
    }
    return (
        _("At %(time)s %(who)s changed: %(what)s. What you typed stands in its form; save it again if it holds.")
        % facts
    )


def _edit(request: MemberRequest, found: Campaign, revision: int, **changes: Any) -> None:
    actions.edit(found, revision, member=request.member, **changes)


def _id(request: MemberRequest, name: str) -> int | None:
    value = request.POST.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 12 else None


def _save_subject(request: MemberRequest, found: Campaign) -> None:
    """A new subject is a new version of the same content, and of what is being typed; versions never change."""
    version, draft = checks.latest_version(found), content.draft_of(found)
    if "subject" not in request.POST or version is None:
        return
    subject, preheader = (typed_line(found, request.POST.get(name, "")) for name in ("subject", "preheader"))
    if draft is not None:
        ContentDraft.objects.filter(pk=draft.pk).update(subject=subject, preheader=preheader)
    if (subject, preheader) != (version.subject, version.preheader):
        words = replace(content.words_of(version), subject=subject, preheader=preheader)
        content.save(found, found.revision, words, base_url=settings.ENVOL.base_url, member=request.member, draft=False)


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
