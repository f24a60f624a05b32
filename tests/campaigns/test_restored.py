"""Campaigns of a restored backup: none goes on or begins by itself, and each does once somebody says so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from envol.accounts.models import Workspace
from envol.campaigns import actions, restored, tick
from envol.campaigns.models import Campaign
from envol.outbound.models import Sending
from tests.campaigns.shop import Shop, codes, open_shop, start

pytestmark = pytest.mark.usefixtures("empty_database")


@pytest.fixture
def shop(workspace: Workspace) -> Shop:
    return open_shop(workspace)


def state(shop: Shop) -> str:
    return str(Campaign.objects.get(pk=shop.campaign.pk).state)


def test_what_was_on_its_way_pauses_until_it_is_resumed(shop: Shop) -> None:
    shop.people(3)
    sending = start(shop)
    assert state(shop) == "sending" and restored.hold() == [shop.campaign.name]
    tick.run()
    sending.refresh_from_db()
    assert (state(shop), sending.state) == ("paused", "paused")
    actions.resume(shop.campaign)
    assert state(shop) == "sending"


def test_what_is_prepared_pauses_too(shop: Shop) -> None:
    shop.people(3)
    actions.send(shop.campaign, take_back=0)
    tick.run()
    assert state(shop) == "preparing" and restored.hold() == [shop.campaign.name]
    assert state(shop) == "paused"


@pytest.mark.parametrize("minutes", [2, 300], ids=["a moment ago", "hours ago"])
def test_what_became_due_since_the_backup_asks_first(shop: Shop, minutes: int) -> None:
    shop.people(3)
    sending = actions.schedule(shop.campaign, timezone.now() + timedelta(days=1))
    Sending.objects.filter(pk=sending.pk).update(not_before=timezone.now() - timedelta(minutes=minutes))
    assert restored.hold() == [shop.campaign.name]
    tick.run()
    assert state(shop) == "scheduled" and codes(shop.campaign) == {"late"}
    actions.confirm(shop.campaign)
    tick.run()
    assert state(shop) == "preparing"


def test_what_is_due_later_begins_at_its_hour(shop: Shop) -> None:
    shop.people(3)
    sending = actions.schedule(shop.campaign, timezone.now() + timedelta(days=1))
    assert restored.hold() == []
    Sending.objects.filter(pk=sending.pk).update(not_before=timezone.now() - timedelta(seconds=1))
    tick.run()
    assert state(shop) == "preparing"
