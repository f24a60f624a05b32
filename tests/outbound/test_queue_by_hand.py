"""What waits is told by site and answer, tried at once or cancelled by hand; the books stay right."""

from __future__ import annotations

import pytest
from django.utils import timezone

from envol import db
from envol.accounts.models import JournalEntry, Workspace
from envol.accounts.workspaces import create_workspace
from envol.outbound import lease, mail_log, metrics, queue, settle, states
from envol.outbound.settle import DEFERRED, Result
from tests.outbound.helpers import queued

pytestmark = pytest.mark.usefixtures("empty_database")


def put_off(workspace: Workspace) -> list[lease.Row]:
    queued(workspace, 4)
    queued(workspace, 1, domain="ailleurs.example")
    leases = lease.lease("test", 100, seconds=60)
    rows = sorted((row for one in leases for row in one.rows), key=lambda row: (row.site != "lecteurs.example", row.no))
    settle.settle([Result(row, DEFERRED, "greylisted", 451, "4.7.1", "Later") for row in rows[:3]])
    settle.settle([Result(rows[4], DEFERRED, "mailbox_busy", 450, "4.2.0", "Busy")])
    lease.release(leases)
    return rows


def test_what_waits_is_told_by_site_and_answer(workspace: Workspace) -> None:
    put_off(workspace)
    first, second = queue.deferred(workspace.pk)
    assert (first.site, first.cause, first.code, first.enhanced, first.people) == (
        "lecteurs.example", "greylisted", 451, "4.7.1", 3,
    )  # fmt: skip
    assert (second.site, second.people, second.leased) == ("ailleurs.example", 1, 0)
    assert second.next_at > timezone.now()
    (untried,) = queue.waiting(workspace.pk)
    assert untried.kind == "campaign" and untried.state == "sending"
    other = create_workspace("other", title="Disques")
    assert queue.deferred(other.pk) == [] and queue.waiting(other.pk) == []


def test_the_age_of_what_waits_is_the_same_by_workspace_and_in_the_metrics(workspace: Workspace) -> None:
    put_off(workspace)
    db.execute("UPDATE outbound_retry SET first_at = now() - interval '2 hours' WHERE site = 'ailleurs.example'")
    found = queue.ages(workspace.pk)
    bands = dict(zip([name for name, _ in queue.BANDS], found["deferred"].bands, strict=False))
    assert (found["deferred"].people, bands["5m"], bands["6h"]) == (4, 3, 1)
    assert 7200 <= found["deferred"].oldest < 7300
    assert found["queued"].people + found["leased"].people == 4, "a chunk counts whole until it is done"
    db.execute("UPDATE outbound_chunk SET due = now() + interval '1 hour'")
    later = queue.ages(workspace.pk)["queued"]
    assert (later.people, later.later, later.oldest, sum(later.bands)) == (4, 4, 0.0, 0)
    other = create_workspace("other", title="Disques")
    assert {one.people for one in queue.ages(other.pk).values()} == {0}
    lines = metrics.text().splitlines()
    assert 'envol_queue_recipients{state="deferred"} 4' in lines
    assert 'envol_queue_age_recipients{state="deferred",age="6h"} 1' in lines
    assert 'envol_queue_age_recipients{state="queued",age="later"} 4' in lines


def test_tried_at_once_only_what_was_meant(workspace: Workspace) -> None:
    put_off(workspace)
    other = create_workspace("other", title="Disques")
    assert queue.try_now(other.pk, "lecteurs.example", "greylisted", actor="command") == 0
    assert queue.try_now(workspace.pk, "lecteurs.example", "greylisted", actor="command") == 3
    due = db.rows("SELECT site, count(*) FROM outbound_retry WHERE due <= now() GROUP BY 1")
    assert due == [("lecteurs.example", 3)]
    noted = JournalEntry.objects.get(workspace=workspace, action="queue.tried")
    assert noted.facts == {"site": "lecteurs.example", "cause": "greylisted", "people": 3}


def test_cancelled_is_final_and_nobody_elses(workspace: Workspace) -> None:
    rows = put_off(workspace)
    db.execute("UPDATE outbound_retry SET due = now() WHERE no = %s", [rows[0].no])
    (held,) = [row for one in lease.lease("test", 1, seconds=60) for row in one.rows]
    assert queue.cancel(workspace.pk, "lecteurs.example", "greylisted", actor="command") == 2
    assert db.rows("SELECT state, cause, code FROM outbound_outcome") == [("cancelled", "by_hand", 451)] * 2
    assert settle.settle([Result(held, "delivered", "", 250, None, "OK")]) == []  # in a courier's hands it goes on
    assert states.invariants() == []


def test_one_message_is_tried_or_cancelled(workspace: Workspace) -> None:
    rows = put_off(workspace)
    waits, untried = mail_log.entry(workspace.pk, *rows[1].key), mail_log.entry(workspace.pk, *rows[3].key)
    assert waits is not None and untried is not None and (waits.state, untried.state) == ("deferred", "queued")
    assert not queue.try_one_now(workspace.pk, untried, actor="command")
    assert queue.try_one_now(workspace.pk, waits, actor="command")
    assert queue.cancel_one(workspace.pk, untried, actor="command")
    assert queue.cancel_one(workspace.pk, waits, actor="command")
    assert not queue.cancel_one(workspace.pk, waits, actor="command")
    left = {row.no for one in lease.lease("again", 100, seconds=60) for row in one.rows}
    assert not left & {rows[1].no, rows[3].no}
    assert states.invariants() == []
