"""May she be written to, then and now, and why: the sentence, the line behind it, the past of the suppression list."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from envol.accounts.models import Workspace
from envol.consent import acts, gates, ledger, purposes, suppression, why
from envol.consent.ledger import Line
from envol.db import execute, rows

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
KEY = "zoe@lecteurs.example"


def day(n: int) -> datetime:
    return MONDAY + timedelta(days=n)


@pytest.fixture
def person() -> int:
    return secrets.randbits(40)


def ask(workspace: Workspace, person: int | None, key: str, at: datetime | None = None) -> why.Why:
    return why.why(workspace, person, KEY, purposes.get(workspace, key), at=at)


def test_each_moment_has_its_answer_and_its_line(workspace: Workspace, person: int) -> None:
    newsletter = purposes.get(workspace, "newsletter")
    form = acts.evidence(workspace, "line", "formulaire du salon", text=purposes.text(newsletter))
    given = Line(person, newsletter.pk, "granted", "consent", day(0), form.pk, "n° 3")
    ledger.append(workspace.id, [given], at=day(0))
    taken_back = Line(person, newsletter.pk, "withdrawn", "consent", day(9), None, "letter")
    ledger.append(workspace.id, [taken_back], at=day(12))
    before, held, after, now = (ask(workspace, person, "newsletter", at) for at in (day(-1), day(5), day(10), None))
    assert [one.answer.allowed for one in (before, held, after, now)] == [False, True, False, False]
    assert held.permission and (held.permission.block, held.permission.leaf) == (1, 0)
    assert held.sentence("en") == (
        "Yes: “Newsletter” was allowed on 2 March 2026, 10:00 (formulaire du salon; line 0 of block 1)."
    )
    assert "Oui" in held.sentence("fr") and "2 mars 2026" in held.sentence("fr")
    assert before.permission is None and before.sentence("en").startswith("No, not for “Newsletter”: No permission")
    assert after.learnt_later and "It was not known here before 14 March" in after.sentence("en")
    assert not now.learnt_later and "line 0 of block 2" in now.sentence("en")
    assert now.facts()["line"]["state"] == "withdrawn" and now.facts()["sentence"]["fr"].startswith("Non")


def test_a_contract_needs_no_permission_and_a_stranger_gets_no_marketing(workspace: Workspace, person: int) -> None:
    assert "needs no permission" in ask(workspace, person, "transactional").sentence("en")
    assert ask(workspace, None, "newsletter").answer.reason == gates.NO_PERMISSION


def test_what_was_suppressed_then_is_answered_though_it_was_lifted_since(workspace: Workspace, person: int) -> None:
    newsletter = purposes.get(workspace, "newsletter")
    ledger.append(workspace.id, [Line(person, newsletter.pk, "granted", "consent", day(0))])
    suppression.add(workspace.id, KEY, "all", "hard_bounce", "outcome 1/2", at=day(3))
    assert ask(workspace, person, "newsletter").answer.reason == gates.SUPPRESSED
    suppression.lift(workspace.id, KEY, "all", "the mailbox works again")
    assert ask(workspace, person, "newsletter").answer.allowed
    assert ask(workspace, person, "newsletter", day(2)).answer.allowed, "before it"
    assert ask(workspace, person, "newsletter", day(4)).answer.reason == gates.SUPPRESSED, "while it lasted"
    assert rows("SELECT reason FROM consent_suppression_past WHERE workspace_id = %s", [workspace.id]) == [
        ("hard_bounce",)
    ]
    execute("UPDATE consent_suppression_past SET ended = now() - interval '5 years 1 day', at = at - interval '6 years'"
            " WHERE workspace_id = %s", [workspace.id])  # fmt: skip
    suppression.expire()
    assert not rows("SELECT 1 FROM consent_suppression_past WHERE workspace_id = %s", [workspace.id])


def test_a_day_means_its_end_and_the_future_is_refused(workspace: Workspace) -> None:
    assert why.read_moment("2026-03-02", workspace).isoformat() == "2026-03-02T23:59:59.999999+01:00"
    assert why.read_moment("2026-03-02T09:00Z", workspace) == MONDAY
    assert why.read_moment(workspace.today().isoformat(), workspace) <= timezone.now() + timedelta(days=1)
    for wrong, said in (("yesterday", "Write a day"), ("2999-01-01", "future"), ("", "Write a day")):
        with pytest.raises(ValueError, match=said):
            why.read_moment(wrong, workspace)
