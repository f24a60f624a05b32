"""What a former system said of permissions: told apart, found by a segment, confirmed within a term of its own."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from envol.accounts.models import Role, User, Workspace
from envol.accounts.workspaces import add_member
from envol.audience import engine
from envol.campaigns import asking
from envol.campaigns.refusals import Refused
from envol.consent import acts, lapse, overview, purposes, reminders, why
from envol.consent.models import Evidence, Permission, Purpose
from envol.contacts import imports, people
from envol.contacts.filters import Filter, count
from envol.contacts.models import Contact
from envol.web.public import choices

NOW = datetime.now(UTC)


@pytest.fixture
def letter(workspace: Workspace) -> Purpose:
    return purposes.get(workspace, "newsletter")


@pytest.fixture
def me(workspace: Workspace) -> int:
    user = User.objects.create_user(f"{workspace.name}@equipe.example", "x" * 20)
    return int(add_member(workspace, user, Role.OWNER).pk)


def reader(letter: Purpose, name: str, strength: str, me: int, *, taken_days_ago: int = 0) -> Contact:
    workspace = letter.workspace
    made = people.upsert(workspace, f"{name}@lecteurs.example", {}, source=people.source(workspace, "form", "Salon"))
    words = "Mailjet said so on the day we left it" if strength != "line" else ""
    proof = acts.evidence(workspace, strength, "Mailjet", statement=words, member_id=me if words else None)
    people.grant(made, letter, proof_of=proof, proof="1", since=NOW - timedelta(days=3000))
    Evidence.objects.filter(pk=proof.pk).update(created_at=NOW - timedelta(days=taken_days_ago))
    return made


def test_it_is_told_apart_and_a_segment_finds_it(workspace: Workspace, letter: Purpose, me: int) -> None:
    with pytest.raises(acts.Refusal, match="statement needs its words"):
        acts.evidence(workspace, "legacy", "Mailjet")
    old = reader(letter, "old", "legacy", me)
    reader(letter, "new", "line", me)
    assert overview.strengths(workspace.pk)["legacy"].permissions == 1
    assert count(workspace, Filter(proof="legacy")) == 1
    field = f"proved.{letter.key}"

    def found(op: str, *strengths: str) -> int:
        rule = {"field": field, "op": op, "value": list(strengths)}
        return engine.count(workspace, {"v": 1, "match": "all", "rules": [rule]})

    assert (found("in", "legacy"), found("in", "legacy", "line"), found("not_in", "legacy")) == (1, 2, 1)
    told = why.why(workspace, old.pk, old.email_key, letter)
    assert told.answer.allowed, "it counts, until it is confirmed or its term ends"
    acts.withdraw(workspace.pk, old.pk, [letter])
    assert found("in", "legacy") == 0


def test_a_file_says_what_a_former_system_kept(workspace: Workspace, letter: Purpose, me: int, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("email,Accord le,Preuve\na@lecteurs.example,2021-02-03,id 7\nb@lecteurs.example,,\n", "utf-8")
    for member, mailable in ((me, 1), (None, 1)):
        imp = imports.receive(workspace, file, "people.csv", member_id=member)
        imports.set_mapping(imp, {"email": "email", "Accord le": "permission_date", "Preuve": "permission_proof"})
        imports.set_permission(
            imp,
            {
                "purpose": "newsletter", "basis": "consent", "source": "Mailjet", "text_version": 1,
                "evidence": {"kind": "legacy", "text": "Kept by Mailjet until May.", "member_id": member},
            },
        )  # fmt: skip
        assert imports.dry_run(imp)["mailable"] == mailable


def test_it_is_confirmed_within_its_own_term_or_ends(workspace: Workspace, letter: Purpose, me: int) -> None:
    late, soon, new = (
        reader(letter, name, strength, me, taken_days_ago=days)
        for name, strength, days in (("late", "legacy", 300), ("soon", "legacy", 150), ("new", "line", 300))
    )
    with pytest.raises(Refused):
        asking.for_keeping(letter, base_url="https://x.example", legacy=True)
    lapse.change(letter, 6, legacy=True)
    assert letter.months is None and lapse.taken_over(letter) == 2
    assert lapse.ages(letter, legacy=True) == lapse.Ages(1, 2) and lapse.ages(letter) == lapse.Ages()
    assert lapse.end(workspace.pk) == {}, "thirty days to ask them first"
    assert [(one.purpose.pk, one.people) for one in reminders.ending(workspace.pk, 5)] == [(letter.pk, 2)]
    assert engine.count(workspace, asking.people_taken_over(letter)) == 2
    Purpose.objects.filter(pk=letter.pk).update(legacy_from=date.today() - timedelta(days=2))
    letter.refresh_from_db()
    who = choices.Visitor(workspace, None, soon.pk, soon.email, soon)
    mine = next(one for one in choices.choices(who) if one.purpose.pk == letter.pk)
    assert mine.ends is not None and mine.ends < NOW + timedelta(days=60), "her page offers to keep it"
    assert choices.renew(who, letter.pk)
    assert lapse.end(workspace.pk) == {"newsletter": 1} and lapse.end(workspace.pk) == {}
    states = {one.pk: Permission.objects.get(contact_id=one.pk, until=None).state for one in (late, soon, new)}
    assert list(states.values()) == ["lapsed", "granted", "granted"]
    assert lapse.taken_over(letter) == 0, "who confirmed has a proof of her own"
    lapse.change(letter, None, legacy=True)
    assert letter.legacy_from is None
