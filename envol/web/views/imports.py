"""What will this file do? What did it do? Upload, columns, permission, dry run, run, undo."""

from __future__ import annotations

import csv
import io
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.jobs import cancel
from envol.accounts.models import Job, Role, Workspace
from envol.consent import purposes as purpose_service
from envol.consent.models import Basis, Purpose, PurposeText
from envol.contacts import imports as service
from envol.contacts import tasks
from envol.contacts.imports.formats import ENCODINGS
from envol.contacts.imports.orders import looks_like_orders
from envol.contacts.imports.permission import BUSINESS_FACTS, CUSTOMER_FACTS
from envol.contacts.imports.undo import DAYS
from envol.contacts.models import Import, List, Property
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.paging import page_of
from envol.web.templatetags.envol import label

OPEN = ("uploaded", "mapped", "checked", "failed", "cancelled")
BUSY = ("waiting", "running")


def _workspace(request: MemberRequest) -> Workspace:
    return request.workspace


def _one(request: MemberRequest, import_id: int) -> Import:
    found = Import.objects.filter(workspace=_workspace(request), id=import_id).first()
    if found is None:
        raise Http404
    return found


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def imports(request: MemberRequest) -> HttpResponse:
    """The files so far, and the door for a new one. Nothing is written by bringing a file."""
    problem = ""
    given = request.POST if request.method == "POST" else request.GET
    what = "orders" if given.get("what") == "orders" else "people"
    if request.method == "POST":
        file = request.FILES.get("file")
        if not isinstance(file, UploadedFile) or not file.name:
            problem = _("Choose a file first: CSV, Excel (.xlsx) or JSON Lines.")
        else:
            try:
                made = _receive(request, file, what)
            except service.ImportProblem as error:
                problem = str(error)
            else:
                return see(request, "import", made.pk)
    page = page_of(request, Import.objects.filter(workspace=_workspace(request)))
    facts = {"page": page, "problem": problem, "what": what, "address": f"{settings.ENVOL.base_url}/orders.json"}
    return render(request, "imports/list.html", facts, status=422 if problem else 200)


def _receive(request: MemberRequest, file: UploadedFile, what: str) -> Import:
    name = str(file.name)
    member_id = request.member.pk
    if hasattr(file, "temporary_file_path"):
        return service.receive(_workspace(request), Path(file.temporary_file_path()), name, member_id, what)
    with tempfile.NamedTemporaryFile() as copy:
        for block in file.chunks():
            copy.write(block)
        copy.flush()
        return service.receive(_workspace(request), Path(copy.name), name, member_id, what)


def _order_targets() -> list[tuple[str, Any]]:
    return [
        ("skip", _("leave out")),
        ("order", _("number of the order")),
        ("date", _("date of the order")),
        ("email", _("e-mail address of the buyer")),
        ("identifier:customer", _("customer number")),
        ("identifier:external", _("identifier of another system")),
        ("amount", _("total of the order")),
        ("currency", _("currency")),
        ("code", _("code that made it cheaper")),
        ("product", _("product of the line")),
        ("category", _("category of the product")),
        ("quantity", _("quantity")),
        ("line", _("amount of the line")),
        ("unit", _("price of one piece")),
        ("lines", _("all lines, as JSON")),
    ]


def _targets(workspace: Workspace) -> list[tuple[str, Any]]:
    fixed: list[tuple[str, Any]] = [
        ("skip", _("leave out")),
        ("email", _("e-mail address")),
        ("language", _("language")),
        ("time_zone", _("time zone")),
        ("tag", _("tag")),
        ("identifier:customer", _("customer number")),
        ("identifier:external", _("identifier of another system")),
        ("permission_date", _("date of the permission")),
        ("permission_proof", _("proof of the permission")),
    ]
    for p in Property.objects.filter(workspace=workspace).order_by("id"):
        fixed.append((f"property:{p.key}", label(p)))
        if p.type == "place":
            fixed.append((f"part:{p.key}.postcode", _("%(place)s: postcode") % {"place": label(p)}))
            fixed.append((f"part:{p.key}.country", _("%(place)s: country") % {"place": label(p)}))
    return fixed


def _step(imp: Import, job: Job | None, busy: bool, asked: str) -> str:
    """Which part of the road this import stands at; while it is open one may go back to an earlier part."""
    if busy:
        return "busy"
    if imp.state not in OPEN:
        return "result"
    if imp.what == "orders":
        return "columns" if asked == "columns" or imp.state in ("uploaded", "mapped") else "figures"
    if asked in ("columns", "permission") and not (asked == "permission" and imp.state == "uploaded"):
        return asked
    if imp.state == "uploaded":
        return "columns"
    if imp.state == "mapped":
        return "permission"
    return "figures"


def _facts(imp: Import, asked: str = "") -> dict[str, Any]:
    workspace = imp.workspace
    job = Job.objects.filter(workspace=workspace, id=imp.job_id).first() if imp.job_id else None
    busy = job is not None and job.state in BUSY
    columns = imp.format.get("columns", [])
    samples = imp.format.get("samples", [])
    texts = PurposeText.objects.filter(purpose__workspace=workspace, language=workspace.language)
    targets = set(imp.mapping.values())
    purposes = list(Purpose.objects.filter(workspace=workspace).exclude(kind="measuring").order_by("bit"))
    stated = next((p for p in purposes if p.key == imp.permission.get("purpose")), None)
    step = _step(imp, job, busy, asked)
    return {
        "step": step,
        "steps": _steps(imp, step),
        "stated": stated,
        "dates_by_line": next((name for name, to in imp.mapping.items() if to == "permission_date"), ""),
        "proofs_by_line": next((name for name, to in imp.mapping.items() if to == "permission_proof"), ""),
        "mapped": [target for target in targets if target != "skip"],
        "list": List.objects.filter(workspace=workspace, pk=imp.list_id).first() if imp.list_id else None,
        "given": {},
        "problem": "",
        "reading": _reading(imp),
        "imp": imp,
        "job": job,
        "busy": busy,
        "seconds": max(0, int((timezone.now() - job.started_at).total_seconds())) if job and job.started_at else 0,
        "speed": _speed(job) if job else None,
        "open": imp.state in OPEN and not busy,
        "columns": [
            {
                "no": i,
                "name": name,
                "samples": samples[i] if i < len(samples) else [],
                "target": imp.mapping.get(name, "skip"),
            }
            for i, name in enumerate(columns)
        ],
        "targets": _order_targets() if imp.what == "orders" else _targets(workspace),
        "looks_like_orders": imp.what == "people" and step == "columns" and looks_like_orders(imp),
        "amounts": list((imp.counts.get("amounts") or {}).items()),
        "from_day": _moment(imp.counts.get("first")),
        "to_day": _moment(imp.counts.get("last")),
        "lists": List.objects.filter(workspace=workspace).order_by("name"),
        "purposes": purposes,
        "texts": texts.select_related("purpose").order_by("purpose__bit", "-version"),
        "undo_until": (imp.ended_at + timedelta(days=DAYS)) if imp.ended_at else None,
        "can_undo": imp.state in ("done", "cancelled", "failed")
        and (imp.source_id is not None or bool(imp.counts.get("written")))
        and imp.ended_at is not None
        and imp.ended_at > timezone.now() - timedelta(days=DAYS),
        "refused_total": sum((imp.counts.get("refused") or {}).values()),
    }


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _steps(imp: Import, step: str) -> list[dict[str, Any]]:
    """The road as it is shown above the page: what is done, what is here, where one may go back."""
    names = {"columns": _("Columns"), "permission": _("Permission"), "figures": _("Figures"), "result": _("Result")}
    if imp.what == "orders":
        del names["permission"]
    order = list(names)
    last, figures = len(order) - 1, len(order) - 2
    here = order.index(step) if step in order else figures if imp.state in OPEN else last
    reached = {"uploaded": 0, "mapped": 1}.get(imp.state, figures if imp.state in OPEN else last)
    return [
        {
            "label": label_,
            "done": n < reached or (n == last and reached == last),
            "here": n == here,
            "href": f"?step={key}"
            if n < figures and n <= reached and n != here and reached < last and step != "busy"
            else "",
        }
        for n, (key, label_) in enumerate(names.items())
    ]


def _speed(job: Job) -> dict[str, Any] | None:
    """Lines a second and minutes left, once there is something to measure."""
    if job.state != "running" or not job.started_at or not job.done:
        return None
    rate = job.done / max((timezone.now() - job.started_at).total_seconds(), 0.5)
    left = round((job.total - job.done) / rate / 60) if job.total and job.total > job.done else None
    return {"rate": rate, "minutes": left}


@require_safe
@audience(Role.EDITOR)
def one_import(request: MemberRequest, import_id: int) -> HttpResponse:
    """The page; for htmx the region of the running job."""
    imp = _one(request, import_id)
    facts = _facts(imp, request.GET.get("step", ""))
    partial = request.headers.get("HX-Request") == "true"
    answer = render(request, "imports/_job.html" if partial else "imports/one.html", facts)
    if partial and not facts["busy"]:
        answer["HX-Refresh"] = "true"  # it ended: show the whole page with the result
    patch_vary_headers(answer, ["HX-Request"])
    answer["Cache-Control"] = "no-store"
    return answer


SEPARATORS = {
    ";": gettext_lazy("semicolon"),
    ",": gettext_lazy("comma"),
    "\t": gettext_lazy("tab"),
    "|": gettext_lazy("vertical bar"),
}


def _reading(imp: Import, given: Any = None) -> dict[str, Any]:
    """How the file is read, in words, and what may be chosen instead; ``given`` is what was just sent."""
    form, given = imp.format, given or {}
    encoding, separator = form.get("encoding", ""), form.get("separator", "")
    now = "utf-8" if encoding == "utf-8-sig" else encoding
    encodings = {now: now.upper(), **ENCODINGS} if now else {}
    return {
        "encoding": encodings.get(now, ""),
        "separator": SEPARATORS.get(separator, separator),
        "sheet": form.get("sheet", ""),
        "header": form.get("header", False),
        "header_chosen": "header" in given if given else form.get("header", False),
        "encodings": [(name, words, name == given.get("encoding", now)) for name, words in encodings.items()],
        "separators": [
            (sign, words, sign == given.get("separator", separator))
            for sign, words in ({separator: separator, **SEPARATORS} if separator else {}).items()
        ],
        "sheets": [(name, name == given.get("sheet", form["sheet"])) for name in form.get("sheets", [])],
        "open": bool(given),
    }


@require_POST
@audience(Role.EDITOR)
def file_format(request: MemberRequest, import_id: int) -> HttpResponse:
    """Read the file otherwise than it was found; the columns are proposed anew."""
    imp = _one(request, import_id)
    if imp.state not in OPEN or _facts(imp)["busy"]:
        return refuse(request, "import", imp.pk, said=_("Something is running already; wait until it ends."))
    changes: dict[str, Any] = {
        name: request.POST[name] for name in ("encoding", "separator", "sheet") if name in request.POST
    }
    if imp.format["kind"] != "jsonl":
        changes["header"] = "header" in request.POST
    if changes.get("encoding") == "utf-8" and imp.format.get("encoding") == "utf-8-sig":
        del changes["encoding"]
    try:
        service.set_format(imp, **changes)
    except service.ImportProblem as error:
        facts = _facts(imp, "columns") | {"reading": _reading(imp, request.POST), "format_problem": str(error)}
        return render(request, "imports/one.html", facts, status=422)
    return see(request, "import", imp.pk, said=_("The file was read anew: look at the three values of each column."))


@require_POST
@audience(Role.EDITOR)
def mapping(request: MemberRequest, import_id: int) -> HttpResponse:
    imp = _one(request, import_id)
    names = imp.format.get("columns", [])
    chosen = {name: request.POST.get(f"column.{i}", "skip") for i, name in enumerate(names)}
    if imp.what == "orders":
        return _order_mapping(request, imp, chosen)
    list_id, new = request.POST.get("list", ""), " ".join(request.POST.get("new_list", "").split())[:200]
    try:
        if new:
            known, _made = List.objects.get_or_create(workspace=imp.workspace, name=new)
            list_id = str(known.pk)
        service.set_mapping(
            imp,
            chosen,
            int(list_id) if list_id.isascii() and list_id.isdigit() and len(list_id) < 12 else None,
            request.POST.get("policy", "merge"),
        )
    except service.ImportProblem as error:
        facts = _facts(imp, "columns")
        for column in facts["columns"]:
            column["target"] = chosen.get(column["name"], "skip")
        return render(request, "imports/one.html", facts | {"problem": str(error), "given": request.POST}, status=422)
    return see(request, "import", imp.pk)


def _order_mapping(request: MemberRequest, imp: Import, chosen: dict[str, str]) -> HttpResponse:
    """The columns of a file of orders; the try follows by itself, there is no permission to state."""
    if _facts(imp)["busy"]:
        return refuse(request, "import", imp.pk, said=_("Something is running already; wait until it ends."))
    try:
        service.set_order_mapping(imp, chosen, request.POST.get("currency", ""))
    except service.ImportProblem as error:
        facts = _facts(imp, "columns")
        for column in facts["columns"]:
            column["target"] = chosen.get(column["name"], "skip")
        return render(request, "imports/one.html", facts | {"problem": str(error), "given": request.POST}, status=422)
    tasks.start(imp, "dry_run")
    return see(request, "import", imp.pk)


@require_POST
@audience(Role.EDITOR)
def permission(request: MemberRequest, import_id: int) -> HttpResponse:
    """What these people agreed to, or nothing at all: then they are kept and never written to. The try follows."""
    imp = _one(request, import_id)
    if imp.what == "orders":
        return refuse(request, "import", imp.pk, said=_("A file of orders gives nobody a permission."))
    job = Job.objects.filter(workspace=imp.workspace, id=imp.job_id).first() if imp.job_id else None
    if job is not None and job.state in BUSY:
        return refuse(request, "import", imp.pk, said=_("Something is running already; wait until it ends."))
    nothing = "nothing" in request.POST
    try:
        by = request.POST.get("given_by", "")
        by = by if by in ("people", "other") else ""  # the other two are said by who moves, and by programs' keys
        service.set_origin(imp, by, request.POST.get("origin", ""), request.POST.get("received_on", ""))
        if not nothing and not request.POST.get("purpose"):
            raise service.ImportProblem(_("Say what these people agreed to, or go on without permission."))
        service.set_permission(imp, {} if nothing else _stated(request, imp))
    except service.ImportProblem as error:
        facts = _facts(imp, "permission") | {"problem": str(error), "given": request.POST}
        return render(request, "imports/one.html", facts, status=422)
    tasks.start(imp, "dry_run")
    return see(request, "import", imp.pk)


def _stated(request: MemberRequest, imp: Import) -> dict[str, Any]:
    posted = request.POST
    purpose = Purpose.objects.filter(workspace=imp.workspace, key=posted.get("purpose", "")).first()
    if purpose is None:
        return {}
    basis = posted.get("basis", "")
    stated: dict[str, Any] = {"purpose": purpose.key, "basis": basis, "source": posted.get("source", "")}
    if posted.get("date"):
        stated["date"] = posted["date"]
    if basis == Basis.CONSENT:
        text = posted.get(f"text.{purpose.pk}", "") or posted.get("text_version", "")
        stated["text_version"] = text or purpose_service.text(purpose, imp.workspace.language).version
        stated["language"] = imp.workspace.language
    conditions: dict[str, Any] = {k: posted.get(k, "") for k in (*CUSTOMER_FACTS, *BUSINESS_FACTS) if posted.get(k)}
    conditions["optout_offered"] = posted.get("optout_offered") == "on"
    stated["conditions"] = conditions
    kind = posted.get("evidence", "")
    evidence: dict[str, Any] = {"kind": kind}
    if kind == "document" and isinstance(file := request.FILES.get("document"), UploadedFile):
        evidence.update(name=file.name, content=file.read())
    elif kind == "legacy":
        evidence.update(text=posted.get("statement", ""), member_id=request.member.pk)
    elif kind == "statement" or posted.get("statement", "").strip():
        evidence.update(kind="statement", text=posted.get("statement", ""), member_id=request.member.pk)
    stated["evidence"] = evidence
    return stated


@require_POST
@audience(Role.EDITOR)
def act(request: MemberRequest, import_id: int) -> HttpResponse:
    """dry_run, run, undo as jobs that go on when the page is left; cancel stops the present one."""
    imp = _one(request, import_id)
    name = request.POST.get("act", "")
    job = Job.objects.filter(workspace=imp.workspace, id=imp.job_id).first() if imp.job_id else None
    if name == "cancel":
        if job is None or not cancel(job.pk):
            return refuse(request, "import", imp.pk, said=_("Nothing is running any more."))
        return see(request, "import", imp.pk, said=_("It stops after the lines at hand."))
    if name in ("people", "orders"):
        try:
            service.set_what(imp, name)
        except service.ImportProblem as error:
            return refuse(request, "import", imp.pk, said=str(error))
        return see(request, "import", imp.pk)
    if name not in ("dry_run", "run", "undo"):
        return refuse(request, "import", imp.pk, said=_("There is no such act; nothing was changed."))
    if job is not None and job.state in BUSY:
        return refuse(request, "import", imp.pk, said=_("Something is running already; wait until it ends."))
    if name == "run" and imp.state not in ("checked", "failed", "cancelled"):
        return refuse(request, "import", imp.pk, said=_("Try it first: nothing is written before you saw the figures."))
    if name == "run" and imp.what == "people" and not imp.origin:
        return refuse(
            request,
            "import",
            imp.pk,
            said=_("Say first who gave you these data: the people themselves, or somebody else."),
        )
    if name == "dry_run" and imp.state not in OPEN:
        return refuse(request, "import", imp.pk, said=_("This import has ended; bring the file again."))
    if name == "undo" and not _facts(imp)["can_undo"]:
        return refuse(request, "import", imp.pk, said=_("This import can no longer be undone."))
    tasks.start(imp, name)
    return see(request, "import", imp.pk)


@require_safe
@audience(Role.EDITOR)
def refused(request: MemberRequest, import_id: int) -> StreamingHttpResponse:
    imp = _one(request, import_id)
    answer = StreamingHttpResponse(service.refused_csv(imp), content_type="text/csv; charset=utf-8")
    day = f"{imp.created_at:%Y-%m-%d}" if isinstance(imp.created_at, datetime) else ""
    answer["Content-Disposition"] = f'attachment; filename="refused-{imp.pk}-{day}.csv"'
    return answer


@require_safe
@audience(Role.EDITOR)
def model_file(request: MemberRequest) -> HttpResponse:
    """A small file to fill in: columns that the proposal recognises, two people (or orders) who show how."""
    french = (get_language() or "en").startswith("fr")
    orders = request.GET.get("what") == "orders"
    if orders and french:
        head = ["commande", "email", "date", "produit", "catégorie", "quantité", "montant de la ligne", "devise"]
    elif orders:
        head = ["order", "email", "date", "product", "category", "quantity", "line amount", "currency"]
    elif french:
        head = ["email", "prénom", "nom", "ville", "étiquettes", "date du consentement", "preuve du consentement"]
    else:
        head = ["email", "first name", "last name", "city", "tags", "consent date", "proof of consent"]
    people = [
        ["zoe.martin@lecteurs.example", "Zoé", "Martin", "Nantes", "roman;jazz", "2026-03-14", "bulletin 1207"],
        ["ali.bensalem@poste.example", "Ali", "Ben Salem", "Lyon", "", "", ""],
    ]
    if orders:
        price, other = ("24,90", "12,00") if french else ("24.90", "12.00")
        people = [
            ["A-1042", "zoe.martin@lecteurs.example", "2026-03-14", "Kind of Blue", "jazz", "1", price, "EUR"],
            ["A-1042", "zoe.martin@lecteurs.example", "2026-03-14", "Le Horla", "roman", "2", other, "EUR"],
            ["A-1043", "ali.bensalem@poste.example", "2026-03-15", "Le Horla", "roman", "1", "6,00", "EUR"],
        ]
        if not french:
            people[2][6] = "6.00"
    out = io.StringIO()
    write = csv.writer(out, delimiter=";" if french else ",", lineterminator="\r\n").writerow
    for row in [head, *people]:
        write(row)
    name = ("commandes" if french else "orders") if orders else "modele" if french else "model"
    answer = HttpResponse("\ufeff" + out.getvalue(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return answer
