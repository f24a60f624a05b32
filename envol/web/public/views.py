"""Views of the public pages. A GET shows, only a POST acts: scanners open every link (RFC 8058 §3.1)."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.http.multipartparser import MultiPartParserError
from django.template.loader import render_to_string
from django.utils import translation
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from envol.content import media
from envol.content.compose import Composer
from envol.content.language import MissingValue, RenderProblem
from envol.content.links import Kind
from envol.content.models import Version
from envol.content.preview import person_of
from envol.web.doors import anybody
from envol.web.public import choices
from envol.web.public.choices import Visitor
from envol.web.public.words import Words

STYLE = (
    ":root{color-scheme:light dark}body{font:1.05rem/1.55 system-ui,sans-serif;max-width:38rem;margin:0 auto;"
    "padding:2.5rem 1rem}h1{font-size:1.45rem;line-height:1.25}h2{font-size:1.1rem}"
    "fieldset{border:1px solid #8888;border-radius:.5rem;margin:1rem 0;padding:.5rem 1rem}"
    "legend{font-weight:600;padding:0 .4rem}label{display:flex;gap:.6rem;padding:.45rem 0;align-items:flex-start}"
    "input[type=checkbox]{width:1.2rem;height:1.2rem;margin:.15rem 0 0;flex:none}small{display:block;opacity:.85}"
    "button,select{font:inherit;min-height:2.75rem;padding:.5rem 1.1rem;border-radius:.5rem;border:1px solid #666}"
    "button.main{background:#1d4f8c;color:#fff;border-color:#1d4f8c}form{margin:1.2rem 0}"
    ".said{border-left:.3rem solid #2c7a4b;padding:.2rem 0 .2rem 1rem;margin:1.2rem 0}"
    ":focus-visible{outline:3px solid #b06a00;outline-offset:2px}footer{margin-top:3rem;opacity:.8;font-size:.9rem}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# A message alone in a window: its pictures and its own styles, never a script, never a form, an origin of its own.
MESSAGE_POLICY = (
    "default-src 'none'; img-src https: http: data:; style-src 'unsafe-inline'; font-src https:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
)


def _page(
    template: str, language: str, facts: dict[str, Any], *, status: int = 200, policy: str = POLICY
) -> HttpResponse:
    with translation.override(language):
        html = render_to_string(f"public/{template}.html", {"style": STYLE, "language": language, **facts})
    return _private(HttpResponse(html, status=status), policy)


def _private(answer: HttpResponse, policy: str) -> HttpResponse:
    answer["Content-Security-Policy"] = policy
    answer["Cache-Control"] = "no-store"
    answer["X-Robots-Tag"] = "noindex, nofollow"
    # Not no-referrer: with it browsers send "Origin: null", and our own form would look foreign.
    answer["Referrer-Policy"] = "same-origin"
    return answer


def _nowhere(request: HttpRequest, name: str = "unknown") -> HttpResponse:
    language = "en" if translation.get_language_from_request(request).startswith("en") else "fr"
    return _page("unknown", language, {"words": Words(language), "sentence": Words(language)(name)}, status=404)


def _words(who: Visitor) -> Words:
    purpose = choices.purpose_of(who)
    return Words(
        who.language,
        workspace=who.workspace.title,
        address=who.masked,
        purpose=choices.label_of(purpose, who.language) if purpose else "",
    )


def _facts(who: Visitor, words: Words) -> dict[str, Any]:
    purpose = choices.purpose_of(who)
    return {
        "words": words,
        "who": who,
        "workspace": who.workspace,
        "purpose": purpose,
        "purpose_text": choices.words_of(purpose, who.language) if purpose else "",
        "preferences": f"/p/{who.token(Kind.PREFERENCES)}",
        "here": f"/u/{who.token(Kind.UNSUBSCRIBE)}",
    }


def _post(request: HttpRequest) -> dict[str, str]:
    """The form, urlencoded or multipart; what cannot be read is an empty one."""
    try:
        return {key: str(value) for key, value in request.POST.items()}
    except (MultiPartParserError, SuspiciousOperation, OSError, ValueError):
        return {}


@require_http_methods(["GET", "HEAD", "POST"])
@csrf_exempt  # the token is the proof; a mail provider's POST has no cookie and no page before it (RFC 8058 §3.2)
@anybody
def unsubscribe(request: HttpRequest, token: str) -> HttpResponse:
    """GET asks with one button. POST acts at once: by the mail provider's own button, or by ours."""
    who = choices.visitor(token, Kind.UNSUBSCRIBE)
    if who is None:
        return _nowhere(request)
    words = _words(who)
    facts = _facts(who, words)
    if request.method != "POST":
        return _page("unsubscribe", who.language, facts)
    form = _post(request)
    match form.get("act"):
        case "undo" if choices.resubscribe(who):
            return _page("unsubscribed", who.language, {**facts, "said": words("resubscribed"), "undo": False})
        case "undo":
            return _page("unsubscribed", who.language, {**facts, "said": words("unchanged"), "undo": False})
        case "all":
            changed = choices.unsubscribe(who, everything=True)
            said = words("unsubscribed_all") if changed else words("was_unsubscribed")
        case None:
            changed = choices.unsubscribe(who, via="one_click")
            if form.get("List-Unsubscribe") == "One-Click":
                return _private(HttpResponse(words("done"), content_type="text/plain; charset=utf-8"), POLICY)
            said = words("unsubscribed" if facts["purpose"] else "unsubscribed_all")
        case _:
            changed = choices.unsubscribe(who)
            said = words("unsubscribed" if facts["purpose"] else "unsubscribed_all")
            if not changed:
                said = words("was_unsubscribed")
    undo = facts["purpose"] is not None and who.contact is not None
    return _page("unsubscribed", who.language, {**facts, "said": said, "undo": undo})


@require_http_methods(["GET", "HEAD", "POST"])
@csrf_exempt  # no session is involved: the token in the address is the only key
@anybody
def preferences(request: HttpRequest, token: str) -> HttpResponse:
    """What may be sent and measured; the person changes it here, by the link of any message."""
    who = choices.visitor(token, Kind.PREFERENCES, Kind.UNSUBSCRIBE)
    if who is None:
        return _nowhere(request)
    said = ""
    if request.method == "POST":
        form = _post(request)
        if form.get("act") == "all":
            changed = choices.unsubscribe(who, everything=True)
            said = _words(who)("unsubscribed_all" if changed else "was_unsubscribed")
        elif form.get("act") == "save":
            shown = [int(no) for no in form.get("shown", "").split(",") if no.isdecimal() and len(no) < 18]
            wanted = {no: f"purpose_{no}" in form for no in shown}
            changed = choices.choose(who, wanted, language=form.get("language"))
            said = _words(who)("saved" if changed else "unchanged")
        if who.contact is not None:
            who.contact.refresh_from_db()
    words = _words(who)
    offered = choices.choices(who)
    return _page(
        "preferences",
        who.language,
        {
            **_facts(who, words),
            "said": said,
            "marketing": [_row(c, who) for c in offered if c.purpose.kind == "marketing"],
            "measuring": [_row(c, who) for c in offered if c.purpose.kind == "measuring"],
            "always": [_row(c, who) for c in offered if c.purpose.kind == "transactional"],
            "shown": ",".join(str(c.purpose.pk) for c in offered if c.purpose.kind != "transactional"),
            "here": f"/p/{who.token(Kind.PREFERENCES)}",
            "stopped": who.contact is not None and who.contact.suppressed,
            "languages": [("fr", "Français"), ("en", "English")],
        },
    )


def _row(choice: choices.Choice, who: Visitor) -> dict[str, Any]:
    return {
        "name": f"purpose_{choice.purpose.pk}",
        "label": choices.label_of(choice.purpose, who.language),
        "text": choice.text,
        "granted": choice.granted,
    }


@require_safe
@anybody
def web_version(request: HttpRequest, token: str) -> HttpResponse:
    """The message as this person got it, made by the code that sent it; her permissions are those of now."""
    who = choices.visitor(token, Kind.WEB)
    if who is None:
        return _nowhere(request)
    version = Version.objects.filter(id=who.sending.version_id or 0, workspace=who.workspace).first()
    if version is None or who.contact is None:
        return _nowhere(request, "no_web_version")
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
        return _nowhere(request, "no_web_version")
    if parts.html is None:
        return _page("text", who.language, {"subject": parts.subject, "text": parts.text})
    return _private(HttpResponse(parts.html), MESSAGE_POLICY)


@require_safe
@anybody
def picture(request: HttpRequest, token: str, file: str) -> HttpResponseBase:
    """A picture of a message, where no edge stands in front of the pages."""
    found = media.file_of(f"{token}/{file}")
    if found is None or not found[0].is_file():
        raise Http404
    return FileResponse(open(found[0], "rb"), content_type=found[1], headers=media.HEADERS)
