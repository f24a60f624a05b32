"""Before any message leaves: ten gates in their order. Each alone holds it back, says so by its code, and is counted.

Everybody else of the same campaign gets it. What the page of the report counts opens the people behind the figure
(`tests/web/test_report.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.test import override_settings

from envol import db
from envol.accounts.models import Workspace
from envol.campaigns import actions, check_law, checks
from envol.consent import acts, desk, informing, purposes, restriction, suppression
from envol.consent.models import Permission
from envol.contacts import catalogue, people
from envol.contacts.models import Contact
from envol.content.models import Version
from envol.outbound import domains, lease, states
from envol.outbound.models import Domain, Sending
from tests.campaigns.shop import HTML, Shop, codes, open_shop, start
from tests.edge.sink import Sink
from tests.edge.test_courier import couriers, run, until

pytestmark = pytest.mark.usefixtures("empty_database")
Shut = Callable[[Shop, Contact], None]


@pytest.fixture
def shop(workspace: Workspace) -> Shop:
    return open_shop(workspace, HTML)


def reader(shop: Shop, name: str, *, allowed: bool = True) -> Contact:
    workspace = shop.workspace
    made = people.upsert(workspace, f"{name}@lecteurs.example", source=people.source(workspace, "form", "Salon"))
    if allowed:
        proof = acts.evidence(workspace, "document", "carnet", document=b"signed")
        people.grant(made, shop.newsletter, proof_of=proof, since=datetime.now(UTC) - timedelta(days=1))
    return made


# ---- those that hold back the whole campaign: 1, 6, 8


def no_domain(shop: Shop) -> None:
    Domain.objects.filter(workspace=shop.workspace).delete()
    domains._forget()


def no_way_out(shop: Shop) -> None:
    version = checks.latest_version(shop.campaign)
    assert version is not None and "unsubscribe_url" in version.html
    bare = {"html": version.html.replace("unsubscribe_url", "web_version_url")}
    Version.objects.filter(pk=version.pk).update(**bare)


@pytest.mark.parametrize(
    ("gate", "shut", "code"), [(1, no_domain, "domain_unknown"), (6, no_way_out, "no_unsubscribe")]
)
def test_the_campaign_does_not_leave(shop: Shop, gate: int, shut: Callable[[Shop], None], code: str) -> None:
    reader(shop, "zoe")
    assert codes(shop.campaign) == set(), "open as long as nothing shuts it"
    shut(shop)
    assert code in codes(shop.campaign)
    with pytest.raises(actions.NotReady):
        actions.send(shop.campaign)
    assert not Sending.objects.filter(campaign_id=shop.campaign.pk).exists()


def test_the_campaign_does_not_leave_by_a_route_that_nothing_covers(shop: Shop) -> None:
    """Gate 8."""
    reader(shop, "zoe")
    one = desk.save_processor(shop.workspace, {"name": "Relay", "host": "relay.example", "country": "US"})
    with override_settings(ENVOL=SimpleNamespace(route="smart_host", smart_host="smtp.relay.example:587")):
        assert [(c.level, c.code) for c in check_law.transfer(shop.campaign)] == [("block", "transfer")]
        desk.end_processor(one)
        assert check_law.transfer(shop.campaign) == []


# ---- those that hold back one person: 2, 3, 4, 5, 9


def no_basis(shop: Shop, one: Contact) -> None:
    """Nothing is to be done: she is known, and said nothing."""
    assert not Permission.objects.filter(contact_id=one.pk).exists()


def objects(shop: Shop, one: Contact) -> None:
    suppression.add(shop.workspace.pk, one.email_key, "marketing", "objection", "her letter")


def is_a_child(shop: Shop, one: Contact) -> None:
    if not shop.workspace.properties.filter(key="birth_date").exists():
        catalogue.create_defaults(shop.workspace)
    born = (datetime.now(UTC) - timedelta(days=3700)).date().isoformat()
    people.set_values(one, {"birth_date": born}, people.source(shop.workspace, "form", "Salon"))


def was_not_told(shop: Shop, one: Contact) -> None:
    query = ("SELECT %(id)s::bigint", {"id": one.pk})
    assert informing.begin(shop.workspace, "Salon du livre", shop.workspace.today(), query) is not None


def had_one_this_week(shop: Shop, one: Contact) -> None:
    restriction.set_frequency(shop.workspace.pk, one.pk, "weekly", "her page")
    earlier = actions.duplicate(shop.campaign)
    start(Shop(shop.workspace, shop.newsletter, earlier))


@pytest.mark.parametrize(
    ("gate", "shut", "reason"),
    [
        (2, no_basis, "no_permission"),
        (3, objects, "objected"),
        (4, is_a_child, "too_young"),
        (5, was_not_told, "not_told"),
        (9, had_one_this_week, "too_often"),
    ],
)
def test_one_person_is_left_out_and_counted(shop: Shop, gate: int, shut: Shut, reason: str) -> None:
    held, other = reader(shop, "zoe", allowed=gate != 2), reader(shop, "lea")
    shut(shop, held)
    assert checks.summary(shop.campaign).excluded == {reason: 1}, "said beforehand"
    sending = start(shop)
    assert [no for (no,) in db.rows("SELECT no FROM outbound_send WHERE sending_id = %s", [sending.pk])] == [other.pk]
    left = db.rows("SELECT contact_id, reason FROM outbound_excluded WHERE sending_id = %s", [sending.pk])
    assert left == [(held.pk, reason)]


# ---- how each is measured: 7


def test_each_is_measured_as_she_allowed(shop: Shop) -> None:
    """Gate 7, on the way out: what a mailbox gets of two people, one of whom agreed to be measured."""
    shop.workspace.opens_mode = shop.workspace.clicks_mode = "individual"
    shop.workspace.save(update_fields=["opens_mode", "clicks_mode"])
    agrees, other = reader(shop, "zoe"), reader(shop, "lea")
    proof = acts.evidence(shop.workspace, "document", "carnet", document=b"signed")
    people.grant(agrees, purposes.get(shop.workspace, "measure_opens"), proof_of=proof)
    sending, got = start(shop), {}

    async def work() -> None:
        async with Sink() as sink, couriers(sink):
            await until(lambda: states.finished(sending.pk))
            got.update(sink.accepted)

    run(work())
    assert set(got) == {agrees.email, other.email}
    assert b"/o/" in got[agrees.email] and b"/o/" not in got[other.email]


# ---- once more when it leaves the queue: 10


def test_two_to_four_are_asked_again_when_it_leaves_the_queue(shop: Shop) -> None:
    """Gate 10: who withdrew, objected, or turned out to be a child after the message was queued."""
    left, no, young, other = (reader(shop, name) for name in ("zoe", "lea", "max", "eve"))
    sending = start(shop)
    assert db.value("SELECT count(*) FROM outbound_send WHERE sending_id = %s", [sending.pk]) == 4
    acts.withdraw(shop.workspace.pk, left.pk, [shop.newsletter])
    objects(shop, no)
    is_a_child(shop, young)
    leases = lease.lease("test", 100, seconds=900)
    assert [row.contact_id for held in leases for row in held.rows] == [other.pk]
    ended = dict(db.rows("SELECT no, cause FROM outbound_outcome WHERE sending_id = %s", [sending.pk]))
    assert ended == {left.pk: "withdrawn", no.pk: "objected", young.pk: "too_young"}
