"""How do people arrive? Sign-up forms: one for a list, its words, its questions, what it brought."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.models import Role
from envol.audience.models import Segment
from envol.collect import joining, signup, visibility
from envol.collect.models import SignupForm
from envol.consent import ages
from envol.consent import purposes as consent_purposes
from envol.contacts.models import List, Membership
from envol.outbound.domains import may_send_from
from envol.outbound.system import sender_of
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.public import page as public
from envol.web.public import signup as pages

RECENT = timedelta(days=30)


@require_safe
@audience(Role.VIEWER)
def forms(request: MemberRequest) -> HttpResponse:
    """Every sign-up form with what it brought; the models to begin with."""
    return _index(request)


def _index(request: MemberRequest, *, wrong: str = "", name: str = "", starter: str = "letter") -> HttpResponse:
    found = list(
        SignupForm.objects.filter(workspace=request.workspace).select_related("list").order_by("list__name")[:200]
    )
    sums = joining.figures([form.pk for form in found])
    recent = joining.figures([form.pk for form in found], timezone.now() - RECENT)
    nothing = {"asked": 0, "confirmed": 0, "held": 0}
    facts = {
        "forms": [
            {"form": form, "sums": sums.get(form.pk, nothing), "recent": recent.get(form.pk, nothing)} for form in found
        ],
        "lists": List.objects.filter(workspace=request.workspace, signup=None).order_by("name")[:200],
        "starters": signup.STARTERS,
        "starter": starter,
        "wrong": wrong,
        "name": name,
        "may_make": request.member.role != Role.VIEWER,
    }
    return render(request, "signup/index.html", facts, status=422 if wrong else 200)


@require_POST
@audience(Role.EDITOR)
def new_form(request: MemberRequest) -> HttpResponse:
    """A form for a list that has none, or for a new list; closed until somebody has read it."""
    chosen, name = request.POST.get("list", ""), " ".join(request.POST.get("name", "").split())[:200]
    starter = request.POST.get("starter", "letter")
    if chosen.isascii() and chosen.isdigit() and len(chosen) < 18:
        to = List.objects.filter(workspace=request.workspace, pk=int(chosen)).first()
        if to is None:
            raise Http404
    elif not name:
        return _index(request, wrong=_("Choose a list, or give a new one a name."), starter=starter)
    elif List.objects.filter(workspace=request.workspace, name=name).exists():
        said = _("A list with this name exists: choose it above, or give the new one another name.")
        return _index(request, wrong=said, name=name, starter=starter)
    else:
        to = List.objects.create(workspace=request.workspace, name=name)
    signup.create(request.workspace, to, starter, actor_id=request.member.pk)
    return see(request, "signup", to.pk, said=_("The form is made. Read its words, then open it."))


def _list(request: MemberRequest, list_id: int) -> List:
    found = List.objects.filter(workspace=request.workspace, pk=list_id).first()
    if found is None:
        raise Http404
    return found


def _form(request: MemberRequest, list_id: int) -> SignupForm:
    found = signup.of_list(request.workspace, _list(request, list_id).pk)
    if found is None:
        raise Http404
    return found


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def edit_signup(request: MemberRequest, list_id: int) -> HttpResponse:
    """The form of one list: words, fields, purposes, preview, code to paste, figures, switch."""
    to = _list(request, list_id)
    form = signup.of_list(request.workspace, to.pk)
    if form is None:
        if request.method == "POST":
            signup.create(request.workspace, to, request.POST.get("starter", "letter"), actor_id=request.member.pk)
            return see(request, "signup", to.pk, said=_("The form is made. Read its words, then open it."))
        return render(request, "signup/none.html", {"list": to, "starters": signup.STARTERS})
    if request.method != "POST":
        return _editor(request, form, form)
    written = _written(request.POST)
    if "up" in request.POST or "down" in request.POST:
        drafted = signup.draft(form, **_moved(written, request.POST))
        return _editor(request, form, drafted, posted=request.POST)
    try:
        signup.save(form, **written, revision=_number(request.POST.get("revision", "")), actor_id=request.member.pk)
    except signup.Problem as error:
        drafted = signup.draft(form, **written)
        return _editor(request, form, drafted, posted=request.POST, problems=error.problems, status=422)
    except signup.Changed:
        said = _("Somebody else saved this form meanwhile. What you wrote is still here: compare, then save again.")
        form.refresh_from_db()
        return _editor(request, form, signup.draft(form, **written), problems={"": said}, status=409)
    return see(request, "signup", to.pk, said=_("The form is saved."))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def _written(posted: QueryDict) -> dict[str, Any]:
    """The form as it was typed; order of fields and purposes is the order on the page."""
    asked, must = set(posted.getlist("ask")), set(posted.getlist("must"))
    offered = set(posted.getlist("offer"))
    return {
        "words": {
            code: {part: posted.get(f"{part}_{code}", "").replace("\r\n", "\n") for part in signup.PARTS}
            for code in signup.LANGUAGES
        },
        "languages": posted.getlist("languages"),
        "fields": [(key, key in must) for key in posted.getlist("field") if key in asked],
        "purposes": [_number(pk) for pk in posted.getlist("purpose") if pk in offered],
        "notice_url": posted.get("notice_url", ""),
        "redirect_url": posted.get("redirect_url", ""),
        "asks_age": "asks_age" in posted,
        "per_hour": max(0, _number(posted.get("per_hour", ""))),
        "shown_to": _shown_to(posted) if "visibility" in posted else None,
    }


def _shown_to(posted: QueryDict) -> dict[str, visibility.Shown]:
    strangers = set(posted.getlist("strangers"))
    return {
        what: visibility.Shown(_number(segment), what in strangers)
        for what, segment in zip(posted.getlist("shown"), posted.getlist("shown_to"), strict=False)
        if segment
    }


def _moved(written: dict[str, Any], posted: QueryDict) -> dict[str, Any]:
    """One field or purpose changes places with its neighbour."""
    by = -1 if "up" in posted else 1
    kind, _sep, what = posted.get("up" if by < 0 else "down", "").partition(":")
    name = "fields" if kind == "field" else "purposes"
    order: list[Any] = list(written[name])
    keys = [key for key, _must in order] if name == "fields" else [str(pk) for pk in order]
    if what in keys:
        at = keys.index(what)
        if 0 <= at + by < len(order):
            order[at], order[at + by] = order[at + by], order[at]
    return {**written, name: order}


def _editor(
    request: MemberRequest,
    form: SignupForm,
    shown: SignupForm,
    *,
    posted: QueryDict | None = None,
    problems: dict[str, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    """``shown``: the form as it is, or as it is being written."""
    language = (get_language() or "en")[:2]
    problems = problems or {}
    known = {p.key: p for p in signup.askable(form.workspace)}
    limits = visibility.of(shown)
    chosen = {f["key"]: bool(f["required"]) for f in shown.fields if f["key"] in known}
    purposes = {p.pk: p for p in signup.offered(form.workspace)}
    order = {pk: at for at, pk in enumerate(shown.purposes)}
    sums = joining.figures([form.pk]).get(form.pk, {"asked": 0, "confirmed": 0, "held": 0})
    recent = joining.figures([form.pk], timezone.now() - RECENT).get(form.pk, {"asked": 0, "confirmed": 0, "held": 0})
    ready, why = may_send_from(form.workspace.pk, sender_of(form.workspace)[1])
    labels = {
        "title": _("Title"),
        "intro": _("Introduction"),
        "notice": _("What happens with the data"),
        "thanks": _("Thanks, after the confirmation"),
    }
    helps = {
        "intro": _("May stay empty."),
        "notice": _("Short: who keeps what for what, and how to leave (GDPR art. 13). A link can say the rest."),
    }
    facts = {
        "form": form,
        "shown": shown,
        "list": form.list,
        "problems": problems,
        "tongues": [
            {
                "code": code,
                "name": name,
                "on": code in shown.languages,
                "parts": [
                    {
                        "id": f"{part}_{code}",
                        "label": labels[part],
                        "help": helps.get(part, ""),
                        "text": shown.words.get(code, {}).get(part, ""),
                        "most": most,
                        "long": part != "title",
                        "wrong": problems.get(f"{part}_{code}", ""),
                    }
                    for part, most in signup.PARTS.items()
                ],
            }
            for code, name in public.LANGUAGES
        ],
        "fields": [
            {"key": key, "label": signup.label_of(known[key], language), "on": key in chosen, "must": chosen.get(key)}
            for key in [*chosen, *(key for key in known if key not in chosen)]
        ],
        "purposes": [
            {"purpose": purposes[pk], "label": _label(purposes[pk], language), "on": pk in shown.purposes, "text": text}
            for pk in sorted(purposes, key=lambda pk: order.get(pk, len(order)))
            for text in [consent_purposes.text(purposes[pk], language)]
        ],
        "segments": Segment.objects.filter(workspace=form.workspace).order_by("name").values_list("pk", "name")[:500],
        "visible": [
            {"what": what, "label": label, "id": f"shown{n}", "to": limits.get(what)}
            for n, (what, label) in enumerate(
                [
                    (visibility.WHOLE, _("The whole form")),
                    *((visibility.purpose(pk), _label(purposes[pk], language)) for pk in order if pk in purposes),
                    *((visibility.field(key), signup.label_of(known[key], language)) for key in chosen),
                ]
            )
        ],
        "age_limit": ages.limit(form.workspace),
        "advice": signup.advice(shown),
        "stale": joining.old_words(form),
        "members": Membership.objects.filter(list_id=form.list.pk, until__isnull=True).count(),
        "sums": sums,
        "recent": recent,
        "days": RECENT.days,
        "ready": ready,
        "why_not": why,
        "address": f"{settings.ENVOL.base_url}/s/{form.token}",
        "pasted": [
            {"code": code, "name": name, "html": pages.pasted_html(form, code)}
            for code, name in public.LANGUAGES
            if code in form.languages
        ],
        "unsaved": posted is not None,
        "per_hour": posted.get("per_hour", "") if posted is not None and "per_hour" in problems else shown.per_hour,
    }
    return render(request, "signup/edit.html", facts, status=status)


def _label(purpose: Any, language: str) -> str:
    return str(purpose.label_fr if language == "fr" else purpose.label_en)


@require_http_methods(["GET", "HEAD", "POST"])
@xframe_options_exempt
@audience(Role.EDITOR)
def preview_signup(request: MemberRequest, list_id: int) -> HttpResponse:
    """The page as visitors would see it, in a frame from which nothing can be sent; of what is typed, if it comes."""
    form = _form(request, list_id)
    typed = request.POST if request.method == "POST" else request.GET
    shown = signup.draft(form, **_written(typed)) if "title_fr" in typed else form
    among = tuple(shown.languages) or ("fr",)
    wanted = typed.get("l", "")
    language = wanted if wanted in among else among[0]
    facts = pages.facts_of(shown, language)
    return public.page("signup", language, facts, policy=public.FRAME_POLICY)


@require_POST
@audience(Role.EDITOR)
def switch_signup(request: MemberRequest, list_id: int) -> HttpResponse:
    form = _form(request, list_id)
    on = request.POST.get("act") == "open"
    try:
        back = signup.switch(form, on, actor_id=request.member.pk)
    except signup.Problem as error:
        return refuse(request, "signup", list_id, said=_("The form cannot be opened yet. %(why)s") % {"why": error})
    waiting = form.signuprequest_set.filter(confirmed_at=None, expires_at__gt=timezone.now()).count()
    if on:
        said = _("The form is open: whoever has its address can sign up.")
    elif waiting:
        said = ngettext(
            "The form is closed. %(count)s person who has asked can still confirm.",
            "The form is closed. %(count)s people who have asked can still confirm.",
            waiting,
        ) % {"count": waiting}
    else:
        said = _("The form is closed: its page says so to whoever comes.")
    return see(request, "signup", list_id, said=said, undo=back)
