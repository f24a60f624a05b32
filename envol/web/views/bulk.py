"""One act on many people: who is meant, what it will do, then its progress, result and way back."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse, HttpResponseBase, QueryDict, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.jobs import cancel
from envol.accounts.journal import note
from envol.accounts.models import Job, Role, Workspace
from envol.contacts import bulk, catalogue, export_files, exports, filters, tasks
from envol.contacts.filters import MOST_IDS, Filter
from envol.contacts.models import BulkAct, List
from envol.contacts.undoing import taken_back
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.people_filter import chips_of, filter_of, query_of
from envol.web.templatetags.envol import label, value
from envol.web.values import typed_value

ACTS = ("tag", "untag", "join", "leave", "set")
ASKS_NUMBER = 1000
"""Above this many people an act that takes something away asks for the number (a slip of the hand stays small)."""
TAKES_AWAY = ("untag", "leave", "set")
BUSY = ("waiting", "running")


def _title(act: str, n: int) -> str:
    figure = {"n": value(n)}
    match act:
        case "tag":
            return ngettext("Add a tag to %(n)s person", "Add a tag to %(n)s people", n) % figure
        case "untag":
            return ngettext("Remove a tag from %(n)s person", "Remove a tag from %(n)s people", n) % figure
        case "join":
            return ngettext("Put %(n)s person on a list", "Put %(n)s people on a list", n) % figure
        case "leave":
            return ngettext("Take %(n)s person off a list", "Take %(n)s people off a list", n) % figure
        case _:
            return ngettext("Give %(n)s person a value", "Give %(n)s people a value", n) % figure


def _button(act: str) -> str:
    words = {
        "tag": _("Add the tag"),
        "untag": _("Remove the tag"),
        "join": _("Put on the list"),
        "leave": _("Take off the list"),
        "set": _("Set the value"),
    }
    return str(words[act])


def done_sentence(act: BulkAct) -> str:
    """What an act did, in one sentence with its figure."""
    argument, n = act.argument, int(act.counts.get("changed", 0))
    facts = {"n": value(n), **{key: argument.get(key, "") for key in ("tag", "name", "from", "into")}}
    match act.act:
        case "tag":
            said = ngettext(
                "The tag “%(tag)s” was added to %(n)s person.", "The tag “%(tag)s” was added to %(n)s people.", n
            )
        case "untag":
            said = ngettext(
                "The tag “%(tag)s” was removed from %(n)s person.",
                "The tag “%(tag)s” was removed from %(n)s people.",
                n,
            )
        case "join":
            said = ngettext(
                "%(n)s person was put on the list “%(name)s”.", "%(n)s people were put on the list “%(name)s”.", n
            )
        case "leave":
            said = ngettext(
                "%(n)s person was taken off the list “%(name)s”.", "%(n)s people were taken off the list “%(name)s”.", n
            )
        case "merge":
            said = ngettext(
                "“%(from)s” became part of “%(into)s” for %(n)s person.",
                "“%(from)s” became part of “%(into)s” for %(n)s people.",
                n,
            )
        case "locate":
            said = ngettext(
                "The place of %(n)s person got its coordinates.", "The places of %(n)s people got their coordinates.", n
            )
        case _:
            found = catalogue.of(act.workspace).get(argument.get("property", ""))
            facts["name"] = label(found) if found else argument.get("property", "")
            said = ngettext("“%(name)s” was changed for %(n)s person.", "“%(name)s” was changed for %(n)s people.", n)
    return said % facts


def meant(request: MemberRequest, given: QueryDict) -> Filter | None:
    """Everybody of the filter, or those who were ticked; None when nobody was."""
    if given.get("all"):
        return filter_of(request, given)
    ids = [int(one) for one in given.getlist("id") if one.isascii() and one.isdigit() and len(one) < 19]
    return Filter(ids=tuple(ids[:MOST_IDS])) if ids else None


def _facts(request: MemberRequest, given: QueryDict, act: str, chosen: Filter, **more: Any) -> dict[str, Any]:
    workspace: Workspace = request.workspace
    total = filters.count(workspace, chosen)
    properties = [p for p in catalogue.of(workspace).values() if not p.inferred]
    wanted = given.get("property", "")
    return {
        "act": act,
        "title": _title(act, total),
        "button": _button(act),
        "total": total,
        "must_type": act in TAKES_AWAY and total > ASKS_NUMBER,
        "at_once": total <= bulk.AT_ONCE,
        "ids": list(chosen.ids),
        "all": not chosen.ids,
        "kept": [(key, text) for key, text in QueryDict(query_of(given).removeprefix("?")).items()],
        "back": query_of(given),
        "chips": chips_of(workspace, chosen, QueryDict(query_of(given).removeprefix("?"))) if not chosen.ids else [],
        "lists": List.objects.filter(workspace=workspace).order_by("name") if act in ("join", "leave") else [],
        "properties": sorted(properties, key=label) if act == "set" else [],
        "property": next((p for p in properties if p.key == wanted), None),
        "given": given,
        "problem": "",
        **more,
    }


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def act_on_people(request: MemberRequest) -> HttpResponse:
    """Say what is meant and ask what is needed; the act itself comes by POST."""
    given = request.POST if request.method == "POST" else request.GET
    act = given.get("act", "")
    chosen = meant(request, given)
    if chosen is None or act not in ACTS:
        answer = refuse(request, "contacts", said=_("Tick people first, then choose what to do with them."))
        answer["Location"] += query_of(given)
        return answer
    if request.method == "POST":
        return _do(request, given, act, chosen)
    partial = request.headers.get("HX-Request") == "true"
    answer = render(
        request, "contacts/_act.html" if partial else "contacts/act.html", _facts(request, given, act, chosen)
    )
    patch_vary_headers(answer, ["HX-Request"])
    return answer


def _argument(workspace: Workspace, given: QueryDict, act: str) -> dict[str, Any]:
    if act in ("tag", "untag"):
        return {"tag": given.get("tag_name", "")}
    if act in ("join", "leave"):
        chosen = given.get("list_id", "")
        return {"list": int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) < 10 else 0}
    found = catalogue.of(workspace).get(given.get("property", ""))
    return {"property": given.get("property", ""), "value": typed_value(found, given) if found else None}


def _do(request: MemberRequest, given: QueryDict, act: str, chosen: Filter) -> HttpResponse:
    workspace: Workspace = request.workspace
    facts = _facts(request, given, act, chosen)
    problem = ""
    if facts["must_type"] and "".join(filter(str.isdigit, given.get("typed", ""))) != str(facts["total"]):
        problem = _("Type the number of people, %(n)s, to confirm.") % {"n": value(facts["total"])}
    else:
        try:
            made = bulk.prepare(workspace, act, _argument(workspace, given, act), chosen, member_id=request.member.pk)
        except bulk.BulkProblem as error:
            problem = str(error)
    if problem:
        return render(request, "contacts/act.html", facts | {"problem": problem}, status=422)
    if tasks.start_bulk(made) is not None:
        return see(request, "bulk_act", made.pk)
    answer = see(request, "contacts", said=done_sentence(made), undo=bulk.undo_of(made))
    answer["Location"] += query_of(given)
    return answer


# -- one act: progress, result, undo -----------------------------------------------------------


def _one(request: MemberRequest, bulk_id: int) -> BulkAct:
    found = BulkAct.objects.filter(workspace=request.workspace, pk=bulk_id).first()
    if found is None:
        raise Http404
    return found


def _job(act: BulkAct) -> Job | None:
    return Job.objects.filter(workspace=act.workspace, id=act.job_id).first() if act.job_id else None


@require_safe
@audience(Role.EDITOR)
def bulk_act(request: MemberRequest, bulk_id: int) -> HttpResponse:
    """The page of one act, which can be left and come back to; for htmx the region that moves."""
    act = _one(request, bulk_id)
    job = _job(act)
    busy = job is not None and job.state in BUSY
    seconds = (timezone.now() - job.started_at).total_seconds() if job and job.started_at else 0
    facts = {
        "act": act,
        "job": job,
        "busy": busy,
        "rate": job.done / seconds if job and job.done and seconds > 0.5 else None,
        "said": done_sentence(act),
        "undone": taken_back(act.counts["undone"]) if act.counts.get("undone") else "",
        "can_undo": not busy and bulk.can_undo(act),
        "can_go_on": not busy and act.state == "failed",
    }
    partial = request.headers.get("HX-Request") == "true"
    answer = render(request, "contacts/_bulk_job.html" if partial else "contacts/bulk.html", facts)
    if partial and not busy:
        answer["HX-Refresh"] = "true"  # it ended: show the whole page with the result
    patch_vary_headers(answer, ["HX-Request"])
    answer["Cache-Control"] = "no-store"
    return answer


@require_POST
@audience(Role.EDITOR)
def bulk_do(request: MemberRequest, bulk_id: int) -> HttpResponse:
    """Stop the act, go on with it, or take it back."""
    act = _one(request, bulk_id)
    name, job = request.POST.get("act", ""), _job(act)
    if name == "cancel":
        if job is None or not cancel(job.pk):
            return refuse(request, "bulk_act", act.pk, said=_("Nothing is running any more."))
        return see(request, "bulk_act", act.pk, said=_("It stops after the people at hand."))
    if job is not None and job.state in BUSY:
        return refuse(request, "bulk_act", act.pk, said=_("Something is running already; wait until it ends."))
    if name not in ("undo", "again"):
        return refuse(request, "bulk_act", act.pk, said=_("There is no such act; nothing was changed."))
    try:
        tasks.start_bulk(act, undo=name == "undo")
    except bulk.BulkProblem as error:
        return refuse(request, "bulk_act", act.pk, said=str(error))
    return see(request, "bulk_act", act.pk)


# -- export ------------------------------------------------------------------------------------


def _meant_again(request: MemberRequest) -> str:
    kept = request.GET.copy()
    kept.pop("purpose", None)
    return f"?{kept.urlencode()}"


@require_safe
@audience(Role.EDITOR)
def export(request: MemberRequest) -> HttpResponseBase:
    """The people meant and what may serve the purpose, as CSV; the journal keeps who took how many."""
    workspace: Workspace = request.workspace
    chosen = meant(request, request.GET)
    if chosen is None:
        answer = refuse(request, "contacts", said=_("Tick people first, then choose what to do with them."))
        answer["Location"] += query_of(request.GET)
        return answer
    people = filters.count(workspace, chosen)
    purpose = export_files.purposes_for(workspace).filter(key=request.GET.get("purpose", "")).first()
    if purpose is None:
        answer = refuse(request, "new_export", said=_("Say first what the file is for."))
        answer["Location"] += _meant_again(request)
        return answer
    found = filters.served(workspace, chosen, purpose)
    if export_files.needs_approval(workspace, people, request.member.pk):
        answer = refuse(request, "new_export", said=_("So many people leave only when another owner agrees: ask here."))
        answer["Location"] += _meant_again(request)
        return answer
    note(workspace, "member", "contacts.exported", actor_id=request.member.pk, people=people, purpose=purpose.pk)
    french = (get_language() or "en").startswith("fr")
    lines = exports.csv_rows(
        workspace,
        (found.usable, found.params),
        language="fr" if french else "en",
        delimiter=";" if french else ",",  # what spreadsheets of that language expect
        bom=True,
        columns=export_files.serving(workspace, exports.columns_of(workspace), purpose),
        purpose=purpose,
    )
    stream = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    stream["Content-Disposition"] = f'attachment; filename="contacts-{timezone.localdate():%Y-%m-%d}.csv"'
    return stream
