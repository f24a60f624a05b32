"""The sign-up page, the form pasted on any site, and the link of the mail that confirms.

The same answer whoever's address it is and whatever a limit held back; a GET shows, only a POST acts.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.multipartparser import MultiPartParserError
from django.template.loader import render_to_string
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe

from envol import db_role
from envol.collect import joining, signup, visibility
from envol.collect.joining import Shown, Written
from envol.collect.models import SignupForm
from envol.consent import ages, policies
from envol.contacts import catalogue
from envol.contacts.models import Contact, Property, PropertyType
from envol.contacts.people import masked
from envol.content import links
from envol.web.doors import anybody
from envol.web.public import choices
from envol.web.public.client import client_address
from envol.web.public.page import POLICY, nowhere, of_browser, page, private, spoken, switches
from envol.web.public.words import Words

_AUTOFILL = {
    "first_name": "given-name",
    "last_name": "family-name",
    "city": "address-level2",
    "birth_date": "bday",
    "phone": "tel",
    "country": "country-name",
    "postcode": "postal-code",
    "company": "organization",
}
_MAX_BODY = 64 << 10


def _form(token: str) -> SignupForm | None:
    if not token.isascii() or not token.isprintable():
        return None
    with db_role.as_owner():  # the token says whose form it is
        found = SignupForm.objects.select_related("workspace", "list").filter(token=token).first()
    if found is not None:
        db_role.enter(found.workspace.pk)
    return found


def _language(request: HttpRequest, form: SignupForm) -> str:
    among = tuple(form.languages) or ("fr",)
    return spoken(request, of_browser(request, among), among)


def _posted(request: HttpRequest) -> dict[str, list[str]]:
    """What came, without NUL; what cannot be read is an empty form."""
    try:
        if int(request.headers.get("Content-Length") or 0) > _MAX_BODY:
            return {}
        return {key: [str(v).replace("\0", "") for v in values] for key, values in request.POST.lists()}
    except (MultiPartParserError, SuspiciousOperation, OSError, ValueError):
        return {}


@require_http_methods(["GET", "HEAD", "POST"])
@csrf_exempt  # the pasted form stands on another site; there is no session here, and the limits do not ask who sent it
@anybody
def signup_page(request: HttpRequest, token: str) -> HttpResponse:
    """The hosted page; a POST may also come from HTML pasted on any site."""
    whole = _form(token)
    if whole is None:
        return nowhere(request)
    language = _language(request, whole)
    posted = _posted(request) if request.method == "POST" else {}
    who, contact_id = _known(request, whole, posted)
    # What is hidden from somebody looks as if it had never been there, and a hidden form as if it were closed.
    form = visibility.as_seen(whole, contact_id) if whole.active else None
    if form is None:
        return _closed(request, whole, language)
    if request.method != "POST":
        return page("signup", language, facts_of(form, language, request=request, who=who))
    if posted.get("language", [""])[0] in form.languages:
        language = posted["language"][0]
    shown = joining.read_stamp(form, posted.get("stamp", [""])[0])
    if shown is None:
        return _again(request, form, language, posted, who, said="stale")
    written = joining.read(form, shown, posted)
    if written.wrong:
        return _again(request, form, language, posted, who, written=written, shown=shown)
    if joining.too_fast(form, shown):
        return _again(request, form, language, posted, who, written=written, shown=shown, said="too_fast")
    if not any(posted.get(joining.TRAP, ())):
        joining.ask(form, written, shown, client=client_address(request), language=language)
    return _look(form, shown, language)


def _known(request: HttpRequest, form: SignupForm, posted: dict[str, list[str]]) -> tuple[str, int | None]:
    """The signed mark somebody came with, and who she is; nothing where it is not ours or of another workspace."""
    token = next(iter(posted.get(links.KNOWN, ())), "") or request.GET.get(links.KNOWN, "")
    visitor = choices.visitor(token, links.Kind.PREFERENCES, links.Kind.PERSON) if token else None
    db_role.enter(form.workspace.pk)  # whosever the mark is, this is about the form
    if visitor is None or visitor.contact is None or visitor.workspace.pk != form.workspace.pk:
        return "", None
    return token, visitor.contact.pk


def _look(form: SignupForm, shown: Shown, language: str) -> HttpResponse:
    ours = f"{settings.ENVOL.base_url}/s/{form.token}/sent?l={language}"
    answer = HttpResponseRedirect(form.redirect_url if shown.pasted and form.redirect_url else ours, status=303)
    return private(answer, POLICY)


def _again(
    request: HttpRequest,
    form: SignupForm,
    language: str,
    posted: dict[str, list[str]],
    who: str,
    *,
    written: Written | None = None,
    shown: Shown | None = None,
    said: str = "",
) -> HttpResponse:
    """The page with what was typed, what to correct, and the time it was first shown."""
    facts = facts_of(form, language, request=request, posted=posted, written=written, shown=shown, said=said, who=who)
    return page("signup", language, facts, status=422)


def _closed(request: HttpRequest, form: SignupForm, language: str) -> HttpResponse:
    words = Words(language, workspace=form.workspace.title)
    facts = {"words": words, "workspace": form.workspace, "languages": switches(request, language)}
    return page("signup_closed", language, facts, status=410)


def facts_of(
    form: SignupForm,
    language: str,
    *,
    request: HttpRequest | None = None,
    posted: dict[str, list[str]] | None = None,
    written: Written | None = None,
    shown: Shown | None = None,
    said: str = "",
    who: str = "",
) -> dict[str, Any]:
    """What the template of the form needs; ``request`` None: a preview, from which nothing can be sent."""
    words = Words(language, workspace=form.workspace.title)
    posted = posted or {}
    wrong = written.wrong if written else {}
    if shown is not None and not shown.pasted:
        # The very words that she read, though there may be newer ones, and her first moment on the page.
        texts, since = joining.shown_texts(form, shown), shown.at
    else:
        texts, since = signup.texts_of(form, language), timezone.now()
    # A tick holds for the words it stood beside: under newer ones the box is empty again.
    ticked = set(posted.get("agree", ()))
    fields = [_input(prop, must, language, posted, wrong, words) for prop, must in _fields(form)]
    email = next(iter(posted.get("email", ())), "")
    return {
        "words": words,
        "workspace": form.workspace,
        "form": form,
        "said": form.words.get(language, {}),
        "fields": fields,
        "email": email,
        "email_wrong": words(wrong["email"]) if "email" in wrong else "",
        "agree_wrong": words(wrong["agree"]) if "agree" in wrong else "",
        "age": _age(form, posted, words) if form.asks_age else [],
        "parent": next(iter(posted.get("parent", ())), ""),
        "parent_label": words("parent", age=str(ages.limit(form.workspace))) if form.asks_age else "",
        "age_wrong": words(wrong["age"]) if "age" in wrong else "",
        "boxes": [
            {
                "id": text.pk,
                "label": text.purpose.label_fr if language == "fr" else text.purpose.label_en,
                "text": text.text,
                "language": text.language,
                "ticked": str(text.pk) in ticked,
            }
            for text in texts
        ],
        "stamp": joining.stamp(form, texts, since) if form.pk else "",
        "trap": joining.TRAP,
        "known": (links.KNOWN, who) if who else None,
        "notice_href": form.notice_url or (f"/s/{form.token}/notice?l={language}" if form.token else ""),
        "notice_said": words(said) if said else "",
        "wrong": [
            {"at": "f-email", "text": words(wrong["email"])} if "email" in wrong else None,
            *({"at": f["id"], "text": f"{f['label']} – {f['wrong']}"} if f["wrong"] else None for f in fields),
            {"at": "f-age", "text": words(wrong["age"])} if "age" in wrong else None,
            {"at": "f-agree", "text": words(wrong["agree"])} if "agree" in wrong else None,
        ]
        if wrong
        else [],
        "action": f"/s/{form.token}?l={language}",
        "languages": switches(request, language, tuple(form.languages), known=who) if request else [],
    }


def _age(form: SignupForm, posted: dict[str, list[str]], words: Words) -> list[dict[str, Any]]:
    """Two answers of the same weight, neither ticked beforehand; what somebody said is never turned into the other."""
    limit, said = ages.limit(form.workspace), next(iter(posted.get("age", ())), "")
    return [
        {"value": one, "label": words(f"age_{one}", age=str(limit)), "on": said == one} for one in ("older", "younger")
    ]


def _fields(form: SignupForm) -> list[tuple[Property, bool]]:
    known = catalogue.of(form.workspace)
    return [(known[f["key"]], signup.must(f)) for f in form.fields if f["key"] in known]


def _input(
    prop: Property,
    must: bool,
    language: str,
    posted: dict[str, list[str]],
    wrong: dict[str, str],
    words: Words,
) -> dict[str, Any]:
    name = f"field_{prop.key}"
    given = posted.get(name, [])
    options = [
        {"value": c["value"], "label": c["label_fr" if language == "fr" else "label_en"], "on": c["value"] in given}
        for c in prop.choices
    ]
    if prop.type == PropertyType.BOOLEAN:
        options = [{"value": word, "label": words(word), "on": word in given} for word in ("yes", "no")]
    kind = {PropertyType.DATE: "date", PropertyType.CHOICE: "select", PropertyType.BOOLEAN: "select"}.get(
        PropertyType(prop.type), "text"
    )
    if prop.type == PropertyType.LIST and options:
        kind = "boxes"
    return {
        "id": f"f-{prop.key}",
        "name": name,
        "label": signup.label_of(prop, language),
        "required": must,
        "kind": kind,
        "value": next(iter(given), ""),
        "options": options,
        "autofill": _AUTOFILL.get(prop.key, ""),
        "decimal": prop.type in (PropertyType.NUMBER, PropertyType.MONEY),
        "wrong": words(wrong[name]) if name in wrong else "",
    }


@require_safe
@anybody
def signup_sent(request: HttpRequest, token: str) -> HttpResponse:
    form = _form(token)
    if form is None:
        return nowhere(request)
    language = _language(request, form)
    words = Words(language, workspace=form.workspace.title)
    facts = {
        "words": words,
        "workspace": form.workspace,
        "languages": switches(request, language, tuple(form.languages)),
    }
    return page("signup_sent", language, facts)


@require_safe
@anybody
def signup_notice(request: HttpRequest, token: str) -> HttpResponse:
    """The whole notice that stands behind a form: the second layer (GDPR art. 13)."""
    form = _form(token)
    found = policies.newest(form.workspace, policies.NOTICE) if form else None
    if form is None or found is None:
        return nowhere(request)
    language = _language(request, form)
    words = Words(language, workspace=form.workspace.title)
    facts = {
        "words": words,
        "workspace": form.workspace,
        "languages": switches(request, language, tuple(form.languages)),
        "subject": words("notice_title"),
        "text": found.texts.get(language) or next(iter(found.texts.values())),
    }
    return page("text", language, facts)


@require_http_methods(["GET", "HEAD", "POST"])
@csrf_exempt  # the link's secret, which only the mailbox has, is the proof
@anybody
def signup_confirm(request: HttpRequest, token: str, secret: str) -> HttpResponse:
    """The link of the mail: GET asks with one button, POST confirms; too late, it offers to ask again."""
    form = _form(token)
    if form is None:
        return nowhere(request)
    found = joining.find(form, secret)
    language = spoken(request, found.language if found else _language(request, form))
    words = Words(language, workspace=form.workspace.title)
    facts: dict[str, Any] = {
        "words": words,
        "workspace": form.workspace,
        "form": form,
        "here": request.path + (f"?l={language}" if found and language != found.language else ""),
        "again": f"/s/{form.token}?l={language}",
        "languages": switches(request, language),
    }
    if found is None:
        return page("signup_over", language, facts, status=410)
    waits = bool(found.parent) and found.confirmed_at is None
    if waits and not joining.by_parent(found, secret) and request.method == "POST":
        asked = joining.ask_parent(found, client=client_address(request))
        facts["said"] = words("parent_asked" if asked else "parent_held")
        return page("signup_waits", language, facts, status=200 if asked else 429)
    facts["parental"] = waits and joining.by_parent(found, secret)
    if request.method == "POST" or found.confirmed_at is not None:
        before = found.confirmed_at is not None
        contact: Contact | None = (
            joining.confirm(
                found,
                page=f"{settings.ENVOL.base_url}/s/{form.token}",
                parental=joining.by_parent(found, secret),
            )
            if request.method == "POST"
            else Contact.objects.filter(pk=found.contact_id or 0, workspace_id=form.workspace.pk).first()
        )
        if contact is None:
            return page("signup_over", language, facts, status=410)
        thanks = form.words.get(language, {}).get("thanks", "")
        facts["thanks"] = words("confirmed_before") if before else thanks
        facts["preferences"] = f"/p/{links.person_token(form.workspace.pk, contact.pk)}?l={language}"
        return page("signup_done", language, facts)
    facts["intro"] = words("parent_intro" if facts["parental"] else "confirm_intro", address=masked(found.email))
    facts["boxes"] = [
        {
            "label": t.purpose.label_fr if language == "fr" else t.purpose.label_en,
            "text": t.text,
            "language": t.language,
        }
        for t in joining.asked_texts(found)
    ]
    return page("signup_confirm", language, facts)


def pasted_html(form: SignupForm, language: str) -> str:
    """The plain form to paste on any site: no script, no style of ours, the words and versions of today."""
    form = visibility.as_seen(form, None) or form  # strangers will read it
    facts = facts_of(form, language)
    facts["stamp"] = joining.stamp(form, signup.texts_of(form, language), None)
    facts["action"] = f"{settings.ENVOL.base_url}/s/{form.token}?l={language}"
    facts["language"] = language
    lines = render_to_string("public/signup_paste.html", facts).splitlines()
    return "\n".join(line for line in lines if line.strip()) + "\n"
