"""What the gates answer by themselves; that both forms agree is shown in tests/contacts."""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime, timedelta

import pytest

from envol.accounts.models import Workspace
from envol.accounts.workspaces import create_workspace
from envol.consent import gates, ledger, measuring, purposes, silence, suppression
from envol.consent.gates import LEVELS, Answer, Tracking, may_send, may_use, refusal_sql, tracking_level
from envol.consent.ledger import Line
from envol.consent.models import Permission
from envol.db import execute, rows, value

ZOE = "zoe@lecteurs.example"
T0 = datetime(2026, 1, 5, tzinfo=UTC)
OPENS, CLICKS = 1, 2


@pytest.fixture
def zoe() -> int:
    return secrets.randbits(40)


def answer(workspace: Workspace, contact: int, state: str, key: str = "newsletter", days: int = 0) -> None:
    since = T0 + timedelta(days=days)
    ledger.append(workspace.id, [Line(contact, purposes.get(workspace, key).pk, state, "consent", since)])


def ask(workspace: Workspace, contact: int, key: str = "newsletter", now: datetime | None = None) -> Answer:
    return may_send(workspace.id, contact, ZOE, purposes.get(workspace, key).pk, now=now)


@pytest.mark.parametrize(
    ("state", "allowed", "reason"),
    [
        ("granted", True, ""),
        ("requested", False, "no_permission"),
        ("withdrawn", False, "withdrawn"),
        ("refused", False, "withdrawn"),
        ("objected", False, "withdrawn"),
    ],
)
def test_only_a_granted_answer_lets_mail_leave(
    workspace: Workspace, zoe: int, state: str, allowed: bool, reason: str
) -> None:
    answer(workspace, zoe, state)
    row = Permission.objects.get(contact_id=zoe)
    assert ask(workspace, zoe) == (allowed, reason, row.id)
    assert ask(workspace, zoe, "offers") == (False, "no_permission", None)  # per purpose, never per person


def test_the_gate_answers_for_any_past_moment(workspace: Workspace, zoe: int) -> None:
    answer(workspace, zoe, "granted", days=0)
    answer(workspace, zoe, "withdrawn", days=10)
    answer(workspace, zoe, "granted", days=20)
    for days, reason in ((-1, "no_permission"), (0, ""), (9, ""), (10, "withdrawn"), (19, "withdrawn"), (20, "")):
        assert ask(workspace, zoe, now=T0 + timedelta(days=days)).reason == reason
    suppression.add(workspace.id, ZOE, "marketing", "objection", "page", at=T0 + timedelta(days=25))
    assert ask(workspace, zoe, now=T0 + timedelta(days=24)).allowed
    assert ask(workspace, zoe, now=T0 + timedelta(days=25)).reason == "objected"
    assert ask(workspace, zoe).reason == "objected"


def test_suppression_beats_permission_and_objection_spares_what_an_order_needs(workspace: Workspace, zoe: int) -> None:
    answer(workspace, zoe, "granted")
    suppression.add(workspace.id, ZOE, "marketing", "objection", "page")
    assert ask(workspace, zoe).reason == "objected"
    assert ask(workspace, zoe, "transactional").allowed
    suppression.add(workspace.id, ZOE, "all", "hard_bounce", "outcome 1/2")
    assert ask(workspace, zoe).reason == "suppressed"
    assert ask(workspace, zoe, "transactional").reason == "suppressed"


def test_marketing_rests_while_a_complaint_is_open(workspace: Workspace, zoe: int) -> None:
    answer(workspace, zoe, "granted")
    silence.open(workspace.id, zoe, "colis perdu", since=T0 + timedelta(days=30))
    assert ask(workspace, zoe).reason == "silenced"
    assert ask(workspace, zoe, "transactional").allowed
    assert ask(workspace, zoe, now=T0 + timedelta(days=29)).allowed
    assert ask(workspace, zoe, now=T0 + timedelta(days=31)).reason == "silenced"
    with pytest.raises(ValueError, match="already"):
        silence.open(workspace.id, zoe, "une autre")
    silence.close(workspace.id, zoe)
    assert ask(workspace, zoe).allowed
    with pytest.raises(ValueError, match="meanwhile"):
        silence.close(workspace.id, zoe)
    for nothing in ("", "  ", "x" * 301):
        with pytest.raises(ValueError):
            silence.open(workspace.id, zoe, nothing)


def test_a_refusal_of_transactional_mail_itself_is_honoured(workspace: Workspace, zoe: int) -> None:
    answer(workspace, zoe, "refused", "transactional")
    assert ask(workspace, zoe, "transactional").reason == "withdrawn"


def test_whatever_is_unknown_or_fails_refuses(workspace: Workspace, zoe: int, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(workspace, zoe, "granted")
    newsletter = purposes.get(workspace, "newsletter").pk
    other = create_workspace(workspace.name + "-other")
    no = Answer(False, "restricted", None)
    assert may_send(workspace.id, zoe, ZOE, newsletter).allowed
    assert may_send(workspace.id, zoe, ZOE, newsletter, channel="sms") == no
    assert may_send(workspace.id, zoe, ZOE, 0) == no
    assert may_send(other.id, zoe, ZOE, newsletter) == no  # a purpose of somebody else
    assert may_send(workspace.id, zoe, "", newsletter) == no
    assert may_send(workspace.id, "her", ZOE, newsletter) == no  # type: ignore[arg-type]  # the query itself fails
    assert may_send(0, zoe, ZOE, newsletter) == no  # no such workspace, so no key
    monkeypatch.setattr(gates, "rows", lambda *a: [("marketing", 1, "perhaps", [], False, False)])
    assert not may_send(workspace.id, zoe, ZOE, newsletter).allowed


def test_a_row_this_version_does_not_understand_refuses(workspace: Workspace, zoe: int) -> None:
    answer(workspace, zoe, "granted")
    known = value(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'consent_permission_state_check'"
    )
    execute("ALTER TABLE consent_permission DROP CONSTRAINT consent_permission_state_check")
    try:
        execute("UPDATE consent_permission SET state = 'perhaps' WHERE contact_id = %s", [zoe])
        assert ask(workspace, zoe).reason == "restricted"
    finally:
        execute("DELETE FROM consent_permission WHERE state = 'perhaps'")
        execute(f"ALTER TABLE consent_permission ADD CONSTRAINT consent_permission_state_check {known}")


def test_a_missing_or_null_row_is_refused_by_the_set_based_gate() -> None:
    empty = "(VALUES (NULL::bigint, NULL::bigint, NULL::bigint, NULL::boolean, NULL::boolean, NULL::boolean))"
    broken = "(VALUES (1::bigint, NULL::bigint, NULL::bigint, false, false, false))"
    for values, reason in ((empty, "restricted"), (broken, "no_permission")):
        found = rows(
            f"SELECT {refusal_sql('x', 2)} FROM {values} x (id, allowed, refused, suppressed, objected, silenced)"
        )
        assert found == [(reason,)]
    for alias, bit in (("c; drop", 2), ("c", 62), ("c", -1)):
        with pytest.raises(ValueError):
            refusal_sql(alias, bit)


def test_each_reason_has_a_sentence_in_both_languages() -> None:
    for reason in gates.REASONS:
        assert gates.explain(reason, "fr") != gates.explain(reason, "en")
    assert gates.explain("something new") == gates.explain("restricted")


def test_a_property_is_shown_only_for_a_purpose_the_person_allowed() -> None:
    assert may_use(0b100, 0b110)
    assert not may_use(0b1000, 0b110)
    assert not may_use(-1, 0)  # serves nothing: never shown
    assert not may_use(0, 0b10000)
    assert may_use(0, 0b10000, transactional=0b10000)


def test_measuring_is_individual_only_for_those_who_agreed(workspace: Workspace) -> None:
    assert tracking_level(workspace, 0, 0) == Tracking("none", "aggregate")
    assert tracking_level(workspace, OPENS, 0) == Tracking("individual", "aggregate")
    assert tracking_level(workspace, CLICKS, 0) == Tracking("none", "individual")
    assert tracking_level(workspace, OPENS | CLICKS, OPENS | CLICKS) == Tracking("none", "none")
    workspace.opens_mode, workspace.clicks_mode = "last_open_day", "last_open_day"
    assert tracking_level(workspace, OPENS | CLICKS, 0) == Tracking("last_open_day", "aggregate")
    workspace.opens_mode = workspace.clicks_mode = "none"
    assert tracking_level(workspace, OPENS | CLICKS, 0) == Tracking("none", "none")


def test_no_setting_measures_individually_who_said_nothing(workspace: Workspace) -> None:
    workspace.opens_unknown = workspace.clicks_unknown = "individual"
    assert tracking_level(workspace, 0, 0, "FR") == Tracking("last_open_day", "aggregate")
    for country in (None, "", "DE", "??"):
        assert tracking_level(workspace, 0, 0, country) == Tracking("none", "aggregate"), "unknown is the strictest"
    assert tracking_level(workspace, 0, 0, "IT").opens == "aggregate"
    workspace.opens_unknown = "aggregate"
    assert tracking_level(workspace, 0, 0, "FR").opens == "aggregate", "the workspace only makes it stricter"
    assert tracking_level(workspace, 0, 0).opens == "none"
    assert tracking_level(workspace, 0, 2, "FR") == Tracking("aggregate", "none"), "who refused is not measured at all"


def test_the_table_of_countries_is_dated_and_the_line_without_country_is_the_strictest() -> None:
    assert measuring.without_consent("FR", date(2026, 4, 13)).country == ""
    assert measuring.without_consent("fr", date(2026, 4, 14)).opens == "last_open_day"
    assert measuring.without_consent("IT", date(2026, 10, 28)).opens == "none"
    assert measuring.without_consent("IT", date(2026, 10, 29)).opens == "aggregate"
    assert measuring.without_consent("FR", date(2000, 1, 1)).clicks == "none", "before any line nothing is known"
    other = measuring.without_consent(None)
    for rule in measuring.table():
        assert rule.text and rule.dated and (rule.authority or not rule.country), "each line names its source"
        for level, strictest in ((rule.opens, other.opens), (rule.clicks, other.clicks)):
            assert LEVELS.index(strictest) <= LEVELS.index(level) < LEVELS.index("individual")
    assert [rule.country for rule in measuring.in_force(date(2026, 11, 26))] == ["FR", "IT", ""]


def test_a_broken_setting_measures_nothing(workspace: Workspace) -> None:
    workspace.opens_mode = workspace.clicks_mode = "everything"
    assert tracking_level(workspace, OPENS | CLICKS, 0) == Tracking("none", "none")
    assert tracking_level(workspace, None, None) == Tracking("none", "none")  # type: ignore[arg-type]
