"""Totals of a sending are added up as things happen, and always say what the rows say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from envol import db
from envol.accounts.models import Workspace
from envol.outbound import states
from envol.outbound.models import Sending


@pytest.fixture
def sending(workspace: Workspace) -> Iterator[Any]:
    """A sending whose rows no courier made: gone afterwards, because other tests look at all books together."""
    made = Sending.objects.create(workspace=workspace, kind="campaign", state="sending")
    yield made
    for table in ("outbound_outcome", "outbound_send", "outbound_tally"):
        db.execute(f"DELETE FROM {table} WHERE sending_id = %s", [made.pk])


def counted(sending_id: int) -> dict[str, int]:
    """What the rows say, one by one."""
    found = dict(db.rows("SELECT state, count(*) FROM outbound_outcome WHERE sending_id = %s GROUP BY 1", [sending_id]))
    return {"accepted": db.value("SELECT count(*) FROM outbound_send WHERE sending_id = %s", [sending_id]), **found}


def add(sending: Any, people: int, site: str) -> None:
    db.execute(
        "INSERT INTO outbound_send (sending_id, no, contact_id, address, site, chunk)"
        " SELECT %s, n, n, 'p' || n || '@' || %s, %s, 1 FROM (SELECT coalesce(max(no), 0) AS last FROM outbound_send"
        " WHERE sending_id = %s) x, generate_series(x.last + 1, x.last + %s) n",
        [sending.pk, site, site, sending.pk, people],
    )


def end(sending: Any, state: str, lo: int, hi: int, cause: str = "") -> None:
    db.execute(
        "INSERT INTO outbound_outcome (sending_id, no, state, attempts, cause, code, reply)"
        " SELECT %s, n, %s, 1, %s, 250, 'ok' FROM generate_series(%s, %s) n ON CONFLICT DO NOTHING",
        [sending.pk, state, cause, lo, hi],
    )


def test_totals_follow_every_statement(sending: Any) -> None:
    add(sending, 300, "a.example")
    add(sending, 50, "b.example")
    end(sending, "delivered", 1, 120)
    end(sending, "bounced", 121, 130, "unknown_user")
    end(sending, "delivered", 100, 125)  # a repeat writes nothing, and counts nothing
    db.execute("DELETE FROM outbound_outcome WHERE sending_id = %s AND no = 7", [sending.pk])
    db.execute(
        "UPDATE outbound_outcome SET state = 'bounced', cause = 'unknown_user' WHERE sending_id = %s AND no = 8",
        [sending.pk],
    )
    db.execute(
        "UPDATE outbound_outcome SET state = 'delivered', cause = '' WHERE sending_id = %s AND no = 8", [sending.pk]
    )
    found = states.counts(sending.pk)
    assert {k: v for k, v in found.items() if v and k != "queued"} == counted(sending.pk)
    assert counted(sending.pk) == {"accepted": 350, "delivered": 119, "bounced": 10}
    by_site = {row["site"]: row for row in db.dicts(db.sql("outbound", "report_sites"), {"sendings": [sending.pk]})}
    assert (by_site["a.example"]["accepted"], by_site["a.example"]["waiting"]) == (300, 171)
    assert by_site["b.example"]["waiting"] == 50
    causes = db.rows(db.sql("outbound", "report_causes"), {"sendings": [sending.pk]})
    assert causes == [("bounced", "unknown_user", 10, "ok")]


def test_a_statement_that_is_taken_back_leaves_no_total(sending: Any) -> None:
    from django.db import transaction

    add(sending, 10, "a.example")
    try:
        with transaction.atomic():
            end(sending, "delivered", 1, 10)
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert states.counts(sending.pk)["delivered"] == 0


def test_folding_changes_no_total_and_leaves_few_rows(sending: Any) -> None:
    add(sending, 200, "a.example")
    for no in range(1, 121):
        end(sending, "delivered", no, no)
    before = states.counts(sending.pk)
    rows = "SELECT count(*) FROM outbound_tally WHERE sending_id = %s"
    assert db.value(rows, [sending.pk]) == 121
    states.fold_tallies(most=50)
    assert db.value(rows, [sending.pk]) <= 1 + 3  # accepted, and at most a few minutes
    assert states.counts(sending.pk) == before


def test_a_sending_that_ended_while_no_worker_ran_is_folded_by_night(sending: Any) -> None:
    add(sending, 200, "a.example")
    for no in range(1, 121):
        end(sending, "delivered", no, no)
    db.execute("UPDATE outbound_sending SET state = 'sent', ended_at = now() - interval '3 days' WHERE id = %s",
               [sending.pk])  # fmt: skip
    before, rows = states.counts(sending.pk), "SELECT count(*) FROM outbound_tally WHERE sending_id = %s"
    states.fold_tallies(most=50)
    assert db.value(rows, [sending.pk]) == 121, "each five seconds only what moves is read"
    states.fold_tallies(most=50, within=timedelta(days=400))
    assert db.value(rows, [sending.pk]) <= 1 + 3 and states.counts(sending.pk) == before


def test_a_wrong_total_is_found(sending: Any) -> None:
    add(sending, 3, "a.example")
    db.execute("UPDATE outbound_tally SET n = n + 1 WHERE sending_id = %s", [sending.pk])
    wrong = [sentence for sentence in states.invariants() if sentence.startswith("Tallies")]
    assert len(wrong) == 1 and wrong[0].endswith(f"1, for example {sending.pk}.")
