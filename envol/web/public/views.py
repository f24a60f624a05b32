"""Views of the public pages. A GET shows, only a POST acts: scanners open every link (RFC 8058 §3.1)."""

from __future__ import annotations

from typing import Any

from babel.dates import format_date
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.http.multipartparser import MultiPartParserError
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from envol.audience import reasons
from envol.consent import purposes
from envol.content import media
from envol.content.compose import Composer
from envol.content.language import MissingValue, RenderProblem
from envol.content.links import Kind
from envol.content.models import Version
from envol.content.preview import person_of
from envol.web.doors import anybody
from envol.web.public import cares, choices, mailing_lists, own_data
from envol.web.public.choices import Visitor
from envol.web.public.page import LANGUAGES, POLICY, nowhere, page, private, spoken, switches
from envol.web.public.words import Words

# A message alone in a window: its pictures and its own styles, never a script, never a form, an origin of its own.
MESSAGE_POLICY = (
    "default-src 'none'; img-src https: http: data:; style-src 'unsafe-inline'; font-src https:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
)


def words_of(who: Visitor, language: str) -> Words:
    purpose = choices.purpose_of(who)
    return Words(
        language,
        workspace=who.workspace.title,
        address=who.masked,
        purpose=choices.label_of(purpose, language) if purpose else "",
    )


def facts_of(request: HttpRequest, who: Visitor, words: Words) -> dict[str, Any]:
    purpose = choices.purpose_of(who)
    switched = f"?l={words.language}" if words.language != who.language else ""
    return {
        "words": words,
        "who": who,
        "workspace": who.workspace,
        "purpose": purpose,
        "purpose_text": purposes.text(purpose, words.language) if purpose else None,
        "preferences": who.preferences + switched,
        "here": request.path + switched,
        "languages": switches(request, words.language),
    }


def posted(request: HttpRequest) -> dict[str, str]:
    """The form, urlencoded or multipart; what cannot be read is an empty one."""
    try:
        return {key: str(value) for key, value in request.POST.items()}
    except (MultiPartParserError, SuspiciousOperation, OSError, ValueError):
        return {}


def survey_of(words: Words) -> list[tuple[str, str]]:
    """The answers to why somebody reads so little, in her language."""
    return [(key, words(f"survey_{key}")) for key in reasons.ANSWERS]


def _numbers(listed: str) -> list[int]:
    return [int(no) for no in listed.split(",")[:100] if no.isascii() and no.isdigit() and len(no) < 18]


@require_http_methods(["GET", "HEAD", "POST"])
@csrf_exempt  # the token is the proof; a mail provider's POST has no cookie and no page before it (RFC 8058 §3.2)
@anybody
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """GET asks with one button. POST acts at once: by the mail provider's own button, or by ours."""
    who = choices.visitor(token, Kind.UNSUBSCRIBE)
    if who is None:
        return nowhere(request)
    language = spoken(request, who.language)
    words = words_of(who, language)
    facts = facts_of(request, who, words)
    if request.method != "POST":
        return page("unsubscribe", language, facts)
    form = posted(request)
    match form.get("act"):
        case "undo" if choices.resubscribe(who, _numbers(form.get("seen", ""))):
            return page("unsubscribed", language, {**facts, "said": words("resubscribed"), "undo": False})
        case "undo":
            return page("unsubscribed", language, {**facts, "said": words("unchanged"), "undo": False})
        case "all":
            changed = choices.unsubscribe(who, everything=True)
            said = words("unsubscribed_all") if changed else words("was_unsubscribed")
        case None:
            changed = choices.unsubscribe(who, via="one_click")
            if form.get("List-Unsubscribe") == "One-Click":
                return private(HttpResponse(words("done"), content_type="text/plain; charset=utf-8"), POLICY)
            said = words("unsubscribed" if facts["purpose"] else "unsubscribed_all")
        case _:
            changed = choices.unsubscribe(who)
            said = words("unsubscribed" if facts["purpose"] else "unsubscribed_all")
            if not changed:
                said = words("was_unsubscribed")
    undo = facts["purpose"] is not None and who.contact is not None
    # Whoever leaves may say why, and need not; the undo above stands whether she does or not.
    ask = {"ask": "/i/" + facts["here"].removeprefix("/u/"), "reasons": survey_of(words)}
    return page("unsubscribed", language, {**facts, "said": said, "undo": undo, **(ask if who.contact else {})})


@require_http_methods(["GET", "HEAD", "POST"])
@csrf_exempt  # no session is involved: the token in the address is the only key
@anybody
def preferences(request: HttpRequest, token: str) -> HttpResponse:
    """What may be sent and measured; the person changes it here, by the link of any message."""
    who = choices.visitor(token, Kind.PREFERENCES, Kind.UNSUBSCRIBE, Kind.PERSON)
    if who is None:
        return nowhere(request)
    language, said = spoken(request, who.language), ""
    typed: dict[str, str] = {}
    if request.method == "POST":
        form = posted(request)
        act = form.get("act", "")
        if act == "all":
            changed = choices.unsubscribe(who, everything=True)
            said = "unsubscribed_all" if changed else "was_unsubscribed"
        elif act.startswith("ask_"):
            said = own_data.ask(who, act[4:], form.get("words", ""), language)
        elif act.startswith("keep_"):
            chosen = _numbers(act[5:])
            kept = bool(chosen) and choices.renew(who, chosen[0], _numbers(form.get("seen", "")))
            said = "kept" if kept else "unchanged"
        elif act in ("profile_end", "profile_again"):
            said = own_data.profiling(who, end=act == "profile_end")
        elif act == "after":
            said = own_data.after(who, form.get("wish", ""), form.get("person", ""), words_of(who, language))
            typed = form if said == "after_needed" else {}
        elif act in ("pause", "pause_end"):
            said = own_data.pause(who, end=act == "pause_end")
        elif act == "save":
            wanted = {no: f"purpose_{no}" in form for no in _numbers(form.get("shown", ""))}
            seen = _numbers(form.get("seen", ""))
            changed = choices.choose(who, wanted, language=form.get("language"), seen=seen)
            changed |= cares.choose(who, form)
            changed |= mailing_lists.choose(who, form)
            changed |= "often" in form and own_data.seldom(who, form["often"])
            said = "saved" if changed else "unchanged"
            language = who.language  # what she has just chosen, if she did
        if who.contact is not None:
            who.contact.refresh_from_db()
    words = words_of(who, language)
    offered = choices.choices(who, language)
    return page(
        "preferences",
        language,
        {
            **facts_of(request, who, words),
            "said": words(said) if said and not said.endswith("_needed") else "",
            "lacking": words(said) if said.endswith("_needed") else "",
            "paused": own_data.paused(who, words),
            "rights": [(kind, words(f"rights_{kind}")) for kind in own_data.BY_LINK],
            "at_once": [(kind, words(f"rights_{kind}")) for kind in own_data.AT_ONCE],
            "marketing": [_row(c, words) for c in offered if c.purpose.kind == "marketing"],
            "measuring": [_row(c, words) for c in offered if c.purpose.kind == "measuring"],
            "always": [_row(c, words) for c in offered if c.purpose.kind == "transactional"],
            "shown": ",".join(str(c.purpose.pk) for c in offered if c.purpose.kind != "transactional"),
            "seen": ",".join(str(c.words.pk) for c in offered),
            "topics": cares.rows(who, words),
            "lists": mailing_lists.rows(who),
            "often": own_data.frequencies(who, words),
            "unprofiled": own_data.unprofiled(who),
            "after": own_data.wishes(who, words, typed),
            "stopped": who.contact is not None and who.contact.suppressed,
            "tongues": LANGUAGES,
        },
    )


def _row(choice: choices.Choice, words: Words) -> dict[str, Any]:
    ends, keep = "", "keep"
    if choice.newcomers:
        ends, keep = words("partners_since", names=", ".join(choice.newcomers)), "partners_agree"
    elif choice.ends is not None:
        day = format_date(choice.ends, "long", locale="fr_FR" if words.language == "fr" else "en_GB")
        ends = words("keep_until", day=day)
    return {
        "name": f"purpose_{choice.purpose.pk}",
        "label": choices.label_of(choice.purpose, words.language),
        "text": choice.text,
        "granted": choice.granted,
        "ends": ends,
        "keep": f"keep_{choice.purpose.pk}",
        "keep_words": words(keep),
    }


@require_safe
@anybody
def web_version(request: HttpRequest, token: str) -> HttpResponse:
    """The message as this person got it, made by the code that sent it; her permissions are those of now."""
    who = choices.visitor(token, Kind.WEB)
    if who is None or who.sending is None:
        return nowhere(request)
    version = Version.objects.filter(id=who.sending.version_id or 0, workspace=who.workspace).first()
    if version is None or who.contact is None:
        return nowhere(request, "no_web_version")
    try:
        composer = Composer(
            who.sending,
            version,
            who.workspace,
            who.sending.sender,
            (),
            settings.ENVOL.base_url,
            campaign_name=str(who.sending.sender.get("campaign_name", "")),
            attachments=(),
        )
        parts = composer.parts(person_of(who.contact, who.no), pixel=False)
    except (MissingValue, RenderProblem, ValueError):
        return nowhere(request, "no_web_version")
    if parts.html is None:
        return page(
            "text",
            who.language,
            {"languages": [], "workspace": who.workspace, "subject": parts.subject, "text": parts.text},
        )
    return private(HttpResponse(parts.html), MESSAGE_POLICY)


@require_safe
@anybody
def picture(request: HttpRequest, token: str, file: str) -> HttpResponseBase:
    """A picture of a message, where no edge stands in front of the pages."""
    found = media.file_of(f"{token}/{file}")
    if found is None or not found[0].is_file():
        raise Http404
    return FileResponse(open(found[0], "rb"), content_type=found[1], headers=media.HEADERS)
