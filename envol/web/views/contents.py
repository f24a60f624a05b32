"""What will they read? A gallery of models, a form beside the message, code for who prefers it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import IO, Any, cast

from django.conf import settings
from django.core.cache import cache
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from envol.accounts.models import Role
from envol.audience import engine
from envol.audience.language import SegmentProblem
from envol.campaigns import actions, checks, content
from envol.campaigns.content import MODEL, Words
from envol.campaigns.models import Campaign
from envol.contacts import filters
from envol.contacts.models import Contact
from envol.content import gallery, media
from envol.content.checks import people_without_value
from envol.content.gallery import Design, Place, Repeat, Wrong
from envol.content.models import Media, Version
from envol.content.problems import MediaProblem, RenderProblem, TemplateProblem
from envol.content.templates import without_fallback
from envol.web.answers import refuse, see, see_path
from envol.web.doors import MemberRequest, audience
from envol.web.safety import with_style_nonce

LIBRARY = 24  # pictures offered beside a place; the others are on /media
EARLIER = 10  # versions one can take up again from the page
HEAVY = 80_000


def _language() -> str:
    return (get_language() or "en")[:2]


# ---- reading


def typed_words(request: MemberRequest, found: Campaign, *, receive: bool = True) -> tuple[Words, list[Wrong]]:
    """What stands in the form, and what is wrong with it. ``receive``: take in the pictures that came with it."""
    given = request.POST
    chips = gallery.chips_of(found.workspace)
    wrong: list[Wrong] = []

    words = Words(
        given.get("mode", MODEL),
        subject=typed_line(found, given.get("subject", "")),
        preheader=typed_line(found, given.get("preheader", "")),
        text=given.get("part.text", "").replace("\r\n", "\n").strip() or None,
        fallbacks={
            key.removeprefix("fallback:"): str(value).strip()
            for key, value in given.items()
            if key.startswith("fallback:") and str(value).strip()
        },
    )
    model = gallery.BY_KEY.get(given.get("model", ""))
    if words.mode != MODEL or model is None:
        mode = words.mode if words.mode in ("mjml", "html", "text") else "mjml"
        return replace(words, mode=mode, source=given.get("source", "").replace("\r\n", "\n")), wrong
    language = "fr" if given.get("language", found.workspace.language).startswith("fr") else "en"
    design = gallery.read(model, language, lambda name: str(given.get(name, "")), chips)
    if receive:
        wrong += _take_pictures(request, found, design)
    _describe_pictures(found, design)
    return replace(words, design=design), wrong + gallery.wrong(design)


def typed_line(found: Campaign, typed: str) -> str:
    """A subject as typed, in the language of templates. Who writes code in it means code."""
    typed = " ".join(typed.split())[:1000]
    chips = gallery.chips_of(found.workspace)
    return typed if "{{" in typed or "{%" in typed else gallery.tags(gallery.canonical(typed, chips), chips)


def shown_line(found: Campaign, source: str) -> str:
    """A subject as it is typed; code stays code."""
    chips = gallery.chips_of(found.workspace)
    plain = gallery.untagged(source, chips)
    return source if plain is None else gallery.shown(plain, chips, _language())


def _take_pictures(request: MemberRequest, found: Campaign, design: Design) -> list[Wrong]:
    """Pictures that came with the form, into their places. What cannot be taken is said at its place."""
    wrong = []
    for path, place, value in gallery.each(design):
        file = request.FILES.get(f"{path}.file")
        if place.kind != "picture" or not isinstance(file, UploadedFile) or not file.size:
            continue
        try:
            made = media.receive(
                found.workspace, cast(IO[bytes], file.file), str(file.name), alt=value["alt"], member=request.member
            )
        except MediaProblem as error:
            wrong.append(Wrong(f"{path}.file", str(error)))
        else:
            value["media"] = made.pk
            value["alt"] = value["alt"] or made.alt
    return wrong


def _describe_pictures(found: Campaign, design: Design) -> None:
    """A picture without words of its own in this message has those of the library."""
    bare = [
        value
        for _path, place, value in gallery.each(design)
        if place.kind == "picture" and value["media"] and not value["alt"] and not value["decorative"]
    ]
    if bare:
        known = Media.objects.filter(workspace=found.workspace).in_bulk([value["media"] for value in bare])
        for value in bare:
            value["alt"] = known[value["media"]].alt if value["media"] in known else ""


def person_seen(request: MemberRequest, found: Campaign) -> Contact | None:
    """As whom the message is looked at: what the form says, else whom this session looked as last."""
    people = Contact.objects.filter(workspace_id=found.workspace.pk)
    if "see.as" not in request.POST:
        kept = request.session.get("see_as")
        return people.filter(pk=kept).first() if isinstance(kept, int) else None
    typed = request.POST["see.as"].strip()
    person = None
    if typed:
        address = typed.rpartition("<")[2].strip("> ") if "<" in typed else typed
        person = people.filter(email_key=address.lower()).first()
        if person is None:
            page = filters.page(found.workspace, filters.Filter(text=typed[:200]), sort="email", limit=1)
            person = page.contacts[0] if page.contacts else None
    kept = person.pk if person else None
    if request.session.get("see_as") != kept:
        request.session["see_as"] = kept
    return person


def _as_option(person: Contact) -> str:
    name = " ".join(str(person.props.get(key) or "") for key in ("first_name", "last_name")).strip()
    return f"{name} <{person.email}>" if name else person.email


def _people(found: Campaign) -> list[str]:
    """A few people of the audience to look as."""
    try:
        ids = engine.sample(found.workspace, checks.tree_of(found), 8)
    except SegmentProblem:
        ids = []
    people = Contact.objects.in_bulk(ids)
    return [_as_option(people[one]) for one in ids if one in people]


# ---- what the page shows


def _fields(found: Campaign, design: Design, wrong: Iterable[Wrong]) -> list[dict[str, Any]]:
    """The places as inputs, in their order; repeated blocks with their items."""
    chips, language = gallery.chips_of(found.workspace), _language()
    errors: dict[str, str] = {}
    for one in wrong:
        errors.setdefault(one.path, one.sentence)
    hints = {one.path: one.sentence for one in gallery.missing(design)}
    chosen = Media.objects.in_bulk(gallery.media_of(design))

    def field(place: Place, path: str, value: Any) -> dict[str, Any]:
        shown: Any = value
        if place.kind in ("line", "text"):
            shown = gallery.shown(value, chips, language)
        elif place.kind == "button":
            shown = {**value, "label": gallery.shown(value["label"], chips, language)}
        picture = chosen.get(value["media"] or 0) if place.kind == "picture" else None
        return {
            "kind": place.kind,
            "path": path,
            "id": "f_" + path.replace(".", "_"),
            "label": place.label,
            "value": shown,
            "required": place.required,
            "error": errors.get(path, ""),
            "url_error": errors.get(f"{path}.url", ""),
            "file_error": errors.get(f"{path}.file", ""),
            "hint": hints.get(path, ""),
            "picture": _shown(picture) if picture and picture.workspace == found.workspace else None,
        }

    fields: list[dict[str, Any]] = []
    for place in design.model.places:
        if isinstance(place, Repeat):
            items = design.values[place.key]
            fields.append(
                {
                    "kind": "repeat",
                    "key": place.key,
                    "label": place.label,
                    "one": place.one,
                    "add": place.add,
                    "more": len(items) < place.most,
                    "fewer": len(items) > place.least,
                    "items": [
                        {
                            "no": i,
                            "first": i == 0,
                            "last": i == len(items) - 1,
                            "fields": [field(one, f"{place.key}.{i}.{one.key}", item[one.key]) for one in place.places],
                        }
                        for i, item in enumerate(items)
                    ],
                }
            )
        else:
            fields.append(field(place, place.key, design.values[place.key]))
    return fields


def _shown(picture: Media) -> dict[str, Any]:
    return {"media": picture, **media.facts(picture)}


def state_of(request: MemberRequest, found: Campaign, words: Words, person: Contact | None) -> dict[str, Any]:
    """What stands beside the form: the row of the inbox, what is missing, what it weighs."""
    from envol.content.preview import line_of
    from envol.web.views.preview import parts_of

    facts: dict[str, Any] = {"problems": [], "notes": [], "row": None, "weight": 0, "person": person}
    try:
        version = content.trial(found, words, settings.ENVOL.base_url)
    except TemplateProblem as error:
        facts["problems"] = error.problems
        return facts
    facts["weight"] = weight = len(version.html.encode())
    try:
        parts = parts_of(found, version, person)
        after = line_of(version, words.preheader, person) or " ".join(parts.text.split())[:140]
        facts["row"] = {"from": found.from_name or found.from_address, "subject": parts.subject, "after": after}
    except RenderProblem as error:
        facts["broken"] = str(error)
    except ValueError:
        pass  # the sender's card says what is wrong with the address
    facts["notes"] = _notes(found, words, version, weight)
    return facts


def _notes(found: Campaign, words: Words, version: Version, weight: int) -> list[dict[str, str]]:
    chips, language = gallery.chips_of(found.workspace), _language()
    notes: list[dict[str, str]] = []
    if words.design is not None:
        for one in [*gallery.missing(words.design), *gallery.untouched(words.design)]:
            notes.append({"said": one.sentence, "at": "f_" + one.path.replace(".", "_")})
        for name in dict.fromkeys(n for text in gallery.words(words.design) for n in gallery.unknown(text, chips)):
            said = _("{%(name)s} is no value we know: it is shown as it stands.") % {"name": name}
            notes.append({"said": said, "at": ""})
    lacking = sorted(without_fallback(version))
    counts = _concerned(found, version, lacking)
    for path in lacking:
        key = path.split(".")[1]
        name = chips[key].label(language) if key in chips else key
        if (people := counts.get(path)) is None:
            said = _("“%(name)s” has no words for people of whom we do not know it.") % {"name": name}
        elif people:
            said = _("“%(name)s” has no words for people of whom we do not know it: %(people)s of your audience.") % {
                "name": name,
                "people": people,
            }
        else:
            continue
        notes.append({"said": said, "at": "fallbacks"})
    if weight > HEAVY:
        said = _("The message weighs %(weight)s kB: above 100 kB some mailboxes cut it.") % {"weight": weight // 1000}
        notes.append({"said": said, "at": ""})
    return notes


def _concerned(found: Campaign, version: Version, names: list[str]) -> dict[str, int]:
    """How many people of the audience have no value; asked again after a minute, not at every letter typed."""
    if not names or found.purpose is None:
        return {}
    key = f"lacking:{found.pk}:{found.revision}:{','.join(names)}"
    known: dict[str, int] | None = cache.get(key)
    if known is None:
        try:
            query, params = checks.allowed_ids(found)
            lacking = people_without_value(version, query, params, sample=1)
        except SegmentProblem:
            return {}
        known = {name: lacking[name].people if name in lacking else 0 for name in names}
        cache.set(key, known, 60)
    return known


def _page(
    request: MemberRequest,
    found: Campaign,
    words: Words,
    *,
    wrong: Iterable[Wrong] = (),
    problems: Iterable[str] = (),
    conflict: str = "",
    status: int = 200,
) -> HttpResponse:
    draft = content.draft_of(found)
    person = person_seen(request, found)
    version = checks.latest_version(found)
    chips, language = gallery.chips_of(found.workspace), _language()
    facts: dict[str, Any] = {
        "campaign": found,
        "words": words,
        "subject": shown_line(found, words.subject),
        "preheader": shown_line(found, words.preheader),
        "chips": [(chip.key, chip.label(language)) for chip in chips.values()],
        "draft": draft,
        "seen": draft.revision if draft else 0,
        "holder": request.POST.get("holder") or secrets.token_hex(16),
        "see_as": request.POST.get("see.as", _as_option(person) if person else ""),
        "see": {key: request.POST.get(f"see.{key}", "") for key in ("width", "dark", "no_images", "part")},
        "people": _people(found),
        "form_problems": list(problems),
        "conflict": conflict,
        "revision": found.revision,
        "version": version,
        "versions": Version.objects.filter(template=found.template).order_by("-no")[:EARLIER] if found.template else [],
        **state_of(request, found, words, person),
    }
    if words.design is None:
        facts |= {"fallback_inputs": _fallback_inputs(found, words), "nonce": secrets.token_urlsafe(16)}
        answer = render(request, "campaigns/content/code.html", facts, status=status)
        # The editor brings styles of its own; no other page allows any.
        answer["Content-Security-Policy"] = with_style_nonce(facts["nonce"])
        return answer
    facts |= {
        "model": words.design.model,
        "language": words.design.language,
        "fields": _fields(found, words.design, wrong),
        "colour": words.design.values["colour"],
        "palette": list(gallery.PALETTE.items()),
        "own_colour": words.design.values["colour"] not in gallery.PALETTE,
        "colour_error": next((one.sentence for one in wrong if one.path == "colour"), ""),
        "library": [_shown(one) for one in Media.objects.filter(workspace=found.workspace).order_by("-id")[:LIBRARY]],
        "sizes": [("full", _("full width")), ("half", _("half width")), ("small", _("a quarter"))],
    }
    return render(request, "campaigns/content/write.html", facts, status=status)


def _fallback_inputs(found: Campaign, words: Words) -> list[tuple[str, str, str]]:
    """(variable, its label, its fallback) for each value of the person that the code prints."""
    chips, language = gallery.chips_of(found.workspace), _language()
    try:
        variables = content.trial(found, words, settings.ENVOL.base_url).variables
    except TemplateProblem:
        variables = sorted(words.fallbacks)
    keys = [name for name in variables if name.startswith("contact.") and name != "contact.email"]
    return [
        (name, chips[key].label(language) if (key := name.split(".")[1]) in chips else key,
         words.fallbacks.get(name, words.fallbacks.get(key, "")))
        for name in keys
    ]  # fmt: skip


def _gallery(request: MemberRequest, found: Campaign, words: Words | None, problem: str = "") -> HttpResponse:
    facts = {"campaign": found, "models": gallery.MODELS, "words": words, "problem": problem}
    return render(request, "campaigns/content/models.html", facts, status=422 if problem else 200)


# ---- routes


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def content_page(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """The gallery while nothing is written, else the form beside the message; every act of the form comes here."""
    found = _one(request, campaign_id)
    try:
        content.drafts.require_editable(found)
    except actions.Refused as error:
        return refuse(request, "campaign", found.pk, said=str(error))
    words = content.current(found)
    if request.method == "POST":
        return _act(request, found, words)
    if words is None or "models" in request.GET:
        return _gallery(request, found, words)
    if "code" in request.GET and words.design is not None:
        return render(request, "campaigns/content/to_code.html", {"campaign": found, "words": words})
    return _page(request, found, words)


def _one(request: MemberRequest, campaign_id: int) -> Campaign:
    from envol.web.views.campaigns import one

    return one(request, campaign_id)


def _act(request: MemberRequest, found: Campaign, before: Words | None) -> HttpResponse:
    do, _colon, what = request.POST.get("do", "save").partition(":")
    draft = content.draft_of(found)
    if do == "drop":
        content.drop(found)
        return see(
            request, "campaign", found.pk, said=_("The draft is gone; the content is as it was."), anchor="content"
        )
    if do in ("model", "code", "restore"):
        return _begin(request, found, before, do, what)
    words, wrong = typed_words(request, found)
    if words.design is not None and do in ("add", "remove", "up", "down"):
        what = _rearrange(words.design, do, what)
    holder = request.POST.get("holder", "")[:32] or secrets.token_hex(16)
    seen = _number(request.POST.get("seen", ""))
    if request.POST.get("take") and draft is not None:
        seen = draft.revision
    try:
        content.keep(found, words, holder=holder, seen=seen, member=request.member)
        if wrong:
            return _page(request, found, words, wrong=wrong, status=422)
        if do != "save":
            anchor = "f_" + what.replace(".", "_") if what else "form"
            return see_path(reverse("web:content", args=[found.pk]) + f"#{anchor}")
        revision = _number(request.POST.get("revision", ""))
        content.save(found, revision, words, base_url=settings.ENVOL.base_url, member=request.member)
    except actions.Conflict as error:
        found.refresh_from_db()
        return _page(request, found, words, wrong=wrong, conflict=str(error), status=409)
    except actions.Refused as error:
        return _page(request, found, words, wrong=wrong, problems=[str(error)], status=422)
    except TemplateProblem as error:
        return _page(request, found, words, problems=[str(p) for p in error.problems], status=422)
    said = _("The content is saved. Send yourself a test to see it in your mailbox.")
    return see(request, "campaign", found.pk, said=said, anchor="content")


def _begin(request: MemberRequest, found: Campaign, before: Words | None, do: str, what: str) -> HttpResponse:
    """A model, its code, or an earlier version becomes the draft; what stood there stays as a version."""
    try:
        match do:
            case "model" if what == "blank":
                blank = _BLANK.format(language=found.workspace.language)
                words = Words("html", source=blank, subject=before.subject if before else "")
            case "model":
                words = content.started(found, what, found.workspace.language, before)
            case "restore":
                version = Version.objects.filter(template=found.template, no=_number(what)).first()
                if version is None:
                    raise actions.Refused(_("There is no such version."))
                words = content.words_of(version)
            case _:
                if before is None or before.design is None:
                    return see_path(reverse("web:content", args=[found.pk]))
                words = content.as_code(found, before, settings.ENVOL.base_url)
        draft = content.draft_of(found)
        seen = draft.revision if draft else 0
        content.keep(found, words, holder=secrets.token_hex(16), seen=seen, member=request.member)
    except actions.Refused as error:
        return _gallery(request, found, before, str(error))
    return see_path(reverse("web:content", args=[found.pk]))


_BLANK = (
    '<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n<title></title>\n</head>\n'
    "<body>\n<p></p>\n</body>\n</html>\n"
)


def _rearrange(design: Design, do: str, what: str) -> str:
    """Add, remove or move one of the repeated blocks; the path where the page goes on."""
    key, _dot, number = what.partition(".")
    place = next((p for p in design.model.places if isinstance(p, Repeat) and p.key == key), None)
    if place is None:
        return ""
    items, i = design.values[key], _number(number)
    if do == "add" and len(items) < place.most:
        items.append(place.empty(design.language))
        i = len(items) - 1
    elif i < len(items) and do == "remove" and len(items) > place.least:
        items.pop(i)
        i = min(i, len(items) - 1)
    elif do in ("up", "down") and 0 <= (j := i + (1 if do == "down" else -1)) < len(items) and i < len(items):
        items[i], items[j] = items[j], items[i]
        i = j
    return f"{key}.{i}"


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


@require_POST
@audience(Role.EDITOR)
def content_draft(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """Keep what is being typed, and say how it reads: asked by the page a moment after each letter."""
    found = _one(request, campaign_id)
    words, wrong = typed_words(request, found, receive=False)
    draft = content.draft_of(found)
    holder, seen = request.POST.get("holder", "")[:32], _number(request.POST.get("seen", ""))
    if request.POST.get("take") and draft is not None:
        seen = draft.revision
    facts: dict[str, Any] = {"campaign": found, "wrong": wrong}
    status = 200
    try:
        made = content.keep(found, words, holder=holder, seen=seen, member=request.member)
    except actions.Conflict as error:
        facts |= {"conflict": str(error), "seen": seen}
        status = 409
    except actions.Refused as error:
        facts |= {"conflict": "", "form_problems": [str(error)], "seen": seen}
        status = 422
    else:
        facts |= {"draft": made, "seen": made.revision}
    facts |= {"words": words, **state_of(request, found, words, person_seen(request, found))}
    return render(request, "campaigns/content/state.html", facts, status=status)
