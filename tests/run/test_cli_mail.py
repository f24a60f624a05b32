"""`envol mail log`, `show` and `resend` over the database of the tests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from envol import db
from envol.accounts.models import Workspace
from envol.outbound import domains
from envol.outbound.accept import Outgoing, accept_messages
from envol.run import cli_mail

pytestmark = pytest.mark.usefixtures("empty_database")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(cli_mail, "opened", lambda data: None)

    def envol(*words: str, code: int = 0) -> Any:
        done = CliRunner().invoke(cli_mail.mail, [*words, "--json"])
        assert done.exit_code == code, done.output
        return json.loads(done.stdout) if not code else done.output

    return envol


def test_a_message_is_found_told_and_sent_again(workspace: Workspace, run: Any) -> None:
    domains.add(workspace, "boutique.example", trusted=True)
    made = accept_messages(
        [Outgoing(workspace.pk, ("", "a@boutique.example"), [("", f"c{n}@x.example")], f"Reçu {n}", "x") for n in "12"]
    )
    db.execute(
        "INSERT INTO outbound_outcome (sending_id, no, state, attempts, code, reply) VALUES (%s, %s, 'delivered', 1,"
        " 250, 'OK')",
        [*made[0].recipients[0]],
    )
    assert [one["subject"] for one in run("log")] == ["Reçu 2", "Reçu 1"]
    assert [one["subject"] for one in run("log", "--most", "1")] == ["Reçu 2"]
    assert [one["to"] for one in run("log", "--state", "delivered")] == ["c1@x.example"]
    assert run("log", "c2@x.example", "--until", "2020-01-01") == []
    told = run("show", str(made[0].message_id))
    assert [step["what"] for step in told["history"]] == ["accepted", "delivered"]
    again = run("resend", told["id"])["id"]
    assert run("show", again)["subject"] == "Reçu 1"
    assert "still on its way" in run("resend", again, code=1)
    assert "Several" in run("show", "Reçu", code=2)
    assert "no state" in run("log", "--state", "lost", code=2)
