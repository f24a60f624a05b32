"""Making a segment: the rule as a form, with figures under it that follow the typing.

Every button works by a plain POST of the whole form. With script the same POST answers with the tree
alone, and the figures have a route of their own; both are abandoned when something newer is typed.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from envol.accounts.models import JournalEntry, Member, Role
from envol.audience import counting, serving, text
from envol.audience import segments as service
from envol.audience.catalogue import Catalogue, fields
from envol.audience.columns.ask import Asked
from envol.audience.language import MAX_LEVELS, Problem, SegmentProblem
from envol.audience.models import Segment
from envol.audience.offers import Offers
from envol.audience.operators import OPERATORS
from envol.consent import gates
from envol.consent.models import Purpose
from envol.contacts.models import Contact
from envol.web.answers import see
from envol.web.audiences import sentence_of
from envol.web.charts import Part, stacked
from envol.web.doors import MemberRequest, audience
from envol.web.segment_drawing import Drawing, rounded, said
from envol.web.segment_form import DraftGroup, DraftRule, Meaning, act, draft_of, read, tree_of
from envol.web.templatetags.envol import label, number, tone, word
from envol.web.views.contacts import name_of

AT_ONCE = 0.04  # seconds that a whole page waits for its figures; what takes longer comes after it


@dataclass(slots=True)
class Form:
    """One request's view of the builder: what is drawn, what it means, and for whom it counts."""

    request: MemberRequest
    segment: Segment | None
    catalogue: Catalogue
    draft: DraftGroup
    name: str
    page: str
    turn: int
    purpose: Purpose | None
    meaning: Meaning
    written: str | None = None  # JSON that could not be read

    @property
    def counted_as(self) -> counting.Page:
        member = self.request.member
        return counting.Page.of(member.workspace.pk, member.pk, self.page)


def _form(
    request: MemberRequest,
    catalogue: Catalogue,
    segment: Segment | None,
    draft: DraftGroup,
    name: str,
    **more: Any,
) -> Form:
    posted = request.POST
    purposes = _purposes(catalogue)
    key = posted.get("purpose", "newsletter")
    turn = posted.get("turn", "")
    return Form(
        request,
        segment,
        catalogue,
        draft,
        name,
        posted.get("page") or secrets.token_urlsafe(12),
        int(turn) + 1 if turn.isascii() and turn.isdigit() and len(turn) < 10 else 1,
        next((p for p in purposes if p.key == key), purposes[0] if purposes else None),
        tree_of(draft, catalogue, Offers(catalogue).spot, within=segment.pk if segment else None),
        **more,
    )


def _purposes(catalogue: Catalogue) -> list[Purpose]:
    return [p for p in catalogue.purposes.values() if p.kind == "marketing"]


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def new_segment(request: MemberRequest) -> HttpResponse:
    return _build(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def edit_segment(request: MemberRequest, segment_id: int) -> HttpResponse:
    found = Segment.objects.filter(workspace=request.workspace, id=segment_id).first()
    if found is None:
        raise Http404
    return _build(request, found)


def _build(request: MemberRequest, segment: Segment | None) -> HttpResponse:
    catalogue = Catalogue(request.workspace)
    if request.method != "POST":
        return _begin(request, segment, catalogue)
    draft = read(dict(request.POST.lists()))
    name, command = request.POST.get("name", ""), request.POST.get("act", "draw")
    if command == "json":
        return _from_json(request, segment, catalogue, name)
    focus = act(draft, command)
    form = _form(request, catalogue, segment, draft, name)
    if command != "save":
        return _page(form, focus=focus, exact=command == "exact")
    if form.meaning.problems:
        return _page(form, form.meaning.problems, status=422)
    if segment and request.POST.get("seen", _seen(segment)) != _seen(segment):
        return _page(form, [Problem("", _changed_meanwhile(form, segment))], status=409)
    try:
        saved = service.save(request.workspace, name, form.meaning.tree, segment=segment, actor_id=request.member.pk)
    except SegmentProblem as error:
        return _page(form, error.problems, status=422)
    return see(request, "segment", saved.pk, said=_("The segment is saved."), undo=service.undo_of(saved))


def _seen(segment: Segment) -> str:
    """The state of a segment that a form was opened on."""
    return segment.updated_at.isoformat()


def _changed_meanwhile(form: Form, segment: Segment) -> str:
    """Somebody else saved it since: by whom, and what the rule says now. Saving once more replaces it."""
    entries = JournalEntry.objects.filter(
        workspace=segment.workspace,
        action__in=["segment.changed", "segment.restored"],
        object_id=segment.pk,
        actor_kind="member",
    )
    entry = entries.order_by("-id").first()
    actor = entry.actor_id if entry else None
    member = Member.objects.filter(pk=actor).select_related("user").first() if actor else None
    return _(
        "%(who)s changed this segment meanwhile. It is now called “%(name)s” and says: %(sentence)s"
        " Save again to put yours in its place, or open it anew."
    ) % {
        "who": str(member.user) if member else _("Somebody"),
        "name": segment.name,
        "sentence": sentence_of(form.catalogue, segment.tree),
    }


def _begin(request: MemberRequest, segment: Segment | None, catalogue: Catalogue) -> HttpResponse:
    """The form as it opens: of a segment, a copy of one, a rule in the address, or one empty rule."""
    if segment:
        return _page(_form(request, catalogue, segment, draft_of(segment.tree, catalogue), segment.name))
    if wanted := request.GET.get("copy", ""):
        copied = wanted.isascii() and wanted.isdigit() and len(wanted) < 10
        found = Segment.objects.filter(workspace=request.workspace, id=int(wanted)).first() if copied else None
        if found is None:
            raise Http404
        name = _("%(name)s (copy)") % {"name": found.name}
        return _page(_form(request, catalogue, None, draft_of(found.tree, catalogue), name))
    draft = DraftGroup("all", [DraftRule()])
    if "tree" in request.GET:
        try:
            draft = draft_of(_parsed(request.GET["tree"], catalogue), catalogue)
        except ValueError as error:
            return _page(
                _form(request, catalogue, None, draft, "", written=request.GET["tree"]), wrong=str(error), status=422
            )
    return _page(_form(request, catalogue, None, draft, request.GET.get("name", "")[:200]), focus="r.0.f")


def _from_json(request: MemberRequest, segment: Segment | None, catalogue: Catalogue, name: str) -> HttpResponse:
    """The expert view: the rule as text, or as JSON, takes the place of the form's."""
    written = request.POST.get("tree", "")
    try:
        draft = draft_of(_parsed(written, catalogue), catalogue)
    except ValueError as error:
        draft = read(dict(request.POST.lists()))
        return _page(_form(request, catalogue, segment, draft, name, written=written), wrong=str(error), status=422)
    form = _form(request, catalogue, segment, draft, name)
    # What the form cannot draw (an unknown operator, a value of another type) is said as the parser says it.
    problems = _problems_of(form, written)
    if problems:
        form.written = written
        return _page(form, wrong=" ".join(problems), status=422)
    return _page(form)


def _problems_of(form: Form, written: str) -> list[str]:
    from envol.audience.language import parse

    try:
        parse(_parsed(written, form.catalogue), form.catalogue, within=form.segment.pk if form.segment else None)
    except SegmentProblem as error:
        return [f"{p.path}: {p.sentence}" if p.path else p.sentence for p in error.problems]
    return []


def _parsed(written: str, catalogue: Catalogue) -> Any:
    """The tree that a person wrote, as text or as JSON; or ValueError with what to do."""
    if not written.lstrip().startswith(("{", "[")):
        try:
            return text.read(written, catalogue)
        except SegmentProblem as error:
            raise ValueError(error.problems[0].sentence) from None
    try:
        found = json.loads(written)
    except json.JSONDecodeError as error:
        where = {"line": error.lineno, "column": error.colno}
        raise ValueError(_("The rule is no JSON: line %(line)s, column %(column)s.") % where) from None
    except RecursionError:
        raise ValueError(
            _("The rule is nested too deeply; use at most %(n)s levels of groups.") % {"n": MAX_LEVELS}
        ) from None
    if not isinstance(found, dict):
        raise ValueError(_('A group is {"match": "all", "rules": [ … ]}.'))
    return found


def _as_written(form: Form) -> str:
    """The rule as text; as JSON while it cannot be read yet, and nothing while nothing is chosen."""
    try:
        return text.write(form.meaning.tree, form.catalogue)
    except SegmentProblem:
        tree = form.meaning.tree
        return "" if _says_nothing(tree) else json.dumps(tree, ensure_ascii=False, indent=2)


def _says_nothing(tree: dict[str, Any]) -> bool:
    return not tree.get("field") and all(map(_says_nothing, tree.get("rules", [])))


def _still_seen(form: Form, status: int) -> str:
    """What the form was opened on; after it was told of a change (409), what it was told."""
    if form.segment is None:
        return ""
    now = _seen(form.segment)
    return now if status == 409 else form.request.POST.get("seen", now)


def _page(
    form: Form,
    problems: list[Any] | None = None,
    *,
    focus: str = "",
    wrong: str = "",
    exact: bool = False,
    status: int = 200,
) -> HttpResponse:
    """The whole page, or the tree alone for script. What is counted is asked before the rest is drawn."""
    if ("HX-Request" in form.request.headers and not problems) or form.meaning.wrong:
        return _drawn(form, problems, None, focus, wrong, exact, status)
    with counting.ahead(form.catalogue, form.meaning.counted, form.purpose, form.counted_as, form.turn) as asked:
        return _drawn(form, problems, asked, focus, wrong, exact, status)


def _drawn(
    form: Form,
    problems: list[Any] | None,
    asked: Asked | None,
    focus: str,
    wrong: str,
    exact: bool,
    status: int,
) -> HttpResponse:
    shown_problems = form.meaning.wrong if problems is None else problems
    if problems:
        first = next((p for p in problems if p.path), None)
        focus = f"r.{first.path}.f" if first else focus
    drawing = Drawing(form.catalogue, shown_problems)
    facts: dict[str, Any] = {
        "group": drawing.tree(form.draft),
        "focus": focus,
        "segment": form.segment,
        "seen": _still_seen(form, status),
        "name": form.name,
        "page": form.page,
        "turn": form.turn,
        "summary": [said(p) for p in problems or [] if not p.path or len(problems or []) > 1],
        "placed": [(f"r.{p.path}", said(p)) for p in problems or [] if p.path],
        "general": [said(p) for p in problems or [] if not p.path],
    }
    if "HX-Request" in form.request.headers and not problems:
        return render(form.request, "segments/_tree.html", facts)
    language = "fr" if drawing.language.startswith("fr") else "en"
    facts.update(
        purposes=_purposes(form.catalogue),
        purpose=form.purpose,
        wrong=wrong,
        tree=form.written if form.written is not None else _as_written(form),
        known=[
            {"field": f, "label": f.label(language), "operators": sorted(OPERATORS.get(f.kind, ()))}
            for f in fields(form.catalogue)
        ],
    )
    facts.update(_figures(form, None if exact else AT_ONCE, estimate=False, asked=asked))
    return render(form.request, "segments/edit.html", facts, status=status)


# --- figures


@require_POST
@audience(Role.EDITOR)
def segment_figures(request: MemberRequest) -> HttpResponse:
    """The figures alone, for a page on which somebody types; 204 when a newer request took this one's place."""
    draft = read(dict(request.POST.lists()))
    form = _form(request, Catalogue(request.workspace), _edited(request), draft, "")
    facts = _figures(form, None if request.POST.get("act") == "exact" else counting.PATIENCE)
    if facts["state"] == "superseded":
        return HttpResponse(status=204)
    return render(request, "segments/_figures.html", facts | {"asked": True})


@require_POST
@audience(Role.EDITOR)
def leave_segment(request: MemberRequest) -> HttpResponse:
    """The browser left the page: its count ends."""
    member = request.member
    counting.leave(counting.Page.of(member.workspace.pk, member.pk, request.POST.get("page", "")))
    return HttpResponse(status=204)


def _edited(request: MemberRequest) -> Segment | None:
    wanted = request.POST.get("segment", "")
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) < 10):
        return None
    return Segment.objects.filter(workspace=request.workspace, id=int(wanted)).first()


def _figures(
    form: Form, patience: float | None, *, estimate: bool = True, asked: Asked | None = None
) -> dict[str, Any]:
    """What ``_figures.html`` says: a state (counted, about, wrong, slow, superseded) and what goes with it."""
    facts: dict[str, Any] = {"purpose": form.purpose, "unfinished": len(form.meaning.unfinished)}
    if form.meaning.wrong:
        return {**facts, "state": "wrong", "to_mend": [(f"r.{p.path}", said(p)) for p in form.meaning.wrong]}
    tree = form.meaning.counted
    found = _counted(form.catalogue, tree, form.purpose, form.counted_as, form.turn, patience, estimate, asked)
    return {**facts, **found}


def figures_of(request: MemberRequest, segment: Segment, catalogue: Catalogue) -> dict[str, Any]:
    """The same figures for the page of a segment: what is quick with the page, the rest when script asks for it."""
    purposes = _purposes(catalogue)
    wanted = request.GET.get("purpose", "newsletter")
    purpose = next((p for p in purposes if p.key == wanted), purposes[0] if purposes else None)
    page = counting.Page.of(secrets.token_hex(8))  # nothing newer can come from a page on which nobody types
    patience = None if "exact" in request.GET else counting.PATIENCE if "HX-Request" in request.headers else AT_ONCE
    asked = "HX-Request" in request.headers
    found = _counted(catalogue, segment.whole, purpose, page, 1, patience, asked)
    return {"purpose": purpose, "purposes": purposes, "unfinished": 0, "asked": asked, **found}


def _quoted(property: serving.Unserved) -> str:
    return _("“%(name)s”") % {"name": label(property)}


def _counted(
    catalogue: Catalogue,
    tree: dict[str, Any],
    purpose: Purpose | None,
    page: counting.Page,
    turn: int,
    patience: float | None,
    estimate: bool,
    asked: Asked | None = None,
) -> dict[str, Any]:
    facts: dict[str, Any] = {"sentence": sentence_of(catalogue, tree)}
    try:
        found = counting.figures(
            catalogue, tree, purpose, page, turn, patience=patience, estimate=estimate, asked=asked
        )
    except SegmentProblem as error:
        return {**facts, "state": "wrong", "to_mend": [("r", said(p)) for p in error.problems]}
    except counting.Superseded:
        return {**facts, "state": "superseded"}
    except counting.TooSlow:
        return {**facts, "state": "slow", "given_up": patience is None}
    about = found.drawn > 0
    reasons, unserved = dict(found.reasons), []
    if purpose is not None and reasons.get(""):
        unserved = serving.unserved(catalogue, tree, purpose)
        if unserved and not about:
            barred = serving.barred(catalogue, tree, purpose, unserved)
            reasons |= {"": reasons[""] - barred, gates.NOT_SERVED: barred}

    def shown_as(n: int) -> int:
        return rounded(n) if about else n

    allowed = reasons.get("", 0)
    refused = sorted(((why, n) for why, n in reasons.items() if why and n), key=lambda one: -one[1])
    parts = [Part(_("may be written to"), allowed, "ok")]
    parts += [Part(str(word(why)), n, tone(why)) for why, n in refused]
    bar: str = ""
    if purpose:
        title = _("Who may be written to for “%(purpose)s”") % {"purpose": label(purpose)}
        bar = stacked("allowed", parts, title=title, desc=", ".join(f"{p.label} {number(p.value)}" for p in parts))
    people: dict[int, Any] = {
        c.pk: c for c in Contact.objects.filter(workspace_id=catalogue.workspace.id, id__in=found.sample)
    }
    for person in people.values():
        person.name = name_of(person.props)
    return {
        **facts,
        "state": "about" if about else "counted",
        "count": shown_as(found.count),
        "exactly": found.count,
        "total": found.total,
        "drawn": found.drawn,
        "milliseconds": max(1, round(found.seconds * 1000)),
        "unserved": ", ".join(_quoted(one) for one in unserved),
        "slower": found.columns == "failed",
        "allowed": shown_as(allowed),
        "refused": [(why, shown_as(n)) for why, n in refused],
        "bar": bar,
        "people": [people[id] for id in found.sample if id in people],
    }
