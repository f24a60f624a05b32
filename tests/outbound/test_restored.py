"""What waited in a restored backup: held, told, let go or cancelled; what comes in anew leaves at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from envol import db
from envol.accounts.models import Workspace
from envol.outbound import domains, mailing, restored, states
from envol.outbound.accept import Outgoing, accept_messages
from envol.outbound.models import MailingList, Post
from envol.run import cli_restored
from tests.edge.test_inbound import Running
from tests.edge.test_inbound_lists import CLUB, LUC, ROSE, ZOE, leaving, written
from tests.edge.test_inbound_lists import club as _club
from tests.edge.test_inbound_lists import inbound as _inbound
from tests.outbound.helpers import queued

pytestmark = pytest.mark.usefixtures("empty_database")
club, inbound = _club, _inbound


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(cli_restored, "opened", lambda data: None)

    def envol(*words: str, code: int = 0) -> Any:
        done = CliRunner().invoke(cli_restored.restored, [*words, "--json"])
        assert done.exit_code == code, done.output
        return json.loads(done.stdout) if not code else done.output

    return envol


def accepted(workspace: Workspace, *addresses: str) -> int:
    """Single messages; the sending they share."""
    written_to = [Outgoing(workspace.pk, ("", "zoe@boutique.example"), [("", one)], "x", "x") for one in addresses]
    return [one.recipients[0] for one in accept_messages(written_to)][0][0]


def held_list() -> restored.Waiting:
    """The list's sending; the letter that asked its moderator about the post waits besides."""
    [held] = [one for one in restored.hold() if one.kind == "list"]
    return held


def test_what_is_cancelled_never_leaves_and_what_comes_later_does(workspace: Workspace, run: Any) -> None:
    domains.add(workspace, "boutique.example", trusted=True)
    old = accepted(workspace, LUC, ROSE)
    assert [(one.sending_id, one.kind, one.people) for one in restored.hold()] == [(old, "transactional", 2)]
    assert leaving() == []
    new = accepted(workspace, ZOE)
    assert new != old and [address for address, _ in leaving()] == [ZOE]
    assert [(one["sending_id"], one["workspace"], one["people"]) for one in run("list")] == [(old, workspace.name, 2)]
    assert run("cancel", str(old)) == {"number": old, "people": 2}
    assert leaving() == [] and run("list") == []
    assert db.rows("SELECT state FROM outbound_outcome WHERE sending_id = %s", [old]) == [("cancelled",)] * 2
    assert "Nothing waits under" in run("cancel", str(old), code=1), "decided once"
    assert states.invariants() == []


def test_who_was_reached_before_the_backup_is_not_counted(workspace: Workspace) -> None:
    domains.add(workspace, "boutique.example", trusted=True)
    old = accepted(workspace, LUC, ROSE)
    db.execute(
        "INSERT INTO outbound_outcome (sending_id, no, state, attempts, reply, code)"
        " SELECT sending_id, no, 'delivered', 1, '250 ok', 250 FROM outbound_send WHERE address = %s",
        [LUC],
    )
    assert [one.people for one in restored.hold()] == [1]
    assert restored.release(old) == 1 and [address for address, _ in leaving()] == [ROSE]


def test_a_list_that_is_cancelled_goes_on_with_later_posts(
    inbound: Running, club: MailingList, workspace: Workspace
) -> None:
    def post(subject: str) -> None:
        inbound.send(CLUB, written(LUC, **{"Subject": subject, "Message-ID": f"<{subject}@poste.example>"}), LUC)
        last = Post.objects.latest("id").pk
        mailing.decide(last, True, ZOE)
        assert mailing.distribute(last) == 2

    post("Avant")
    held = held_list()
    assert held.people == 2 and leaving() == []
    assert restored.cancel(held.sending_id) == 2 and leaving() == []
    post("Depuis")
    sent = leaving()
    assert sorted(address for address, _ in sent) == [LUC, ROSE]
    assert all(b"Depuis" in raw for _, raw in sent), "and the post of before stays cancelled"


def test_a_list_that_is_let_go_sends_what_waited(inbound: Running, club: MailingList) -> None:
    inbound.send(CLUB, written(LUC), LUC)
    mailing.decide(Post.objects.get().pk, True, ZOE)
    mailing.distribute(Post.objects.get().pk)
    held = held_list()
    assert restored.release(held.sending_id) == 2
    assert sorted(address for address, _ in leaving()) == [LUC, ROSE]
    assert "list" not in [one.kind for one in restored.waiting()]


def test_campaigns_are_left_to_their_own_page(workspace: Workspace) -> None:
    made = queued(workspace, 2)
    assert restored.hold() == []
    assert db.value("SELECT state FROM outbound_sending WHERE id = %s", [made.pk]) == "sending"
    with pytest.raises(ValueError, match="Nothing waits under"):
        restored.cancel(made.pk)
