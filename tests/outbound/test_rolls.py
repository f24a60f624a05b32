"""Traffic by hour: counted where it happens, written in one statement, read without the ledger."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from envol import db
from envol.accounts.models import Workspace
from envol.outbound import books, lease, metrics, rolls, settle
from envol.outbound.settle import DEFERRED, Result
from tests.outbound.helpers import queued

pytestmark = pytest.mark.usefixtures("empty_database")


@pytest.fixture(autouse=True)
def _nothing_left(monkeypatch: pytest.MonkeyPatch) -> None:
    rolls.forget()
    monkeypatch.setattr(rolls, "EVERY", 1e9)  # only when a test says so


def settled(workspace: Workspace) -> None:
    queued(workspace, 5)
    rows = [row for one in lease.lease("test", 100, seconds=60) for row in one.rows]
    mx = "gmail-smtp-in.l.google.com"
    results = [
        Result(rows[0], "delivered", "", 250, None, "OK", mx, octets=700),
        Result(rows[1], "delivered", "", 250, None, "OK", "mx.lecteurs.example", octets=300),
        Result(rows[2], DEFERRED, "greylisted", 451, None, "Later", mx),
        Result(rows[3], "bounced", "unknown_user", 550, None, "No", mx),
        Result(rows[4], DEFERRED, "warm_up", hold=60.0),
    ]
    settle.settle(results)
    settle.settle(results[:1])  # told again: counted once


def test_outcomes_are_counted_by_receiver_and_domain_once(workspace: Workspace) -> None:
    settled(workspace)
    since = timezone.now() - timedelta(hours=2)
    assert rolls.sums("out", since, [workspace.pk]) == []  # nothing is written for each batch
    rolls.flush()
    rolls.flush()
    assert rolls.sums("out", since, [workspace.pk]) == [
        ("google", "bounced", 1, 0),
        ("google", "deferred", 1, 0),
        ("google", "delivered", 1, 700),
        ("other", "delivered", 1, 300),
    ]
    found = {line.outcome: line.n for line in rolls.sums("domain", since, [workspace.pk])}
    assert found == {"delivered": 2, "deferred": 1, "bounced": 1}
    assert rolls.sums("rejected", since, [workspace.pk]) == [("lecteurs.example", "unknown_user", 1, 0)]
    assert rolls.sums("out", since, [workspace.pk + 1]) == []


def test_counts_of_two_processes_add_up(workspace: Workspace) -> None:
    for _ in range(2):
        rolls.count("key", "7", "accepted", workspace=workspace.pk, n=3, octets=10)
        rolls.flush()
    assert rolls.sums("key", timezone.now() - timedelta(hours=2), [workspace.pk]) == [("7", "accepted", 6, 20)]
    ((at, outcome, n, octets),) = rolls.hours("key", timezone.now() - timedelta(hours=2), [workspace.pk], "UTC", "hour")
    assert (at.minute, outcome, n, octets) == (0, "accepted", 6, 20)


def test_what_cannot_be_written_is_kept_for_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*given: object) -> int:
        raise OperationalError("away")

    rolls.count("auth", "192.0.2.1", "refused")
    with monkeypatch.context() as patch:
        patch.setattr(rolls.db, "execute", away)
        rolls.flush()
    rolls.count("auth", "192.0.2.1", "refused")
    rolls.flush()
    assert rolls.sums("auth", timezone.now() - timedelta(hours=2), [0]) == [("192.0.2.1", "refused", 2, 0)]


def test_too_many_subjects_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolls, "MOST", 10)
    for n in range(30):
        rolls.count("in", f"192.0.2.{n}", "submission: served")
    rolls.flush()
    found = rolls.sums("in", timezone.now() - timedelta(hours=2), [0])
    assert (found[0].subject, found[0].n, len(found)) == (rolls.OTHERS, 20, 11)


def test_old_figures_go_and_peers_go_sooner(workspace: Workspace) -> None:
    for series in ("in", "out"):
        rolls.count(series, "x", "y")
    rolls.flush()
    db.execute("UPDATE outbound_roll SET hour = now() - interval '40 days'")
    assert rolls.sweep() == 1
    assert db.rows("SELECT series FROM outbound_roll") == [("out",)]
    assert db.value("SELECT sum(n) FROM outbound_total") == 2  # what was counted since ever never falls


def test_metrics_tell_totals_queue_and_books_and_no_address(workspace: Workspace) -> None:
    settled(workspace)
    rolls.count("auth", "192.0.2.77", "refused")
    rolls.count("said", "550 5.7.1", "submission")
    rolls.flush()
    books.look()
    text = metrics.text()
    for line in (
        'envol_messages_total{provider="google",state="delivered"} 1',
        'envol_message_octets_total{provider="other",state="delivered"} 300',
        'envol_sign_ins_total{result="refused"} 1',
        'envol_refusals_total{code="550 5.7.1",service="submission"} 1',
        'envol_rejections_total{cause="unknown_user"} 1',
        'envol_queue_recipients{state="deferred"} 2',
        "envol_books_findings 0",
        "# TYPE envol_messages_total counter",
    ):
        assert line in text.splitlines(), line
    assert "192.0.2.77" not in text and "lecteurs.example" not in text and "@" not in text


def test_metrics_tell_a_day_by_account_key_and_domain_and_nobodys_own(workspace: Workspace) -> None:
    for series, subject, outcome, n in (
        ("out", "google", "delivered", 7),
        ("key", "4711", "accepted", 5),
        ("auth_key", "4711", "refused", 6),
        ("sender", "zoe@boutique.example", "accepted", 5),
        ("sender", "luc@boutique.example", "accepted", 2),
        ("domain", "many.example", "delivered", 90),
        ("domain", "many.example", "bounced", 10),
        ("domain", "family-durand.example", "delivered", 99),
        ("rejected", "many.example", "unknown_user", 100),
    ):
        rolls.count(series, subject, outcome, workspace=workspace.pk, n=n)
    rolls.flush()
    lines = metrics.text().splitlines()
    for line in (
        f'envol_day_messages{{workspace="{workspace.name}",state="delivered"}} 7',
        f'envol_day_handed_in{{workspace="{workspace.name}",key="4711",result="accepted"}} 5',
        f'envol_day_failed_sign_ins{{workspace="{workspace.name}",key="4711",result="refused"}} 6',
        'envol_day_sender_messages{domain="boutique.example",result="accepted"} 7',
        'envol_day_domain_messages{domain="many.example",state="delivered"} 90',
        'envol_day_domain_messages{domain="many.example",state="bounced"} 10',
        'envol_day_domain_rejections{domain="many.example",cause="unknown_user"} 100',
    ):
        assert line in lines, line
    assert not any("durand" in line or "zoe" in line for line in lines), "below a hundred a domain may be a person's"
    db.execute("UPDATE outbound_roll SET hour = hour - interval '25 hours'")
    assert not any("boutique.example" in line for line in metrics.text().splitlines())
