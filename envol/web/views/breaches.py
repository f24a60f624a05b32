"""What happened, whom does it concern, and how many hours are left? The desk and register of breaches (art. 33, 34)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.models import Member
from envol.consent import breaches as service
from envol.consent import desk, playbooks, tasks
from envol.consent.models import Breach
from envol.consent.paper import Paper
from envol.contacts.models import List
from envol.outbound.models import Sending
from envol.outbound.requests import outcomes
from envol.web.answers import refuse, see
from envol.web.desk_forms import AuthorityForm, FactsForm, NewBreachForm, NotifiedForm, PersonsForm, TellForm
from envol.web.doors import MemberRequest, audience
from envol.web.paging import page_of
from envol.web.views.desk import WRITES

KINDS = {
    "suspected": gettext_lazy("suspected"),
    "aware": gettext_lazy("known to be a breach: the clock runs"),
    "facts": gettext_lazy("facts"),
    "authority": gettext_lazy("decision on the authority"),
    "notified": gettext_lazy("authority notified"),
    "persons": gettext_lazy("decision on the people concerned"),
    "told": gettext_lazy("people told"),
    "alert": gettext_lazy("owners reminded"),
    "dismissed": gettext_lazy("dismissed"),
    "closed": gettext_lazy("closed"),
}
PARTS = {
    "playbook": gettext_lazy("Kind"),
    "nature": gettext_lazy("Nature of the breach"),
    "categories": gettext_lazy("Categories of data"),
    "persons": gettext_lazy("Persons concerned, about"),
    "records": gettext_lazy("Records concerned, about"),
    "contact": gettext_lazy("Contact for more information"),
    "consequences": gettext_lazy("Likely consequences"),
    "measures": gettext_lazy("Measures taken or proposed"),
    "at": gettext_lazy("When"),
    "notify": gettext_lazy("To notify"),
    "why": gettext_lazy("Why"),
    "reference": gettext_lazy("Reference"),
    "late": gettext_lazy("Why after the time limit"),
    "tell": gettext_lazy("To tell"),
    "subject": gettext_lazy("Subject"),
    "people": gettext_lazy("People"),
    "hours": gettext_lazy("Hours since awareness"),
    "remedy": gettext_lazy("Remedy"),
    "member": gettext_lazy("Member"),
    "files": gettext_lazy("Files"),
    "key": gettext_lazy("API key"),
}


def _one(request: MemberRequest, breach_id: int) -> Breach:
    found = Breach.objects.select_related("workspace").filter(workspace=request.workspace, pk=breach_id).first()
    if found is None:
        raise Http404
    return found


def _zone(request: MemberRequest) -> ZoneInfo:
    return ZoneInfo(request.user.time_zone)


@require_safe
@audience(WRITES)
def breaches(request: MemberRequest) -> HttpResponse:
    return _list(request)


def _list(request: MemberRequest, form: NewBreachForm | None = None, said: str = "") -> HttpResponse:
    page = page_of(request, Breach.objects.select_related("workspace").filter(workspace=request.workspace))
    page.rows[:] = [_line(one) for one in page.rows]
    now = timezone.localtime(timezone=_zone(request))
    form = form or NewBreachForm(request.workspace, initial={"aware_at": f"{now:%Y-%m-%dT%H:%M}"})
    hours = desk.of(request.workspace).breach_hours
    facts = {"page": page, "form": form, "wrong": said, "hours": hours, "zone": request.user.time_zone}
    return render(request, "consent/desk/breaches.html", facts, status=422 if form.is_bound or said else 200)


def _line(one: Breach) -> dict[str, Any]:
    found = service.state(one)
    left = int((found.due - timezone.now()).total_seconds() // 3600) if found.due and found.runs else None
    return {"one": one, "state": found, "left": left}


@require_POST
@audience(WRITES)
def new_breach(request: MemberRequest) -> HttpResponse:
    form = NewBreachForm(request.workspace, request.POST)
    if not form.is_valid():
        return _list(request, form)
    given = form.cleaned_data
    scope, _colon, ref = given["scope"].partition(":")
    try:
        made = service.begin(
            request.workspace, given["title"], given["aware_at"].replace(tzinfo=_zone(request)), drill=given["drill"],
            scope=scope, ref=int(ref) if ref else None, playbook=given["playbook"], member_id=request.member.pk,
        )  # fmt: skip
    except service.Refused as refused:
        return _list(request, form, str(refused))
    return see(request, "breach", made.pk, said=_("The clock runs. What could be counted is filled in below."))


@require_http_methods(["GET", "HEAD"])
@audience(WRITES)
def breach(request: MemberRequest, breach_id: int) -> HttpResponse:
    return _page(request, _one(request, breach_id))


_FORMS = {
    "facts": FactsForm, "authority": AuthorityForm, "notified": NotifiedForm, "persons": PersonsForm, "tell": TellForm,
}  # fmt: skip


def _page(request: MemberRequest, one: Breach, bound: Any = None, step: str = "", wrong: str = "") -> HttpResponse:
    line = _line(one)
    found: service.State = line["state"]
    now = timezone.localtime(timezone=_zone(request))
    authority, persons = found.last("authority"), found.last("persons")
    begin = {
        "facts": {**found.facts, "persons": found.facts.get("persons"), "records": found.facts.get("records")},
        "authority": {"notify": "yes" if authority is None or authority.said.get("notify") else "no"}
        | ({"why": authority.said.get("why", "")} if authority else {}),
        "notified": {"at": f"{now:%Y-%m-%dT%H:%M}"},
        "persons": {"tell": "yes" if persons and persons.said.get("tell") else "no"}
        | ({"why": persons.said.get("why", "")} if persons else {}),
        "tell": _message(one, found),
    }
    forms = {name: kind(initial=begin[name], prefix=name) for name, kind in _FORMS.items()}
    if bound is not None:
        forms[step] = bound
    members = {m.pk: str(m.user) for m in Member.objects.filter(workspace=request.workspace).select_related("user")}
    facts = {
        **line,
        "forms": forms,
        "lines": [
            {
                "line": entry,
                "words": KINDS.get(entry.kind, entry.kind),
                "who": members.get(entry.member_id or 0, _("Envol itself")),
                "said": _said(entry.said),
            }
            for entry in reversed(found.lines)
        ],
        "tables": found.facts.get("tables") or {},
        "tells": persons is not None and bool(persons.said.get("tell")),
        "told": service.told_so_far(one),
        "outcomes": outcomes(one.workspace.pk, "breach", one.pk, one.created_at),
        "concerned": service.count(one),
        "kind": playbooks.of(str(found.facts.get("playbook") or "")),
        "job": tasks.last_telling(one),
        "wrong": wrong,
        "step": step,
        "zone": request.user.time_zone,
        "due_local": found.due,
    }
    return render(request, "consent/desk/breach.html", facts, status=422 if wrong or bound is not None else 200)


def _said(said: dict[str, Any]) -> list[tuple[str, str]]:
    shown = []
    for key, value in said.items():
        if key == "tables" or value in (None, ""):
            continue
        if isinstance(value, bool):
            value = _("yes") if value else _("no")
        if key == "playbook":
            kind = playbooks.of(value)
            value = kind.label if kind else value
        shown.append((str(PARTS.get(key, key)), str(value)))
    return shown


def _message(one: Breach, found: service.State) -> dict[str, str]:
    """A first draft of what the people concerned read: plain words, contact, consequences, measures (art. 34(2))."""
    facts = found.facts
    text = _(
        "Hello,\n\nsomething happened to data that we keep about you: %(nature)s\n\nWhat this can mean for you:"
        " %(consequences)s\n\nWhat we have done: %(measures)s\n\nIf you have questions: %(contact)s\n\n%(name)s"
    )
    gap = "…"
    parts = {key: facts.get(key) or gap for key in ("nature", "consequences", "measures", "contact")}
    return {
        "subject": _("About your data at %(name)s") % {"name": one.workspace.title},
        "text": text % {**parts, "name": one.workspace.title},
    }


@require_POST
@audience(WRITES)
def breach_step(request: MemberRequest, breach_id: int) -> HttpResponse:
    """One more line in the register: facts, a decision, a notification, the end."""
    one = _one(request, breach_id)
    step, member_id = request.POST.get("step", ""), request.member.pk
    try:
        if step == "aware":
            service.become_aware(one, member_id=member_id)
        elif step == "dismiss":
            service.dismiss(one, request.POST.get("why", ""), member_id=member_id)
        elif step == "close":
            service.close(one, request.POST.get("remedy", ""), member_id=member_id)
        elif step in _FORMS:
            form = _FORMS[step](request.POST, prefix=step)
            if not form.is_valid():
                return _page(request, one, form, step)
            _keep(request, one, step, form.cleaned_data)
        else:
            return refuse(request, "breach", one.pk, said=_("Choose one of the steps below."))
    except service.Refused as refused:
        return _page(request, one, wrong=str(refused), step=step)
    return see(request, "breach", one.pk, said=_("It stands in the register."))


def _keep(request: MemberRequest, one: Breach, step: str, given: dict[str, Any]) -> None:
    found = service.state(one)
    if found.name != "open":
        raise service.Refused(_("It is closed already."))
    member_id = request.member.pk
    if step == "facts":
        service.add(one, "facts", {**found.facts, **given}, member_id=member_id)
    elif step == "authority":
        service.add(one, step, {"notify": given["notify"] == "yes", "why": given["why"]}, member_id=member_id)
    elif step == "notified":
        at = given["at"].replace(tzinfo=_zone(request))
        if found.due is not None and at > found.due and not given["late"].strip():
            raise service.Refused(_("It is after the time limit: say why (art. 33(1))."))
        service.add(one, step, {**given, "at": at.isoformat()}, member_id=member_id)
    elif step == "persons":
        service.add(one, step, {"tell": given["tell"] == "yes", "why": given["why"]}, member_id=member_id)
    elif step == "tell":
        persons = found.last("persons")
        if persons is None or not persons.said.get("tell"):
            raise service.Refused(_("Decide first whether the people concerned must be told (art. 34)."))
        tasks.start_telling(one, given["subject"], given["text"], member_id)


def _order(one: Breach) -> dict[str, Any]:
    """The breach as an authority asks for it, in the order of art. 33(3)."""
    found = service.state(one)
    facts = found.facts
    return {
        "controller": desk.of(one.workspace).legal_name or one.workspace.title,
        "title": one.title,
        "drill": one.drill,
        "aware_at": found.aware_at.isoformat() if found.aware_at else None,
        "due": found.due.isoformat() if found.due else None,
        "notified_at": found.notified_at.isoformat() if found.notified_at else None,
        **{part: facts.get(part) for part in service.PARTS},
        "tables": facts.get("tables") or {},
        "told": service.told_so_far(one),
        "register": [{"at": line.at.isoformat(), "kind": line.kind, "said": line.said} for line in found.lines],
    }


@require_safe
@audience(WRITES)
def breach_json(request: MemberRequest, breach_id: int) -> HttpResponse:
    one = _one(request, breach_id)
    answer = JsonResponse(_order(one), json_dumps_params={"ensure_ascii": False, "indent": 1})
    answer["Content-Disposition"] = f'attachment; filename="breach-{one.pk}.json"'
    return answer


def paper_of(one: Breach) -> bytes:
    found = _order(one)
    title = _("Notification of a personal data breach (GDPR art. 33)")
    paper = Paper(f"[{_('drill')}] {title}" if one.drill else title, language=(get_language() or "fr")[:2])
    paper.facts([(_("Controller"), found["controller"]), (_("Breach"), one.title)])
    times = {_("Aware since"): "aware_at", _("To be notified by"): "due", _("Notified"): "notified_at"}
    paper.facts([(label, _utc(found[key])) for label, key in times.items()])
    paper.facts([(str(PARTS[part]), "" if found[part] is None else str(found[part])) for part in service.PARTS])
    if found["tables"]:
        paper.table([_("Database table"), _("Rows")], [[name, str(many)] for name, many in found["tables"].items()])
    paper.heading(_("Register"))
    for line in found["register"]:
        said = "; ".join(f"{label}: {text}" for label, text in _said(line["said"]))
        paper.paragraph(f"{_utc(line['at'])} – {KINDS.get(line['kind'], line['kind'])}. {said}")
    return paper.write()


def _utc(at: str | None) -> str:
    return f"{datetime.fromisoformat(at).astimezone(ZoneInfo('UTC')):%Y-%m-%d %H:%M} UTC" if at else ""


@require_safe
@audience(WRITES)
def breach_pdf(request: MemberRequest, breach_id: int) -> HttpResponse:
    one = _one(request, breach_id)
    answer = HttpResponse(paper_of(one), content_type="application/pdf")
    answer["Content-Disposition"] = f'attachment; filename="breach-{one.pk}.pdf"'
    return answer


def scopes(workspace: Any) -> list[tuple[str, str]]:
    """Whose data it can concern, as choices: everybody, those on a list, those who got a sending."""
    found = [("", str(_("not known yet"))), ("everybody", str(_("everybody")))]
    for sending in Sending.objects.filter(workspace=workspace, kind="campaign").order_by("-id")[:20]:
        found.append((f"sending:{sending.pk}", _("those who got sending %(no)s") % {"no": sending.pk}))
    for one in List.objects.filter(workspace=workspace).order_by("name")[:50]:
        found.append((f"list:{one.pk}", _("those on the list “%(name)s”") % {"name": one.name}))
    return found
