"""importlist: the people of one list put on another, or taken off its mail. Nobody's permission changes by it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import transaction

from envol.accounts.jobs import Progress
from envol.accounts.models import ApiKey, Job
from envol.api import declared
from envol.api.rest import lists
from envol.api.rest.ground import Answer, Call, Wrong, envelope, missing, number_of
from envol.api.rest.values import told
from envol.contacts import subscriptions
from envol.contacts.models import Contact, List, Membership

KIND = "api.importlist"
ACTIONS = ("addforce", "addnoforce", "unsub", "duplicate-override", "duplicate-no-override")
_PIECE = 5_000
AT_ONCE = 2_000  # people, while the caller waits


def begin(call: Call, target: List, behind: str) -> list[Any]:
    action = str(call.body.get("action") or "").strip().lower()
    source = lists.list_of(call, call.body.get("listid") or call.body.get("listalt"))
    wrong: dict[str, Any] = {}
    if source is None:
        wrong["ListID"] = "listID missing or not valid"
    if action not in ACTIONS:
        wrong["Action"] = f"Invalid action: {action}"
    if wrong or source is None:
        raise Wrong(400, "Object properties invalid", wrong)
    facts = {"source": source.pk, "action": action, "key": call.key.pk}
    people = Membership.objects.filter(list_id=source.pk).count()
    job = Job.objects.create(workspace=call.workspace, kind=KIND, object_id=target.pk, result=facts, total=people)
    if people <= AT_ONCE:
        with Progress(job.pk) as progress:
            work(job, progress)
    else:
        from envol.api import tasks  # the queue: only where something is put into it

        transaction.on_commit(lambda: tasks.copy_list.defer(job_id=job.pk))
    return [{"JobID": job.pk}]


def show(call: Call, target: List, behind: str) -> Answer:
    mine = Job.objects.filter(workspace=call.workspace, kind=KIND, object_id=target.pk)
    job = mine.filter(pk=number_of(behind) or 0).first()
    if job is None:
        raise missing()
    row = {
        "Action": job.result.get("action", ""),
        "Count": job.done,
        "Error": job.error,
        "ErrorFile": "",
        "JobEnd": told(job.ended_at),
        "JobStart": told(job.started_at),
        "ListID": job.result.get("source", 0),
        "Status": lists.STATES[job.state],
    }
    return Answer(200, envelope([row]).body)


def work(job: Job, progress: Progress) -> None:
    """Again from the beginning when a worker died: doing it twice is doing it once."""
    facts = progress.result = dict(job.result)
    target = List.objects.get(workspace=job.workspace, pk=job.object_id or 0)
    key = ApiKey.objects.select_related("workspace").get(workspace=job.workspace, pk=facts["key"])
    source_id = declared.source_of(key, declared.of(key)).pk
    done = 0
    for on, gone in _people(job.workspace_id, facts["source"]):
        _act(target, facts["action"], on, gone, source_id)
        done += len(on) + len(gone)
        progress.at(done, job.total)
    progress.at(done, done, force=True)


def _people(workspace_id: int, list_id: int) -> Iterator[tuple[list[str], list[str]]]:
    """Keys of those who are on the list, and of those who unsubscribed from it, some thousands at a time."""
    rows = subscriptions.listed(workspace_id).filter(list_id=list_id).order_by("contact_id")
    after = 0
    while some := list(rows.filter(contact_id__gt=after).values_list("contact_id", "until")[:_PIECE]):
        after = some[-1][0]
        keys = dict(Contact.objects.filter(pk__in=[who for who, _ in some]).values_list("pk", "email_key"))
        yield (
            [keys[who] for who, until in some if until is None and who in keys],
            [keys[who] for who, until in some if until is not None and who in keys],
        )


def _act(target: List, action: str, on: list[str], gone: list[str], source_id: int) -> None:
    if action == "addforce":
        subscriptions.rejoin_many(target, on, source_id)
    elif action == "addnoforce":
        subscriptions.join_many(target, on, source_id)
    elif action == "unsub":
        subscriptions.unsubscribe_many(target, on + gone, source_id)
    elif action == "duplicate-override":
        subscriptions.rejoin_many(target, on, source_id)
        subscriptions.unsubscribe_many(target, gone, source_id)
    else:
        subscriptions.join_many(target, on, source_id)
        there = subscriptions.listed(target.workspace_id).filter(list_id=target.pk).values("contact_id")
        known = set(Contact.objects.filter(pk__in=there, email_key__in=gone).values_list("email_key", flat=True))
        subscriptions.unsubscribe_many(target, [one for one in gone if one not in known], source_id)
