"""The look and the policy of every public page: one inline style known by its hash, no script, no cookie, no font,
nothing from elsewhere; both answers to a question are buttons of the same weight.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import translation

from envol.content.links import KNOWN
from envol.web.public.words import Words

LANGUAGES = (("fr", "Français"), ("en", "English"))

# The tokens of ui/styles/envol.css, written out: a public page loads no file.
STYLE = (
    ":root{color-scheme:light dark;--bg:#f6f5f1;--card:#fffdf9;--line:#d5d3cb;--ink:#17212b;--muted:#4d5b68;"
    "--go:#134e5e;--on:#fff;--ok:#1d5e3a;--bad:#96211b;--field:#7d8791;--focus:#b3460b}"
    "@media(prefers-color-scheme:dark){:root{--bg:#11171d;--card:#19222b;--line:#33414e;--ink:#e8edf1;--muted:#a9b6c2;"
    "--go:#6cc3d5;--on:#06222a;--ok:#8fdcae;--bad:#ffa69e;--field:#74828f;--focus:#ffb27a}}"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
    "font:1.0625rem/1.55 system-ui,-apple-system,'Segoe UI',sans-serif;overflow-wrap:anywhere}"
    "header,main,footer{max-width:38rem;margin:0 auto;padding:0 1rem}"
    "header{display:flex;flex-wrap:wrap;gap:.25rem 1rem;justify-content:space-between;align-items:center;"
    "padding-block:1.25rem .75rem}header b{font-size:1rem}"
    "nav{display:flex;gap:.25rem;font-size:.9rem}nav a,nav span{padding:.35rem .5rem;min-height:1.5rem}"
    "nav span{font-weight:600}"
    ".card{background:var(--card);border:1px solid var(--line);border-top:.25rem solid var(--go);border-radius:6px;"
    "padding:1.5rem clamp(1rem,5vw,2rem)}"
    "h1{font-size:1.5rem;line-height:1.25;margin:0 0 .75rem;text-wrap:balance}"
    "h2,legend{font-size:1.0625rem;font-weight:650;margin:0;padding:0}p{margin:.75rem 0}a{color:var(--go)}"
    "form{margin:1.25rem 0 0}fieldset{border:0;border-top:1px solid var(--line);margin:1.25rem 0;padding:1rem 0 0}"
    "legend{float:left;width:100%;margin-bottom:.25rem}legend+*{clear:both}"
    ".field{margin:1rem 0}.field>label{display:block;font-weight:600}.field>label{margin-bottom:.3rem}"
    "small,.muted{color:var(--muted)}small{display:block;font-size:.92rem;line-height:1.45}"
    "input:not([type=checkbox],[type=radio]),select{font:inherit;color:inherit;background:var(--bg);"
    "width:100%;min-height:2.75rem;padding:.5rem .75rem;border:1px solid var(--field);border-radius:6px}"
    "[aria-invalid=true]{border:2px solid var(--bad)!important}"
    ".wrong{color:var(--bad);font-weight:600;margin:.3rem 0}"
    ".box{display:flex;gap:.75rem;padding:.75rem 0;align-items:flex-start}.box+.box{border-top:1px solid var(--line)}"
    "input[type=checkbox],input[type=radio]{width:1.5rem;height:1.5rem;margin:.1rem 0 0;flex:none;"
    "accent-color:var(--go)}"
    ".box b{display:block;font-weight:600}"
    "button{font:inherit;font-weight:600;min-height:2.75rem;padding:.55rem 1.25rem;border-radius:6px;cursor:pointer;"
    "border:1px solid var(--go);background:var(--go);color:var(--on)}"
    ".acts{display:flex;flex-wrap:wrap;gap:.5rem}form>button+button{margin-block-start:.5rem}"
    ".said{border-left:.3rem solid var(--ok);padding:.1rem 0 .1rem 1rem;margin:1rem 0}"
    ".said.bad{border-color:var(--bad)}"
    ".then{border-top:1px solid var(--line);margin-top:1.5rem;padding-top:.25rem}"
    ".trap{position:absolute;inset-inline-start:-99rem;width:1px;height:1px;overflow:hidden}"
    ":focus-visible{outline:3px solid var(--focus);outline-offset:2px}"
    "blockquote{margin:.75rem 0;padding-inline-start:1rem;border-inline-start:.2rem solid var(--line);"
    "color:var(--muted)}"
    "footer{color:var(--muted);font-size:.9rem;padding-block:1rem 2.5rem}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# The same page inside the editor's preview: nothing in it can be sent.
FRAME_POLICY = (
    f"default-src 'none'; script-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'; sandbox"
)


def spoken(request: HttpRequest, otherwise: str, among: tuple[str, ...] = ("fr", "en")) -> str:
    """The language she switched to (``?l=``), else ``otherwise``."""
    chosen = request.GET.get("l", "")
    return chosen if chosen in among else otherwise


def of_browser(request: HttpRequest, among: tuple[str, ...] = ("fr", "en")) -> str:
    """The first of ``among`` that her browser asks for, else the first of all."""
    for part in request.headers.get("Accept-Language", "").split(","):
        code = part.partition(";")[0].strip().lower()[:2]
        if code in among:
            return code
    return among[0]


def html_of(template: str, language: str, facts: dict[str, Any]) -> str:
    with translation.override(language):
        return render_to_string(f"public/{template}.html", {"style": STYLE, "language": language, **facts})


def page(
    template: str, language: str, facts: dict[str, Any], *, status: int = 200, policy: str = POLICY
) -> HttpResponse:
    return private(HttpResponse(html_of(template, language, facts), status=status), policy)


def private(answer: HttpResponse, policy: str) -> HttpResponse:
    answer["Content-Security-Policy"] = policy
    answer["Cache-Control"] = "no-store"
    answer["X-Robots-Tag"] = "noindex, nofollow"
    # Not no-referrer: with it browsers send "Origin: null", and our own form would look foreign.
    answer["Referrer-Policy"] = "same-origin"
    return answer


def nowhere(request: HttpRequest, name: str = "unknown") -> HttpResponse:
    language = spoken(request, of_browser(request))
    words = Words(language)
    facts = {"words": words, "sentence": words(name), "languages": switches(request, language)}
    return page("unknown", language, facts, status=404)


def switches(
    request: HttpRequest, language: str, among: tuple[str, ...] = ("fr", "en"), *, known: str = ""
) -> list[dict[str, Any]]:
    """Links to the same page in the other languages; none where there is one language. ``known``: the mark of whoever
    came by a signed link, which goes along."""
    mark = f"&{KNOWN}={known}" if known else ""
    if len(among) < 2:
        return []
    return [
        {"code": code, "name": name, "here": code == language, "href": f"{request.path}?l={code}{mark}"}
        for code, name in LANGUAGES
        if code in among
    ]
