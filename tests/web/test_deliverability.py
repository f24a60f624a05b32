"""Do providers accept me? The page tells what receivers did, and what to do next."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from envol import db
from envol.insight import deliverability
from envol.outbound.models import Sending
from envol.web.views.deliverability import _headline


@pytest.fixture
def refused(shop: Any) -> Any:
    """A sending of which Gmail refused a tenth, for mailboxes that are not there; Orange took everything."""
    row = Sending.objects.create(workspace=shop.workspace, kind="campaign", state="sent")
    db.execute(
        "INSERT INTO outbound_send (sending_id, no, address, site, chunk) SELECT %(s)s, n, 'p' || n || '@x.example',"
        " CASE WHEN n <= 200 THEN 'gmail.com' ELSE 'orange.fr' END, 1 FROM generate_series(1, 400) n",
        {"s": row.pk},
    )
    db.execute(
        "INSERT INTO outbound_outcome (sending_id, no, state, attempts, cause, code, reply) SELECT %(s)s, n,"
        " CASE WHEN n <= 20 THEN 'bounced' ELSE 'delivered' END, 1, CASE WHEN n <= 20 THEN 'unknown_user' ELSE '' END,"
        " CASE WHEN n <= 20 THEN 550 ELSE 250 END, CASE WHEN n <= 20 THEN '550 5.1.1 no such user' ELSE 'ok' END"
        " FROM generate_series(1, 400) n",
        {"s": row.pk},
    )
    yield row
    for table in ("outbound_outcome", "outbound_send", "outbound_tally"):
        db.execute(f"DELETE FROM {table} WHERE sending_id = %s", [row.pk])
    row.delete()


def test_each_provider_is_judged_and_the_worst_comes_first(as_member: Any, shop: Any, refused: Any) -> None:
    found = {one.name: one for one in deliverability.standing(shop.workspace).providers}
    assert found["google"].level == "stop" and found["google"].levels["hard"] == "stop"
    assert found["orange"].level == "good"
    assert found["google"].days[-1] == (180, 20, 0)
    page = as_member("owner").get("/deliverability").content.decode()
    assert "Gmail needs you" in page
    assert "10% of the addresses at Gmail do not exist" in page
    assert "550 5.1.1 no such user" in page


def test_where_everything_is_captured_no_provider_has_said_yes(shop: Any, refused: Any) -> None:
    found = deliverability.standing(shop.workspace, 7)
    good = dataclasses.replace(found, providers=[one for one in found.providers if one.level not in ("warn", "stop")])
    assert "would have arrived" in _headline(good, captured=True)
    assert _headline(good, captured=False).startswith("Yes")


def test_it_is_for_everybody_and_shows_a_viewer_no_address(as_member: Any, refused: Any) -> None:
    db.execute(
        "UPDATE outbound_outcome SET reply = '550 luc.petit@lecteurs.example unknown'"
        " WHERE sending_id = %s AND no <= 20",
        [refused.pk],
    )
    page = as_member("viewer").get("/deliverability").content.decode()
    assert "Gmail" in page and "luc.petit@" not in page


def test_another_workspace_sees_nothing_of_it(as_member: Any, other_shop: Any, refused: Any) -> None:
    page = as_member("owner", other_shop).get("/deliverability?days=30").content.decode()
    assert "550 5.1.1" not in page and "p_google" not in page


def test_few_messages_are_counted_and_not_judged(shop: Any, refused: Any) -> None:
    db.execute("DELETE FROM outbound_outcome WHERE sending_id = %s AND no > 60", [refused.pk])
    (one,) = [p for p in deliverability.standing(shop.workspace).providers if p.name == "google"]
    assert one.figures.hard == 20 and one.level == "few"


def test_the_live_page_says_why_a_campaign_paused_by_itself(as_member: Any, shop: Any) -> None:
    from envol.campaigns.models import Brake, Campaign

    before = shop.sent.state
    Campaign.objects.filter(pk=shop.sent.pk).update(state="paused")
    brake = Brake.objects.create(
        campaign=shop.sent, sending_id=shop.sending.pk, reason="hard", receiver="google", tried=110, cases=7
    )
    try:
        page = as_member("viewer").get(f"/campaigns/{shop.sent.pk}/live").content.decode()
        assert "It paused by itself." in page and "7 of 110 addresses at Gmail do not exist (6.4 %" in page
    finally:
        brake.delete()
        Campaign.objects.filter(pk=shop.sent.pk).update(state=before)
