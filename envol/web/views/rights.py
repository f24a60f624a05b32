"""Who asks for what about her data, until when must it be answered, and what was erased? The desk of art. 12 to 22."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.journal import note
from envol.accounts.models import Role
from envol.consent import (
    access,
    directives,
    erasures,
    informing,
    partners,
    recipients,
    reopening,
    requests,
    restriction,
)
from envol.consent.models import Erasure, RightsRequest
from envol.contacts.models import Contact
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience, may
from envol.web.paging import page_of
from envol.wire.address import AddressError

KINDS = {
    "access": gettext_lazy("see the data (art. 15)"),
    "portability": gettext_lazy("take the data along (art. 20)"),
    "rectification": gettext_lazy("correct the data (art. 16)"),
    "erasure": gettext_lazy("erase the data (art. 17)"),
    "restriction": gettext_lazy("restrict the use (art. 18)"),
    "objection": gettext_lazy("object to marketing (art. 21)"),
    "review": gettext_lazy("have a person look at a choice (art. 22)"),
    requests.DEATH: gettext_lazy("the person has died (loi 78-17, art. 85)"),
}
WISHES = {
    directives.ERASE: gettext_lazy("erase the data"),
    directives.KEEP: gettext_lazy("keep the data and use them no more"),
    directives.HAND: gettext_lazy("hand the data to the person named"),
}
STATES = {
    "unproven": (gettext_lazy("waits for proof of who asks"), "warn"),
    "open": (gettext_lazy("to be answered"), "run"),
    "answered": (gettext_lazy("answered"), "ok"),
    "refused": (gettext_lazy("refused with reasons"), ""),
}
CHANNELS = {
    "page": gettext_lazy("public page"),
    "preferences": gettext_lazy("preference page"),
    "mail": gettext_lazy("mail"),
    "member": gettext_lazy("taken down by a member"),
    "api": gettext_lazy("program"),
}
STEPS = {
    "received": gettext_lazy("received"),
    "asked": gettext_lazy("asked by mail to confirm"),
    "proved": gettext_lazy("identity settled"),
    "extended": gettext_lazy("extended by two months"),
    "answered": gettext_lazy("answered"),
    "refused": gettext_lazy("refused"),
    "told": gettext_lazy("told by mail, with a link to the answer"),
    "fetched": gettext_lazy("the data were fetched"),
    recipients.TOLD: gettext_lazy("a recipient was told (art. 19)"),
    reopening.REOPENED: gettext_lazy("the decision was taken back"),
}


def _told(one: RightsRequest) -> dict[str, Any]:
    words, tone = STATES[one.state]
    left = (one.due_at - datetime.now(UTC)).days
    return {
        "row": one,
        "kind": KINDS[one.kind],
        "state": words,
        "tone": tone,
        "channel": CHANNELS.get(one.channel, one.channel),
        "open": one.state in requests.OPEN,
        "left": max(left, 0),
        "late": left < 0,
        "soon": left < 6,
    }


def _list(request: MemberRequest, status: int = 200, **more: Any) -> HttpResponse:
    mine = RightsRequest.objects.filter(workspace_id=request.workspace.pk)
    show = request.GET.get("show", "open")
    rows = mine.filter(state__in=requests.OPEN) if show == "open" else mine
    form = reverse("public:rights_form", args=[request.workspace.name])
    page = page_of(request, rows)
    page = replace(page, rows=[_told(one) for one in page.rows])
    facts = {
        "page": page,
        "show": show,
        "waiting": mine.filter(state__in=requests.OPEN).count(),
        "total": mine.count(),
        "kinds": KINDS.items(),
        "form_path": form,
        "form_url": settings.ENVOL.base_url.rstrip("/") + form,  # from the settings: a Host header may lie
        "origins": informing.open_of(request.workspace.pk),
        "untold": recipients.waiting(request.workspace.pk),
        "partners": partners.untold(request.workspace.pk),
        "erased": Erasure.objects.filter(workspace_id=request.workspace.pk).order_by("-at")[:20],
        "may_edit": may(request, Role.EDITOR),
        **more,
    }
    return render(request, "consent/requests.html", facts, status=status)


@require_safe
@audience(Role.VIEWER)
def rights_requests(request: MemberRequest) -> HttpResponse:
    return _list(request)


@require_POST
@audience(Role.EDITOR)
def new_request(request: MemberRequest) -> HttpResponse:
    """A letter, a call, somebody at the counter: her clock began when it arrived."""
    new = {name: request.POST.get(name, "").strip() for name in ("address", "kind", "words", "language")}
    try:
        made = requests.receive(
            request.workspace, new["kind"], new["address"], channel="member", language=new["language"] or "fr",
            words=new["words"], actor_id=request.member.pk,
        )  # fmt: skip
    except AddressError:
        return _list(request, 422, new=new, wrong={"address": _("Write one whole address, such as name@domain.org.")})
    except requests.Refusal as error:
        return _list(request, 422, new=new, wrong={"words": str(error)})
    said = _("Taken down. A link to confirm is on its way to the address; the clock runs since now.")
    if made.kind == requests.DEATH:
        said = _("Taken down; nobody is written to at this address. Ask for the proof of the death next.")
    return see(request, "rights_request", made.pk, said=said)


def _one(request: MemberRequest, request_id: int) -> RightsRequest:
    found = RightsRequest.objects.filter(workspace_id=request.workspace.pk, pk=request_id).first()
    if found is None:
        raise Http404
    return found


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.VIEWER)
def rights_request(request: MemberRequest, request_id: int) -> HttpResponse:
    """One request: what is asked, how long there is, what was done; and the acts."""
    one = _one(request, request_id)
    wrong: dict[str, str] = {}
    typed = {"said": "", "act": ""}
    if request.method == "POST":
        if not may(request, Role.EDITOR):
            return render(request, "errors/forbidden.html", {"least": Role.EDITOR}, status=403)
        typed = {"said": request.POST.get("said", ""), "act": request.POST.get("act", "")}
        try:
            said = _act(request, one, typed["act"], typed["said"])
            return see(request, "rights_request", one.pk, said=said)
        except (requests.Refusal, recipients.Refusal) as error:
            wrong[typed["act"]] = str(error)
    person = requests.person_of(one)
    contact = (
        Contact.objects.filter(workspace_id=request.workspace.pk, pk=person.contact_id).first() if person else None
    )
    wished = directives.of(one.workspace_id, contact.pk) if contact and one.kind == requests.DEATH else None
    facts = {
        **_told(one),
        "death": one.kind == requests.DEATH,
        "wished": wished,
        "wish": WISHES.get(wished.wish, "") if wished else "",
        "contact": contact,
        "restricted": restriction.now(request.workspace.pk, contact.pk) if contact else None,
        "steps": [
            {"at": step.at, "what": STEPS.get(step.what, step.what), "said": step.said, "member": step.actor_id}
            for step in one.steps.exclude(what=recipients.TO_TELL).order_by("pk")
        ],
        "duties": recipients.open_of(one),
        "erasure": Erasure.objects.filter(workspace_id=request.workspace.pk, pk=one.erasure_id or 0).first(),
        "may_edit": may(request, Role.EDITOR),
        "until": reopening.until(one),
        "stands": reopening.barred(one),
        "wrong": wrong,
        "typed": typed,
    }
    return render(request, "consent/request.html", facts, status=422 if wrong else 200)


def _act(request: MemberRequest, one: RightsRequest, act: str, said: str) -> str:
    me = request.member.pk
    match act:
        case "ask":
            requests.ask(one, request.workspace, me)
            return _("A new link is on its way; the one before is no longer good.")
        case "prove":
            requests.prove(one, said, me)
            return _("Noted how you know who asks. Now it can be carried out.")
        case "carry_out":
            requests.carry_out(one, me, said)
            return _("Done, and written into the register.")
        case "refuse":
            requests.refuse(one, said, me)
            return _("Refused. The reasons stand on the page of the link; she may complain to the authority.")
        case "extend":
            requests.extend(one, said, me)
            return _("Extended by two months, with the reason.")
        case "reopen":
            reopening.reopen(one, said, me)
            return _("Taken back: the request is open again, and the person is told by a new link.")
        case "tell":
            step = request.POST.get("step", "")
            number = int(step) if step.isascii() and step.isdigit() and len(step) < 18 else 0
            name = recipients.tell(one, number, said if "otherwise" in request.POST else "", me)
            return _("Noted: %(name)s was told.") % {"name": name}
        case "unrestrict":
            person = requests.person_of(one)
            if person is None or not restriction.end(one.workspace_id, person.contact_id, actor_id=me):
                raise requests.Refusal(_("Nothing is restricted any more."))
            return _("The data may be used again as before.")
        case _:
            raise requests.Refusal(_("Choose one of the acts."))


@require_safe
@audience(Role.EDITOR)
def request_pack(request: MemberRequest, request_id: int) -> HttpResponse:
    """The file for the person, to hand over by another way than the link; only once it is settled who asks."""
    one = _one(request, request_id)
    person = requests.person_of(one)
    wished = directives.of(one.workspace_id, person.contact_id) if person and one.kind == requests.DEATH else None
    handed = one.kind in ("access", "portability") or (wished is not None and wished.wish == directives.HAND)
    if one.proved_at is None or person is None or not handed:
        return refuse(request, "rights_request", one.pk, said=_("There is nothing to hand over here."))
    note(request.workspace, "member", reopening.PACKED, actor_id=request.member.pk, request=one.pk)
    return zipped(access.packed(request.workspace, person.contact_id, one.language, portable=one.kind == "portability"))


def zipped(content: bytes) -> HttpResponse:
    answer = HttpResponse(content, content_type="application/zip")
    answer["Content-Disposition"] = 'attachment; filename="my-data.zip"'
    answer["Cache-Control"] = "no-store"
    return answer


@require_safe
@audience(Role.VIEWER)
def erasure(request: MemberRequest, erasure_id: int) -> HttpResponse:
    """The certificate of an erasure: what was deleted where, what stays and why. ``?as=json`` for a program."""
    found = Erasure.objects.filter(workspace_id=request.workspace.pk, pk=erasure_id).first()
    if found is None:
        raise Http404
    erasures.certify(request.workspace.pk)
    found.refresh_from_db()
    told = erasures.certificate(found)
    if request.GET.get("as") == "json":
        return JsonResponse(told)
    for line in told["deleted"]:
        line["content"] = _(line["content"]) if line["content"] else ""
    facts = {"erasure": found, "told": told, "digest": told["digest"], "rows": sum(d["rows"] for d in told["deleted"])}
    return render(request, "consent/erasure.html", facts)
