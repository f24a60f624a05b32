"""Held for review: the page says why, shows it safely, and lets it go or refuses it, once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from envol import db
from envol.accounts.models import JournalEntry
from envol.events.models import MailRequest
from envol.outbound import held, lease
from envol.outbound.models import Held
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]


@pytest.fixture
def own() -> Shop:
    return open_shop(readers=30)


@pytest.fixture
def sign(as_member: Sign) -> Sign:
    return lambda shop, role: as_member(role, shop)


def row(shop: Shop) -> Held:
    return Held.objects.get(workspace=shop.workspace)


def test_the_page_says_why_and_shows_it_without_fetching_anything(own: Shop, sign: Sign) -> None:
    editor = sign(own, "editor")
    assert "1 sending waits for your look" in editor.get("/").content.decode()
    listed = editor.get("/mail/held").content.decode()
    assert "Votre compte est suspendu" in listed
    assert "what it asks for is done on a page that is not its sender" in listed  # what weighs most
    page = editor.get(f"/mail/held/{row(own).pk}").content.decode()
    assert "it says that an account is in danger" in page
    assert "handed it in. If nobody of yours wrote this" in page
    assert "client9@" in page
    frame = editor.get(f"/mail/held/{row(own).pk}/html")
    assert b"Confirmez" in frame.content
    assert b"p.gif" not in frame.content
    assert "img-src data:" in frame["Content-Security-Policy"]
    assert "script-src 'none'" in frame["Content-Security-Policy"]
    assert sign(own, "viewer").get("/mail/held").status_code == 403


def test_let_go_it_can_be_taken_back_for_a_moment(own: Shop, sign: Sign) -> None:
    editor = sign(own, "editor")
    answer = editor.post(f"/mail/held/{row(own).pk}/decide", {"act": "release"}, follow=True)
    assert "It leaves in 60 seconds." in answer.content.decode()
    assert row(own).decision == "released"
    undo = db.value(
        "SELECT id FROM accounts_undo WHERE kind = 'held.released' AND workspace_id = %s", [own.workspace.pk]
    )
    answer = editor.post(f"/undo/{undo}", follow=True)
    assert "It is held again." in answer.content.decode()
    assert held.waiting(own.workspace).exists()


def test_refused_nobody_gets_it_and_who_comes_second_is_told(own: Shop, sign: Sign) -> None:
    editor, owner = sign(own, "editor"), sign(own, "owner")
    there = f"/mail/held/{row(own).pk}"
    assert "there is no way back" in editor.get(f"{there}?ask=refuse").content.decode()
    answer = editor.post(f"{there}/decide", {"act": "refuse"}, follow=True)
    assert "Refused: 1 person gets nothing." in answer.content.decode()
    assert "Decided lately" in answer.content.decode()
    second = owner.post(f"{there}/decide", {"act": "release"}, follow=True)
    assert "It was refused already." in second.content.decode()
    entry = JournalEntry.objects.get(action="held.refused", workspace=own.workspace)
    assert entry.actor_id == own.members["editor"].pk


def test_owners_are_written_to_once_an_hour(own: Shop) -> None:
    def asked() -> list[MailRequest]:
        return list(MailRequest.objects.filter(kind="held", workspace_id=own.workspace.pk))

    lease.sweep()
    assert [one.recipient for one in asked()] == [own.members["owner"].user.email]
    assert "/mail/held" in asked()[0].facts["text"]
    assert "suspendu" not in str(asked()[0].facts), "not a word of what is held"
    lease.sweep()
    assert len(asked()) == 1
    Held.objects.filter(workspace=own.workspace).update(told_at=None)
    held.tell()
    assert len(asked()) == 2, "what is new, when the last mail is an hour old"
