"""Is this transfer lawful? The decision table row by row, on days before and after each decision."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from envol.accounts.models import Workspace
from envol.consent import desk, transfers
from envol.consent.models import Processor

DAY = date(2026, 11, 26)
SIGNED = {"dpa_on": date(2026, 1, 5)}
CLAUSES = {"tool": "scc", "assessed_on": date(2026, 2, 1), "measures": "encrypted, keys held here"}


@pytest.mark.parametrize(
    ("given", "colour", "code"),
    [
        ({"country": "FR"} | SIGNED, "green", "inside"),
        ({"country": "NO"} | SIGNED, "green", "inside"),
        ({"country": "FR"}, "amber", "no_contract"),
        ({"country": "FR", "role": "recipient"}, "green", "inside"),
        ({"country": ""}, "red", "unknown"),
        ({"country": "DE", "parent_country": "US"} | SIGNED, "red", "no_tool"),
        ({"country": "DE", "access_country": "IN"} | SIGNED, "red", "no_tool"),
        ({"country": "DE", "access_country": "CH"} | SIGNED, "green", "adequate"),
        ({"country": "GB"} | SIGNED, "green", "adequate"),
        ({"country": "US"} | SIGNED, "red", "no_tool"),
        ({"country": "US", "tool": "safe_harbor"} | SIGNED, "red", "invalid_tool"),
        ({"country": "US", "tool": "privacy_shield"} | SIGNED, "red", "invalid_tool"),
        ({"country": "US", "tool": "adequacy"} | SIGNED, "red", "no_tool"),
        ({"country": "US", "tool": "dpf"} | SIGNED, "red", "not_looked_up"),
        ({"country": "US", "tool": "dpf", "listed_on": DAY - timedelta(days=31)} | SIGNED, "amber", "contested"),
        ({"country": "US", "tool": "dpf", "listed_on": DAY - timedelta(days=32)} | SIGNED, "amber", "look_again"),
        ({"country": "IN", "tool": "dpf", "listed_on": DAY} | SIGNED, "red", "no_tool"),
        ({"country": "US"} | CLAUSES | SIGNED, "green", "clauses"),
        ({"country": "IN"} | CLAUSES | {"measures": " "} | SIGNED, "amber", "no_measures"),
        ({"country": "IN", "tool": "scc"} | SIGNED, "red", "not_assessed"),
        ({"country": "US"} | CLAUSES | {"reads_clear": True} | SIGNED, "red", "reads_clear"),
        ({"country": "IN", "tool": "bcr", "tool_ref": "A-1", "assessed_on": DAY} | SIGNED, "green", "bcr"),
        ({"country": "IN", "tool": "bcr"} | SIGNED, "red", "bcr_open"),
        ({"country": "IN", "tool": "derogation"} | SIGNED, "red", "derogation"),
    ],
)
def test_each_row_of_the_table(given: dict[str, Any], colour: str, code: str) -> None:
    found = transfers.judge(Processor(name="X", **given), DAY)
    assert (found.colour, found.code) == (colour, code)
    assert found.why and (found.ways or colour == "green")


@pytest.mark.parametrize(
    ("tool", "on", "code"),
    [
        ("safe_harbor", date(2015, 10, 6), "not_looked_up"),
        ("safe_harbor", date(2015, 10, 7), "invalid_tool"),
        ("privacy_shield", date(2020, 7, 16), "not_looked_up"),
        ("privacy_shield", date(2020, 7, 17), "invalid_tool"),
        ("dpf", date(2023, 7, 9), "invalid_tool"),
        ("dpf", date(2023, 7, 10), "not_looked_up"),
    ],
)
def test_a_framework_counts_from_its_first_day_to_its_last(tool: str, on: date, code: str) -> None:
    assert transfers.judge(Processor(name="X", country="US", tool=tool), on).code == code


def test_an_adequacy_that_ends_is_said_half_a_year_before() -> None:
    one = Processor(name="X", country="GB", role="recipient")
    assert transfers.judge(one, date(2031, 6, 30)).code == "adequate"
    assert transfers.judge(one, date(2031, 7, 1)).code == "ends_soon"
    assert transfers.judge(one, date(2031, 12, 28)).code == "no_tool"


def test_a_way_out_is_judged_by_whoever_stands_behind_its_host(workspace: Workspace) -> None:
    ask = transfers.may_lead_to
    assert ask(workspace, "smart_host", "127.0.0.1").code == "own"
    assert ask(workspace, "smart_host", "smtp.relay.example").code == "undeclared"
    one = desk.save_processor(workspace, {"name": "Relay Inc.", "host": "relay.example", "country": "US", **SIGNED})
    assert ask(workspace, "webhook", "smtp.relay.example").colour == transfers.RED
    assert ask(workspace, "webhook", "otherrelay.example").code == "undeclared", "a name that merely ends alike"
    desk.end_processor(one)
    assert ask(workspace, "smart_host", "smtp.relay.example").code == "undeclared"
