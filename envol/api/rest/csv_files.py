"""csvimport, batchjob and the doors below ``/DATA``: files of people, and what was wrong with them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext, override

from envol.accounts import api_keys, jobs
from envol.accounts.models import ApiKey, Job, Scope
from envol.api import csv_work
from envol.api.models import CsvData
from envol.api.rest import lists
from envol.api.rest.ground import Answer, Call, Resource, Wrong, missing, number_of, unresolved
from envol.api.rest.values import Field, Invalid, anything, integer, text, told
from envol.contacts.imports import CAUSES, ImportProblem
from envol.contacts.models import Import, ImportRefusal

_STATES = {"waiting": "Upload", "done": "Completed", "failed": "Error", "cancelled": "Abort"}
_NO_LIST = (
    "MJ08 Property ContactsList is invalid: Exclusion of contacts from marketing campaign is a global status"
    " and can not be applied to a list"
)
_KINDS = (csv_work.KIND, "api.contacts")


# ---- /DATA


def door(method: str, words: Sequence[str], pieces: Iterable[bytes], key: ApiKey) -> Answer:
    """``contactslist/ID/CSVData/text:plain`` takes a file in, ``batchjob/ID/CSVError/text:csv`` gives its errors."""
    kind = (words[3] if len(words) > 3 else "text:plain").replace(":", "/")
    with override("en"):
        try:
            if said := api_keys.closed(key) or api_keys.lacks(key, Scope.CONTACTS):
                raise Wrong(403, said)
            call = Call(method, key)
            match [word.lower() for word in words[:3]]:
                case ["contactslist" | "contact", *_] as found if "csvdata" in found:
                    if method != "POST":
                        raise Wrong(405, "This address takes POST.")
                    one = lists.find(call, words[1]) if found[0] == "contactslist" and found[1] != "csvdata" else None
                    return _kept(call, one.pk if one else None, pieces)
                case ["batchjob", number, "csverror" | "jsonerror"] if method == "GET":
                    return _errors(call, number_of(number) or 0, kind)
            raise Wrong(404, "There is nothing at this address.")
        except Wrong as wrong:
            return wrong.answer()


def _kept(call: Call, list_id: int | None, pieces: Iterable[bytes]) -> Answer:
    try:
        made = csv_work.keep(call.key, list_id, pieces)
    except ImportProblem as problem:
        raise Wrong(507, str(problem)) from None
    return Answer(200, {"ID": made.pk})


def _errors(call: Call, number: int, kind: str) -> Answer:
    job = _jobs(call).filter(pk=number).first()
    found = _refused_lines(job) if job and job.kind == csv_work.KIND else _refused_people(job) if job else ""
    if not found:
        return Answer(404, {"ErrorInfo": "", "ErrorMessage": "Source object not found", "StatusCode": 404}, kind)
    return Answer(200, found, kind)


def _refused_lines(job: Job) -> str:
    """The lines as they came, with one column more."""
    imp = Import.objects.filter(workspace=job.workspace, pk=job.result.get("import", 0)).first()
    refused = list(ImportRefusal.objects.filter(import_id=imp.pk).order_by("id")[:100_000]) if imp else []
    if imp is None or not refused:
        return ""
    separator = imp.format.get("separator", ",")
    out = io.StringIO()
    write = csv.writer(out, delimiter=separator, lineterminator="\n").writerow
    write([*imp.format["columns"], "error"])
    for one in refused:
        why = gettext(CAUSES.get(one.cause, one.cause))
        cells = next(csv.reader([one.row], delimiter=separator), [one.row])
        write([*cells, f"{why}: {one.value}" if one.value else why])
    return out.getvalue()


def _refused_people(job: Job) -> str:
    """Of a job of JSON: the place of each in what was sent, and why. The rest of it is not kept."""
    refused = job.result.get("refused", [])
    return json.dumps([{"Index": one["place"], "Error": one["why"]} for one in refused]) if refused else ""


# ---- csvimport


def _jobs(call: Call) -> QuerySet[Job]:
    return Job.objects.filter(workspace=call.workspace, kind__in=_KINDS).select_related("workspace")


def _imports(call: Call) -> QuerySet[Job]:
    return _jobs(call).filter(kind=csv_work.KIND)


def _one(call: Call, key: str) -> Job:
    found = _imports(call).filter(pk=number_of(key) or 0).first()
    if found is None:
        raise missing()
    return found


def _state(job: Job) -> str:
    if job.state == "running":
        return "Importing" if job.step == "writing" else "Prepare"
    return _STATES[job.state]


def _show(call: Call, found: Sequence[Job]) -> list[dict[str, Any]]:
    return [
        {
            "AliveAt": told(one.ended_at or one.started_at or one.created_at),
            "ContactsListID": one.result.get("ContactsListID", 0),
            "Count": one.result.get("count", one.total or 0),
            "Current": one.result.get("current", one.done),
            "DataID": one.object_id,
            "ErrTreshold": one.result.get("ErrTreshold", 0),
            "Errcount": one.result.get("errors", 0),
            "ID": one.pk,
            "ImportOptions": one.result.get("ImportOptions", ""),
            "JobEnd": told(one.ended_at),
            "JobStart": told(one.started_at),
            "Method": one.result.get("Method", ""),
            "RequestAt": told(one.created_at),
            "Status": _state(one),
        }
        for one in found
    ]


def _create(call: Call, given: dict[str, Any]) -> Job:
    data = CsvData.objects.filter(workspace=call.workspace, pk=given["DataID"]).first()
    if data is None:
        raise unresolved("Data", given["DataID"])
    method = given.get("Method", "addnoforce").lower()
    if method not in csv_work.METHODS:
        raise Invalid(f"MJ08 Property Method is invalid: it is one of {', '.join(csv_work.METHODS)}")
    wanted = given.get("ContactsListID") or given.get("ContactsListAlt")
    if method in csv_work.GLOBAL:
        if wanted:
            raise Wrong(400, _NO_LIST)
        list_id = 0
    else:
        one = lists.list_of(call, wanted or data.list_id)
        if one is None:
            raise unresolved("ContactsList", wanted or "")
        list_id = one.pk
    written = given.get("ImportOptions") or ""
    facts = {
        "DataID": data.pk,
        "ContactsListID": list_id,
        "Method": method,
        "ErrTreshold": max(0, given.get("ErrTreshold", 0)),
        "ImportOptions": written if isinstance(written, str) else json.dumps(written),
        "options": _options(written),
    }
    with transaction.atomic():
        if Job.objects.filter(workspace=call.workspace, kind=csv_work.KIND, object_id=data.pk).exists():
            raise Wrong(400, "This data is taken in by a csvimport already: upload it again.")
        return csv_work.begin(data, facts)


def _options(raw: Any) -> dict[str, Any]:
    """``DateTimeFormat`` and ``FieldNames``; what else stands there changes nothing here."""
    if raw in (None, ""):
        return {}
    try:
        given = json.loads(raw) if isinstance(raw, str) else raw
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise Invalid("MJ08 Property ImportOptions is invalid: an object of JSON, written as a text, is expected")
    given = {str(name).lower(): value for name, value in given.items()}
    fields = given.get("fieldnames") or []
    if not isinstance(fields, list) or not all(isinstance(one, str) for one in fields) or len(fields) > 200:
        raise Invalid("MJ08 Property ImportOptions is invalid: FieldNames is a list of names")
    found: dict[str, Any] = {"fields": fields} if fields else {}
    if given.get("datetimeformat"):
        found["format"] = csv_work.format_of(str(given["datetimeformat"]))
    return found


def _change(call: Call, one: Job, given: dict[str, Any]) -> bool:
    """Stop it; nothing else of it changes."""
    if given.get("Status", "").lower() != "abort":
        return False
    stopped = jobs.cancel(one.pk)
    one.refresh_from_db()
    return stopped


# ---- batchjob


def _batch(call: Call, key: str) -> Job:
    found = _jobs(call).filter(pk=number_of(key) or 0).first()
    if found is None:
        raise missing()
    return found


def _seconds(at: Any) -> int:
    return int(at.timestamp()) if at else 0


def _show_batches(call: Call, found: Sequence[Job]) -> list[dict[str, Any]]:
    rows = []
    for one in found:
        ours = one.kind == csv_work.KIND
        rows.append(
            {
                "APIKeyID": call.key.pk,
                "AliveAt": _seconds(one.ended_at or one.started_at or one.created_at),
                "Blocksize": 0,
                "Count": one.result.get("count", one.total or 0),
                "Current": one.result.get("current", one.done),
                "DataID": one.object_id if ours else 0,
                "ErrTreshold": one.result.get("ErrTreshold", 0),
                "Errcount": one.result.get("errors", len(one.result.get("refused", []))),
                "ID": one.pk,
                "JobEnd": _seconds(one.ended_at),
                "JobStart": _seconds(one.started_at),
                "JobType": "Contacts list import csv" if ours else "Contacts manage many",
                "Method": one.result.get("Method", ""),
                "RefId": one.result.get("ContactsListID", 0) if ours else one.object_id or 0,
                "RequestAt": _seconds(one.created_at),
                "Status": _state(one),
                "Throttle": 0,
            }
        )
    return rows


IMPORT = Resource(
    "csvimport", _imports, _one, _show, Scope.CONTACTS,
    {"DataID": Field(integer, required=True), "ContactsListID": Field(integer), "ContactsListAlt": Field(text),
     "Method": Field(text), "ErrTreshold": Field(integer), "ImportOptions": Field(anything), "Status": Field(text)},
    sorts={"id": ("pk", True)}, create=_create, change=_change,
)  # fmt: skip
BATCH = Resource(
    "batchjob", _jobs, _batch, _show_batches, Scope.CONTACTS, {"Status": Field(text)},
    sorts={"id": ("pk", True)}, change=_change,
)  # fmt: skip
