"""Demands of third countries' authorities: written down, refused without an agreement, answered in time."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, transaction
from django.utils import timezone

from envol.accounts.models import JournalEntry, Member, Role, User, Workspace
from envol.accounts.workspaces import add_member
from envol.consent import demands, evidence_pack, six_steps
from envol.consent.models import Demand
from envol.events.models import MailRequest


@pytest.fixture
def owner(workspace: Workspace) -> Member:
    user = User.objects.create_user(f"order{workspace.pk}@equipe.example", "x", language="en")
    return add_member(workspace, user, Role.OWNER)


def came(workspace: Workspace, **more: Any) -> Demand:
    today = workspace.today()
    return demands.receive(workspace, "District Court", "US", "Opens of one person", today, **more)


def test_without_an_international_agreement_nothing_may_be_given(workspace: Workspace, owner: Member) -> None:
    one = came(workspace, reference="24-cv-1", member_id=owner.pk)
    for agreement in ("", "  "):
        with pytest.raises(demands.Refused, match="article 48"):
            demands.decide(one, demands.GIVEN, "They ordered it.", owner.pk, agreement=agreement)
    with transaction.atomic(), pytest.raises(IntegrityError), transaction.atomic():
        Demand.objects.filter(pk=one.pk).update(decision="given")
    with pytest.raises(demands.Refused, match="Decide first"):
        demands.answer(one, "No.", workspace.today(), owner.pk)
    with pytest.raises(demands.Refused, match="reasons"):
        demands.decide(one, demands.REFUSED, " ", owner.pk)
    decided = demands.decide(one, demands.REFUSED, "It rests on no treaty.", owner.pk)
    assert (decided.decision, decided.decided_by) == ("refused", owner.pk) and decided.decided_at is not None
    with pytest.raises(demands.Refused, match="decided already"):
        demands.decide(one, demands.GIVEN, "After all.", owner.pk, agreement="A treaty")
    demands.answer(one, "Refused by letter; pointed to mutual legal assistance.", workspace.today(), owner.pk)
    with pytest.raises(demands.Refused, match="answered already"):
        demands.answer(one, "Something else.", workspace.today(), owner.pk)
    done = set(JournalEntry.objects.filter(workspace_id=workspace.pk).values_list("action", flat=True))
    assert {"demand.received", "demand.refused", "demand.answered"} <= done


def test_under_an_agreement_it_may_be_given_with_its_grounds(workspace: Workspace, owner: Member) -> None:
    one = demands.decide(
        came(workspace), demands.GIVEN, "Art. 6(1)(c); the treaty's safeguards, art. 46.", owner.pk,
        agreement="Agreement EU–US on mutual legal assistance, 2003",
    )  # fmt: skip
    assert one.agreement.startswith("Agreement EU–US")
    (held,) = demands.register(workspace)
    assert held["decision"] == "given" and held["agreement"] == one.agreement


@pytest.mark.parametrize(
    ("country", "day", "by", "said"),
    [("FR", 0, None, "European Economic Area"), ("NO", 0, None, "European Economic Area"), ("US", 1, None, "ahead")]
    + [("US", 0, -1, "before the day")],
)
def test_what_makes_no_sense_is_not_written_down(
    workspace: Workspace, country: str, day: int, by: int | None, said: str
) -> None:
    today = workspace.today()
    until = today + timedelta(days=by) if by is not None else None
    with pytest.raises(demands.Refused, match=said):
        demands.receive(workspace, "Court", country, "All", today + timedelta(days=day), answer_by=until)
    assert not Demand.objects.filter(workspace=workspace).exists()


def test_owners_hear_of_it_before_its_day_and_once_it_is_over(workspace: Workspace, owner: Member) -> None:
    by = workspace.today() + timedelta(days=10)
    one = came(workspace, answer_by=by)

    def step() -> Any:
        return next(c for s in six_steps.steps(workspace) for c in s.checks if c.place == "demands")

    def mails() -> list[str]:
        found = MailRequest.objects.filter(workspace_id=workspace.pk, kind="notice").order_by("pk")
        return [f"{m.facts['subject']} {m.facts['text']}" for m in found]

    noon = timezone.now().replace(hour=11)  # the same day there and in UTC
    for days, told, late in ((6, 0, False), (7, 1, False), (8, 1, False), (10, 1, False), (11, 2, True), (12, 2, True)):
        with time_machine.travel(noon + timedelta(days=days) + (by - timedelta(days=10) - noon.date()), tick=True):
            demands.warn()
            assert (len(mails()), demands.late(workspace), step().done) == (told, late, not late), days
    assert all(f"/consent/demands/{one.pk}" in said and f"{by:%Y-%m-%d}" in said for said in mails())
    demands.decide(one, demands.REFUSED, "No treaty.", owner.pk)
    assert not one.answered_on and demands.waiting(workspace).exists()


def test_the_evidence_pack_holds_the_register(workspace: Workspace, owner: Member) -> None:
    one = demands.decide(came(workspace), demands.REFUSED, "No treaty.", owner.pk)
    pack = zipfile.ZipFile(io.BytesIO(evidence_pack.write(workspace, "en").read_bytes()))
    (held,) = json.loads(pack.read("demands/register.json"))
    assert (held["id"], held["decision"], held["why"]) == (one.pk, "refused", "No treaty.")
    assert "Demands of foreign authorities" in pack.read("index.html").decode()
