"""Single opens and clicks, as programs ask for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from envol.accounts.workspaces import create_workspace
from envol.events.models import Kind
from envol.events.writing import NewEvent, record
from tests.api.program import Program
from tests.api.test_webhooks import campaign


@pytest.fixture
def program(workspace: Any) -> Program:
    return Program(workspace)


def test_opens_and_clicks_one_by_one(program: Program) -> None:
    sending, luc = campaign(program.workspace, "luc@lecteurs.example")
    past = datetime.now(UTC) - timedelta(days=3)
    of = program.workspace.pk
    record(
        [
            NewEvent(of, Kind.OPENED, luc, sending),
            NewEvent(of, Kind.OPENED, luc, sending, at=past),
            NewEvent(of, Kind.OPENED, None, sending),
            NewEvent(of, Kind.OPENED, luc, sending, machine="agent"),
            NewEvent(of, Kind.CLICKED, luc, sending, 1),
        ]
    )
    (opened,) = program.rows("openinformation")
    number = (1 << 62) | sending << 36 | luc
    assert opened == {
        "ArrivedAt": opened["ArrivedAt"], "CampaignID": 5, "ContactID": luc, "ID": opened["ID"], "MessageID": number,
        "OpenedAt": opened["OpenedAt"], "UserAgentFull": "", "UserAgentID": 0,
    }  # fmt: skip
    since = int((past - timedelta(days=1)).timestamp())
    for query, many in (
        (f"EventFromTs={since}", 2),
        (f"FromTS={since}&ToTS={int(past.timestamp()) + 60}", 1),
        ("CampaignID=5", 1),
        ("CampaignID=6", 0),
        (f"ContactID={luc}", 1),
        ("ContactAlt=luc@lecteurs.example", 1),
        ("ContactAlt=eve@lecteurs.example", 0),
    ):
        assert len(program.rows(f"openinformation?{query}")) == many, query
    (clicked,) = program.rows("clickstatistics?Sort=ID+DESC")
    assert clicked["ContactID"] == luc and clicked["MessageID"] == number and clicked["ClickedDelay"] >= 0
    assert program.rows(f"clickstatistics/{clicked['ID']}") == [clicked]
    assert program("GET", f"openinformation/{clicked['ID']}")[0] == 404
    assert program.rows("openinformation?FromType=1") == program.rows("openinformation?FromID=3") == []
    stranger = Program(create_workspace(f"y{program.workspace.pk}"))
    assert stranger.rows("openinformation") == []
    assert stranger("GET", f"openinformation/{opened['ID']}")[0] == 404
