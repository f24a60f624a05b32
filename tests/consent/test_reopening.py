"""A decision on a request is taken back for a week, while nothing of it is for ever; the person is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from envol.accounts.journal import note
from envol.accounts.models import Workspace
from envol.consent import desk, recipients, reopening, requests, restriction
from envol.consent.models import RightsRequest
from envol.contacts.models import Contact
from envol.events.models import MailRequest
from tests.consent.test_requests import ZOE, asked, proved, zoe

__all__ = ["zoe"]
OFFICER = 987_654_321


def settled(workspace: Workspace, kind: str, **more: object) -> RightsRequest:
    """Taken down by a member who knows who asks."""
    made = asked(workspace, kind, **more)
    return requests.prove(made, "at the counter", OFFICER)


def answered(workspace: Workspace, kind: str, said: str = "Done.", **more: object) -> RightsRequest:
    made = settled(workspace, kind, **more)
    requests.carry_out(made, OFFICER, said)
    made.refresh_from_db()
    return made


def mails() -> int:
    return MailRequest.objects.filter(recipient=ZOE, kind="rights").count()


def test_a_refusal_and_an_answer_are_taken_back_with_a_reason_and_she_is_told(
    workspace: Workspace, zoe: Contact
) -> None:
    made = settled(workspace, "rectification", words="Zoë")
    due = made.due_at
    requests.refuse(made, "We do not know you.", OFFICER)
    before = mails()
    with pytest.raises(requests.Refusal, match="why it is taken back"):
        reopening.reopen(made, "  ", OFFICER)
    assert mails() == before
    back = reopening.reopen(made, "She is a customer after all.", OFFICER)
    assert (back.state, back.answer, back.ended_at, back.due_at) == ("open", "", None, due) and mails() == before + 1
    assert back.steps.filter(what=reopening.REOPENED, said="She is a customer after all.", actor_id=OFFICER).exists()
    with pytest.raises(requests.Refusal, match="Nothing is decided"):
        reopening.reopen(back, "Twice.", OFFICER)
    requests.carry_out(back, OFFICER, "It is Zoë now.")
    back.refresh_from_db()
    assert back.state == "answered" and not reopening.barred(back)
    late = datetime.now(UTC) + reopening.GRACE + timedelta(minutes=1)
    assert "7 days" in reopening.barred(back, late)
    doubted = asked(workspace, "access")
    requests.refuse(doubted, "Nobody we know.", OFFICER)
    assert reopening.reopen(doubted, "We do.", OFFICER).state == "unproven", "who asks is not settled by it"


def test_a_restriction_ends_with_the_decision_that_began_it_and_another_stays(
    workspace: Workspace, zoe: Contact
) -> None:
    made = answered(workspace, "restriction")
    assert restriction.now(workspace.pk, zoe.pk)
    reopening.reopen(made, "Another person's letter.", OFFICER)
    assert restriction.now(workspace.pk, zoe.pk) is None
    restriction.begin(workspace.pk, zoe.pk, "her own page")
    again = requests.carry_out(made.__class__.objects.get(pk=made.pk), OFFICER, "Done.")
    assert again is None
    reopening.reopen(RightsRequest.objects.get(pk=made.pk), "Once more.", OFFICER)
    assert restriction.now(workspace.pk, zoe.pk), "she restricted it herself: that is not ours to end"


def test_what_is_for_ever_stands(workspace: Workspace, zoe: Contact) -> None:
    def stands(made: RightsRequest, why: str) -> None:
        with pytest.raises(requests.Refusal, match=why):
            reopening.reopen(made, "A mistake.", OFFICER)
        made.refresh_from_db()
        assert made.state == "answered"

    stands(proved(workspace, "access"), "own link did")
    stands(answered(workspace, "objection"), "only that person")
    handed = settled(workspace, "portability")
    note(workspace, "member", reopening.PACKED, actor_id=OFFICER, request=handed.pk)
    requests.carry_out(handed, OFFICER, "By post.")
    handed.refresh_from_db()
    stands(handed, "handed over already")
    erased = answered(workspace, "erasure")
    stands(erased, "nothing brings them back")


def test_recipients_who_were_not_told_are_owed_nothing_and_who_was_told_keeps_the_decision(
    workspace: Workspace, zoe: Contact
) -> None:
    desk.save_processor(workspace, {"name": "Atelier", "kind": "other", "country": "FR", "contact": "dpo@pub.example"})
    made = answered(workspace, "rectification", words="Zoë")
    assert len(recipients.open_of(made)) == 1
    made = reopening.reopen(made, "Wrong file.", OFFICER)
    assert recipients.open_of(made) == [] and recipients.waiting(workspace.pk) == []
    requests.carry_out(made, OFFICER, "Zoë, in both files.")
    made.refresh_from_db()
    (duty,) = recipients.open_of(made)
    recipients.tell(made, duty.step.pk, "by telephone", OFFICER)
    with pytest.raises(requests.Refusal, match="A recipient was told"):
        reopening.reopen(made, "Wrong again.", OFFICER)
