"""What a person asks about her data: the page for everybody, and the page of the link that proves who she is."""

from __future__ import annotations

from typing import Any

from babel.dates import format_date
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from envol import db_role
from envol.accounts.models import Workspace
from envol.consent import access, requests
from envol.consent.models import RightsRequest, RightsStep
from envol.contacts import whence
from envol.web.doors import anybody
from envol.web.public.page import POLICY, nowhere, of_browser, page, private, spoken, switches
from envol.web.public.words import Words
from envol.wire.address import AddressError

KINDS = requests.KINDS


@require_http_methods(["GET", "HEAD", "POST"])
@csrf_exempt  # no session is involved, and nothing happens before the link in a mailbox is followed
@anybody
def rights_form(request: HttpRequest, name: str) -> HttpResponse:
    """Anybody may ask; the answer is the same whether we know the address or not."""
    with db_role.as_owner():  # the address of the page names the workspace
        workspace = None if "\0" in name else Workspace.objects.filter(name=name[:60]).first()
    if workspace is None:
        return nowhere(request)
    db_role.enter(workspace.pk)
    language = spoken(request, of_browser(request))
    words = Words(language, workspace=workspace.title)
    typed = {key: str(request.POST.get(key, ""))[:4000] for key in ("email", "kind", "words")}
    wrong: dict[str, str] = {}
    if request.method == "POST":
        if typed["kind"] not in KINDS:
            wrong["kind"] = words("rights_kind_needed")
        if typed["kind"] == "rectification" and not typed["words"].strip():
            wrong["words"] = words("rights_words_needed")
        if not wrong:
            try:
                requests.receive(
                    workspace, typed["kind"], typed["email"], channel="page", language=language, words=typed["words"]
                )
                return page("rights_said", language, _facts(request, workspace, words, said="rights_sent"))
            except AddressError:
                wrong["email"] = words("email_wrong" if typed["email"] else "email_needed")
    facts = {
        **_facts(request, workspace, words),
        "typed": typed,
        "wrong": wrong,
        "kinds": [(kind, words(f"rights_{kind}")) for kind in KINDS],
    }
    return page("rights_form", language, facts, status=422 if wrong else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@csrf_exempt  # the secret in the address is the only key
@anybody
def rights(request: HttpRequest, secret: str) -> HttpResponse:
    """GET asks or tells; POST confirms, or hands the file over."""
    with db_role.as_owner():  # the secret says whose request it is
        found = requests.by_secret(secret)
    if found is None:
        return nowhere(request)
    db_role.enter(found.workspace_id)
    workspace = Workspace.objects.get(pk=found.workspace_id)
    language = spoken(request, found.language)
    words = Words(language, workspace=workspace.title)
    if request.method == "POST":
        if request.POST.get("act") == "download" and (content := _file(found, workspace, language)) is not None:
            answer = private(HttpResponse(content, content_type="application/zip"), POLICY)
            answer["Content-Disposition"] = 'attachment; filename="my-data.zip"'
            return answer
        if request.POST.get("act") == "confirm":
            found = requests.prove(found)
    return page("rights", language, {**_facts(request, workspace, words), **_told(found, workspace, words)})


def _file(found: RightsRequest, workspace: Workspace, language: str) -> bytes | None:
    if found.proved_at is None or found.state != "answered" or found.kind not in ("access", "portability"):
        return None
    person = requests.person_of(found)
    if person is None:
        return None
    RightsStep.objects.create(request=found, what="fetched")
    return access.packed(workspace, person.contact_id, language, portable=found.kind == "portability")


def _told(found: RightsRequest, workspace: Workspace, words: Words) -> dict[str, Any]:
    due = format_date(found.due_at, "long", locale="fr_FR" if words.language == "fr" else "en_GB")
    if found.state == "unproven":
        return {
            "title": words("rights_question", kind=requests.NAMES[found.kind][words.language == "en"]),
            "lead": words("rights_question_intro", address=found.address),
            "more": words("rights_erasure_means") if found.kind == "erasure" else "",
            "ask": True,
        }
    said = {
        "access": "rights_ready",
        "portability": "rights_ready",
        "restriction": "rights_restricted",
        "objection": "rights_objected",
        "erasure": "rights_erased",
        "rectification": "rights_answered",
        "review": "rights_answered",
    }[found.kind]
    told: dict[str, Any] = {"title": words("done"), "more": found.answer}
    if found.state == "open":
        longer = found.steps.filter(what="extended").first()
        lead = words("rights_extended" if longer else "rights_open", due=due)
        return {"title": words("rights"), "lead": lead, "more": longer.said if longer else ""}
    if found.state == "refused":
        return {"title": words("rights"), "lead": words("rights_refused"), "more": found.answer, "complain": True}
    if found.answer == "nothing kept":
        return {"title": words("rights"), "lead": words("rights_nothing"), "more": ""}
    told["lead"] = words(said, reference=f"{found.workspace_id}-{found.erasure_id}")
    told["download"] = said == "rights_ready"
    if told["download"] and (person := requests.person_of(found)) is not None:
        told["whence"] = _whence(workspace, person.contact_id, words)
    return told


def _whence(workspace: Workspace, contact_id: int, words: Words) -> str:
    """Where her data came from first, in one sentence; the file says the rest. GDPR art. 15(1)(g)."""
    came = whence.of(workspace.pk, contact_id)
    if came is None:
        return words("rights_whence_unknown")
    there = came.at.astimezone(workspace.zone)
    day = format_date(there, "long", locale="fr_FR" if words.language == "fr" else "en_GB")
    if came.by == "herself":
        return words("rights_whence_herself", day=day, label=came.label)
    if came.by == whence.OTHER:
        return words("rights_whence_other", day=day, giver=came.name)
    road = {"import": "rights_whence_file", "api": "rights_whence_program", "message": "rights_whence_message"}
    return words(road.get(came.kind, "rights_whence"), day=day, label=came.label)


def _facts(request: HttpRequest, workspace: Workspace, words: Words, **more: Any) -> dict[str, Any]:
    return {
        "words": words,
        "workspace": workspace,
        "here": request.path + (f"?l={words.language}" if "l" in request.GET else ""),
        "languages": switches(request, words.language),
        **more,
    }
