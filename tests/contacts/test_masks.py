"""The masks on the contact row say the same as the ledger and the digests, after whatever happened."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envol.accounts.models import Workspace
from envol.accounts.workspaces import create_workspace
from envol.consent import acts, gates, ledger, silence, suppression
from envol.consent.ledger import Line
from envol.consent.models import Purpose
from envol.contacts import masks, people
from envol.contacts.models import Contact
from envol.db import execute, rows
from tests.examples import examples

T0 = datetime(2026, 1, 5, tzinfo=UTC)
BITS = range(6)

answers = st.tuples(
    st.just("answer"),
    st.integers(0, 2),
    st.lists(
        st.tuples(st.sampled_from(BITS), st.sampled_from(ledger.STATES), st.integers(0, 9)), min_size=1, max_size=4
    ),
)
blocks = st.tuples(st.sampled_from(["suppress", "lift"]), st.integers(0, 2), st.sampled_from(suppression.SCOPES))
rests = st.tuples(st.sampled_from(["rest", "go on"]), st.integers(0, 2), st.none())


def set_based(contact: Contact, purpose: Purpose) -> str:
    sql = gates.refusal_sql("c", purpose.bit, purpose.kind == "transactional")
    return rows(f"SELECT {sql} FROM contacts_contact c WHERE c.id = %s", [contact.id])[0][0] or ""


@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(answers | blocks | rests, max_size=8))
def test_both_forms_of_the_gate_agree_and_a_rebuild_finds_nothing_wrong(history: list) -> None:
    workspace = create_workspace(f"w{secrets.token_hex(4)}")
    source = people.source(workspace, "member", "essai")
    crowd = [people.upsert(workspace, f"p{i}@lecteurs.example", source=source) for i in range(3)]
    purposes = {p.bit: p for p in Purpose.objects.filter(workspace=workspace)}
    for what, who, detail in history:
        person = crowd[who]
        if what == "answer":
            ledger.append(
                workspace.id,
                [
                    Line(person.id, purposes[bit].pk, state, "consent", T0 + timedelta(days=day))
                    for bit, state, day in detail
                ],
            )
        elif what == "rest":
            with contextlib.suppress(ValueError):  # open already
                silence.open(workspace.id, person.id, "colis")
        elif what == "go on":
            with contextlib.suppress(ValueError):
                silence.close(workspace.id, person.id)
        elif what == "suppress":
            suppression.add(workspace.id, person.email_key, detail, "test", "history")
        else:
            suppression.lift(workspace.id, person.email_key, detail, "history")
    for person in crowd:
        for purpose in purposes.values():
            single = gates.may_send(workspace.id, person.id, person.email_key, purpose.pk)
            assert set_based(person, purpose) == single.reason
    assert masks.rebuild_masks(workspace) == 0
    assert ledger.verify(workspace.id).ok


def test_a_rebuild_mends_every_mask_that_was_spoilt(workspace: Workspace, add: Callable[..., Contact]) -> None:
    crowd = [add(f"p{i}") for i in range(4)]
    newsletter = Purpose.objects.get(workspace=workspace, key="newsletter")
    ledger.append(workspace.id, [Line(c.id, newsletter.pk, "granted", "consent", T0) for c in crowd[:2]])
    suppression.add(workspace.id, crowd[2].email_key, "all", "complaint", "report 1")
    good = list(
        Contact.objects.filter(workspace_id=workspace.id).values_list("allowed", "refused", "suppressed", "objected")
    )
    execute(
        "UPDATE contacts_contact SET allowed = 63 - allowed, refused = 5, suppressed = NOT suppressed, objected = true"
        " WHERE workspace_id = %s",
        [workspace.id],
    )
    assert masks.rebuild_masks(workspace) == 8  # four rows, each with wrong answers and wrong flags
    assert good == list(
        Contact.objects.filter(workspace_id=workspace.id).values_list("allowed", "refused", "suppressed", "objected")
    )
    assert masks.rebuild_masks(workspace) == 0


def test_masks_change_in_the_act_that_changes_the_answer(workspace: Workspace, zoe: Contact) -> None:
    newsletter = Purpose.objects.get(workspace=workspace, key="newsletter")
    ledger.append(workspace.id, [Line(zoe.id, newsletter.pk, "granted", "consent", T0)])
    zoe.refresh_from_db()
    assert (zoe.allowed, zoe.refused) == (1 << newsletter.bit, 0)
    acts.withdraw(workspace.id, zoe.id)
    zoe.refresh_from_db()
    assert (zoe.allowed, zoe.refused) == (0, 1 << newsletter.bit)


def test_a_person_taken_in_after_her_address_was_suppressed_is_suppressed(
    workspace: Workspace, add: Callable[..., Contact]
) -> None:
    suppression.add(workspace.id, "ali@lecteurs.example", "all", "hard_bounce", "outcome 1/2")
    assert add("ali").suppressed
