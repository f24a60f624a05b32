"""After thirteen months nobody can be told from a sending, and its report says what it said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from envol import db
from envol.accounts.models import Workspace
from envol.campaigns import actions
from envol.consent import retention
from envol.outbound import accept, states
from tests.campaigns.shop import deliver, open_shop, start

TERM = 13
INSTANT = timedelta(microseconds=1)

pytestmark = pytest.mark.usefixtures("empty_database")  # the books of all sendings are looked at


def test_metadata_become_totals_at_their_term_and_links_still_lead_to_the_person(workspace: Workspace) -> None:
    shop = open_shop(workspace)
    ids = shop.people(30)
    sending = start(shop)
    deliver(sending)
    actions.refresh(sending.pk)
    to = [("", "client@lecteurs.example")]
    made = accept.accept_messages(
        [accept.Outgoing(workspace.pk, ("", "zoe@boutique.example"), to, "Commande", "Merci")]
    )
    one = made[0].recipients[0]
    born = datetime(2025, 1, 15, 10, tzinfo=UTC)
    for table, column in (("outbound_send", "created_at"), ("outbound_chunk", "due")):
        db.execute(f"UPDATE {table} SET {column} = %s WHERE sending_id = ANY(%s)", [born, [sending.pk, one[0]]])
    limit = retention.before(born, -TERM)
    before = states.counts(sending.pk)
    sites = db.rows(db.sql("outbound", "report_sites"), {"sendings": [sending.pk]})
    assert before["delivered"] == 30 and states.invariants() == []

    assert "metadata" not in retention.run(workspace.pk, limit)
    assert states.counts(sending.pk) == before
    assert retention.preview(workspace.pk, limit + INSTANT)["metadata"] > 0
    assert retention.run(workspace.pk, limit + INSTANT)["metadata"] > 0
    for table in ("outbound_send", "outbound_outcome", "outbound_chunk"):
        assert db.value(f"SELECT count(*) FROM {table} WHERE sending_id = %s", [sending.pk]) == 0
    assert states.counts(sending.pk) == before and states.invariants() == []
    assert db.rows(db.sql("outbound", "report_sites"), {"sendings": [sending.pk]}) == sites
    # What still waits for its outcome stays, with its words.
    assert db.value("SELECT count(*) FROM outbound_message WHERE workspace_id = %s", [workspace.pk]) == 1
    assert states.counts(one[0])["queued"] == 1
    # An old unsubscribe link works for whoever is still a contact, and nobody gets the campaign a second time.
    asked = {"sendings": [sending.pk, sending.pk], "nos": [ids[0], 999_999_999]}
    found = {row[0]: row[3:5] for row in db.rows(db.sql("outbound", "behind_tokens"), asked)}
    assert found == {1: (True, ids[0]), 2: (False, None)}
    with pytest.raises(actions.Refused, match="no longer kept"):
        actions.remainder(shop.campaign)
    # Then the single message too, once it ended.
    db.execute(
        "INSERT INTO outbound_outcome (sending_id, no, state, attempts, code, reply)"
        " VALUES (%s, %s, 'delivered', 1, 250, 'OK')",
        list(one),
    )
    db.execute("UPDATE outbound_chunk SET done = true WHERE sending_id = %s", [one[0]])
    assert retention.run(workspace.pk, limit + INSTANT)["metadata"] == 1
    assert db.value("SELECT count(*) FROM outbound_message WHERE workspace_id = %s", [workspace.pk]) == 0
    assert states.counts(one[0])["delivered"] == 1 and states.invariants() == []
