"""Whatever people say, in whatever order: no road sends what the ledger forbids at that instant, and “why” is right.

Random histories of grants, withdrawals, objections, suppressions, complaints, imports and erasures happen to a few
people, before a message is prepared, before it is leased, and while a courier holds it. A plain model beside the house
says who may be written to at each of the three instants. Each road has a gate; for each gate a mutant without it must
be caught by the same examination.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envol import db, events
from envol.accounts.models import Workspace
from envol.accounts.workspaces import create_workspace
from envol.audience.language import EVERYBODY
from envol.campaigns import actions, choosing, expand
from envol.consent import acts, ages, gates, informing, ledger, registry, silence, suppression, why
from envol.consent.models import Evidence, Purpose
from envol.contacts import beyond, people
from envol.contacts.models import Contact
from envol.outbound import accept, lease, requests, resend
from envol.outbound.mail_log import Entry
from envol.outbound.models import Sending
from tests.campaigns.shop import Shop, open_shop

ACTS = (
    "grant", "withdraw", "object", "suppress", "lift", "silence", "settle", "import", "join", "no orders", "erase",
    "a child", "of age", "a parent", "from elsewhere", "told",
)  # fmt: skip
ROADS = ("campaign", "list", "api", "opt-in", "again", "test")
MARKETING = ("campaign", "list", "again")
PEOPLE = 2
SENDER = ("", "zoe@boutique.example")
_moments = count()


@dataclass
class Person:
    """What a person said, as plainly as it can be kept: no masks, no intervals, no SQL."""

    contact_id: int
    address: str
    answer: str = ""
    orders_refused: bool = False
    lists: set[str] = field(default_factory=set)
    silenced: bool = False
    here: bool = True
    child: bool = False
    by_parent: bool = False
    to_tell: bool = False

    @property
    def ready(self) -> bool:
        """Old enough or helped by a parent, and told where her data came from."""
        return not self.to_tell and (self.by_parent or not self.child)

    def may(self, road: str) -> bool:
        if "all" in self.lists:
            return False
        if road in (
            "api",
            "opt-in",
        ):  # a contract, or her own request: only her refusal of these
            return not (self.here and self.orders_refused)
        if road == "test":  # a colleague's look, which must not reach somebody who said no
            if self.here and self.answer == "yes" and not self.ready:
                return False
            return not (self.here and (self.answer == "no" or self.silenced or "marketing" in self.lists))
        allowed = self.here and self.answer == "yes" and not self.silenced and "marketing" not in self.lists
        return allowed and self.ready


@dataclass
class World:
    shop: Shop
    proof: Evidence
    parents: Evidence
    orders: Purpose

    @property
    def workspace(self) -> Workspace:
        return self.shop.workspace

    def people(self) -> list[Person]:
        made = []
        for _ in range(PEOPLE):
            address = f"{secrets.token_hex(6)}@lecteurs.example"
            made.append(Person(self.shop.person(address, allowed=False), address))
        return made

    def happen(self, who: Person, act: str) -> None:
        """Let it happen to the house and to the model. An act the house refuses must be one the model refuses."""
        if not who.here and act not in ("suppress", "lift"):
            return
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=next(_moments))
        place, newsletter = self.workspace.pk, self.shop.newsletter
        match act:
            case "grant" | "import" | "join":
                own = act == "join"
                barred = bool(who.lists) or who.answer == "no"
                if own:
                    barred = False
                    who.lists.discard("marketing")
                try:
                    acts.grant(
                        place, who.contact_id, who.address, newsletter, proof_of=self.proof, since=at, own_act=own
                    )
                    assert not barred, "nobody brings back who said no"
                    who.answer, who.by_parent = "yes", False
                except acts.Refusal:
                    assert barred
            case "withdraw":
                acts.withdraw(place, who.contact_id, [newsletter], since=at)
                who.answer = "no"
            case "object":
                acts.object_to_marketing(place, who.contact_id, who.address, "her letter", since=at)
                who.lists.add("marketing")
                who.answer = "no" if who.answer == "yes" else who.answer
            case "suppress":
                suppression.add(place, who.address, "all", "hard_bounce", "outcome 1/1")
                who.lists.add("all")
            case "lift":
                suppression.lift(place, who.address, "all", "it works again")
                who.lists.discard("all")
            case "a parent" if who.answer == "yes" and not who.lists:
                acts.grant(place, who.contact_id, who.address, newsletter, proof_of=self.parents, since=at)
                who.by_parent = True
            case "a child" | "of age":
                one, born = Contact.objects.get(pk=who.contact_id), "2020-02-29" if act == "a child" else "1980-01-01"
                people.set_values(one, {"birth_date": born}, people.source(place, "form", "Salon"))
                who.child = act == "a child"
            case "from elsewhere":
                informing.came(self.workspace, f"Salon {next(_moments)}", who.contact_id)
                who.to_tell = True
            case "told":
                db.execute("UPDATE consent_informing SET at = now() WHERE contact_id = %s", [who.contact_id])
                who.to_tell = False
            case "silence" if not who.silenced:
                silence.open(place, who.contact_id, "a parcel is lost")
                who.silenced = True
            case "settle" if who.silenced:
                silence.close(place, who.contact_id)
                who.silenced = False
            case "no orders":
                acts.withdraw(place, who.contact_id, [self.orders], state="refused", since=at)
                who.orders_refused = True
            case "erase":
                registry.erase_person(place, who.contact_id, who.address, cause="her request")
                who.here, who.silenced, who.orders_refused, who.answer = False, False, False, ""
                who.child = who.by_parent = who.to_tell = False
                who.lists.add("marketing")

    # -- the roads ---------------------------------------------------------------------------------

    def prepare(self, road: str, everybody: Sequence[Person]) -> set[str]:
        """Take a message for each of them onto a road; to whose addresses it was queued."""
        place = self.workspace.pk
        before = int(db.value("SELECT coalesce(max(id), 0) FROM outbound_sending"))
        marked = set()
        match road:
            case "campaign":
                sending = self._sending(state="preparing", audience=EVERYBODY, kind="campaign")
                expand.run(sending.pk)
            case "list":
                sending = self._sending(state="sending", kind="list")
                message = accept.Outgoing(
                    place, ("", "zoe@boutique.example"), [("", "lettre@boutique.example")], text="Bonjour"
                )
                accept.accept_post(
                    sending.pk, 5, message, [(one.contact_id, one.address) for one in everybody if one.here]
                )
            case "api":
                for one in everybody:
                    message = accept.Outgoing(place, SENDER, [("", one.address)], subject="Commande", text="Partie")
                    accept.accept_messages([message])
            case "opt-in":
                for one in everybody:
                    events.request_mail(
                        "confirmation", one.address, {"url": "https://boutique.example/x"}, workspace_id=place
                    )
                requests.take()
            case "again":
                old = self._sending(state="done", kind="campaign")
                for one in everybody:
                    try:
                        resend.resend(place, _delivered(old.pk, one), actor="command")
                    except accept.Refused:
                        marked.add(one.address)
            case "test":
                for one in everybody:
                    try:
                        actions.send_test(self.shop.campaign, one.address)
                    except actions.Refused:
                        marked.add(one.address)
        return {
            address
            for (address,) in db.rows(
                "SELECT address FROM outbound_send WHERE address = ANY(%s)"
                + ("" if road in ("api", "opt-in") else " AND sending_id > %s"),
                [[one.address for one in everybody], *([] if road in ("api", "opt-in") else [before])],
            )
        } - marked

    def _sending(self, **more: Any) -> Sending:
        version = self.shop.campaign.template.versions.first() if self.shop.campaign.template else None
        return Sending.objects.create(
            workspace=self.workspace,
            purpose_id=self.shop.newsletter.pk,
            version_id=version.pk if version else None,
            sender={"name": "Zoé", "address": "zoe@boutique.example"},
            campaign_id=self.shop.campaign.pk,
            **more,
        )


def _delivered(sending_id: int, one: Person) -> Entry:
    fields = dict.fromkeys(Entry.__dataclass_fields__)
    fields |= {"sending_id": sending_id, "no": one.contact_id, "kind": "campaign", "contact_id": one.contact_id}
    fields |= {"address": one.address, "state": "delivered"}
    return Entry(**fields)  # type: ignore[arg-type]


@pytest.fixture
def world(empty_database: None) -> Iterator[World]:
    workspace = create_workspace("registre")
    shop = open_shop(workspace)
    proof = acts.evidence(workspace, "document", "carnet", document=b"signed")
    parents = acts.evidence(workspace, "document", "carnet", document=b"both", facts={ages.PARENT: "agreed too"})
    yield World(shop, proof, parents, Purpose.objects.get(workspace=workspace, key="transactional"))


def examine(world: World, road: str, first: Sequence[tuple[int, str]], then: Sequence[tuple[int, str]],
            last: Sequence[tuple[int, str]]) -> None:  # fmt: skip
    """One life of a message on one road; AssertionError where something leaves, or stays known, that must not."""
    everybody = world.people()
    for n, act in first:
        world.happen(everybody[n % PEOPLE], act)
    _told_right(world, everybody)
    at_first = {one.address for one in everybody if one.may(road)}
    queued = world.prepare(road, everybody)
    if road not in ("api", "opt-in", "list"):  # these ask when they are leased
        assert queued <= at_first, (road, "was queued against her word")
    for n, act in then:
        world.happen(everybody[n % PEOPLE], act)
    held = lease.lease("here", 5000, seconds=60)
    try:
        ours = {one.address for one in everybody}
        leased = {row.address for one in held for row in one.rows} & ours
        assert leased <= {one.address for one in everybody if one.may(road)}, (road, "was leased against her word")
        for n, act in last:
            world.happen(everybody[n % PEOPLE], act)
        gone = lease.changed(held)
        left = {row.address for one in held for row in one.rows if row.key not in gone} & ours
        assert left <= {one.address for one in everybody if one.may(road)}, (road, "left against her word")
        _told_right(world, everybody)
    finally:
        lease.release(held)
        db.execute("UPDATE outbound_sending SET state = 'stopped' WHERE state = 'sending' AND campaign_id IS NOT NULL")
        db.execute("DELETE FROM outbound_send WHERE address = ANY(%s)", [[one.address for one in everybody]])


def _told_right(world: World, everybody: Sequence[Person]) -> None:
    """“Why” says what the model says, for one person and for all at once."""
    newsletter, bit = world.shop.newsletter, world.shop.newsletter.bit
    for one in everybody:
        contact = one.contact_id if one.here else None
        found = why.why(world.workspace, contact, one.address, newsletter)
        assert found.answer.allowed == one.may("campaign"), (one, found.answer)
        assert found.sentence("en").startswith("Yes" if one.may("campaign") else "No")
        orders = why.why(world.workspace, contact, one.address, world.orders)
        assert orders.answer.allowed == one.may("api"), (one, orders.answer)
        if one.here:
            gate = beyond.behind(gates.refusal_sql("c", bit=bit), beyond.tests("c", beyond.asked(newsletter.pk)))
            (reason,) = db.rows(f"SELECT {gate} FROM contacts_contact c WHERE id = %s", [one.contact_id])[0]
            assert (reason or "") == found.answer.reason, "the masks say what the ledger says"


_acts = st.lists(st.tuples(st.integers(0, PEOPLE - 1), st.sampled_from(ACTS)), max_size=5)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
@given(road=st.sampled_from(ROADS), first=_acts, then=_acts, last=_acts)
def _lives(world: World, road: str, first: Any, then: Any, last: Any) -> None:
    examine(world, road, [(0, "grant"), *first], then, last)


def test_nothing_leaves_that_the_ledger_forbids(world: World) -> None:
    _lives(world)
    for road in ROADS:  # and each road carries what is allowed, or the rest would prove nothing
        everybody = world.people()
        world.happen(everybody[0], "grant")
        assert everybody[0].address in world.prepare(road, everybody), road
        db.execute("UPDATE outbound_sending SET state = 'stopped' WHERE campaign_id IS NOT NULL")
    assert ledger.verify(world.workspace.pk).ok


def _open_sql(*args: Any, **more: Any) -> str:
    return "NULL::text"


def _nobody(*args: Any, **more: Any) -> Any:
    return set()


def _yes(*args: Any, **more: Any) -> gates.Answer:
    return gates.Answer(True)


_OPEN = SimpleNamespace(refusal_sql=_open_sql, may_send=_yes, NO_PERMISSION="")
MUTANTS: dict[str, tuple[str, Any, str, Any, int]] = {
    "a campaign that is prepared without its gate": (
        "campaign",
        choosing,
        "refusal_sql",
        _open_sql,
        0,
    ),
    "a campaign that is leased without its gate": ("campaign", lease, "_refusal", _open_sql, 1),
    "a campaign whose withdrawals do not reach the courier": ("campaign", lease, "_refused_since", lambda *a: {}, 2),
    "a list that is leased without its gate": ("list", lease, "_refusal", _open_sql, 1),
    "messages of programs that are leased without theirs": ("api", lease, "_forbidden", _nobody, 1),
    "confirmations that are leased without theirs": ("opt-in", lease, "_forbidden", _nobody, 1),
    "a message sent again without asking": ("again", resend, "gates", _OPEN, 0),
    "a test sent without asking": ("test", actions, "gates", _OPEN, 0),
}
BEYOND = {
    "a campaign that is prepared": ("campaign", choosing, "beyond", 0),
    "a campaign that is leased": ("campaign", lease, "beyond", 1),
    "a campaign that a courier holds": ("campaign", lease, "beyond", 2),
    "a list that is leased": ("list", lease, "beyond", 1),
    "a message sent again that is leased": ("again", lease, "beyond", 1),
    "a test that is leased": ("test", lease, "beyond", 1),
    "a message sent again": ("again", gates, "_beyond", 0),
    "a test": ("test", gates, "_beyond", 0),
}
"""Roads that must also ask how old she is and whether she was told: where, and at which instant it matters."""
_BLIND = SimpleNamespace(asked=lambda *a: None, tests=lambda *a, **m: [], behind=lambda gate, more: gate)


def test_a_road_without_its_gate_is_caught(world: World) -> None:
    for name, (road, where, gate, mutant, stage) in MUTANTS.items():
        lives: list[list[tuple[int, str]]] = [[(0, "grant")], [], []]
        lives[stage].append((0, "suppress" if road in ("api", "opt-in") else "withdraw"))
        examine(world, road, *lives)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(where, gate, mutant)
            try:
                examine(world, road, *lives)
            except AssertionError as caught:
                assert "against her word" in str(caught), name
            else:
                pytest.fail(f"nobody noticed {name}")


@pytest.mark.parametrize("act", ["a child", "from elsewhere"])
def test_a_road_that_asks_neither_age_nor_origin_is_caught(world: World, act: str) -> None:
    for name, (road, where, gate, stage) in BEYOND.items():
        lives: list[list[tuple[int, str]]] = [[(0, "grant")], [], []]
        lives[stage].append((0, act))
        examine(world, road, *lives)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(where, gate, [] if gate == "_beyond" else _BLIND)
            patch.setattr("tests.consent.test_nothing_leaves._told_right", lambda *a: None)
            try:
                examine(world, road, *lives)
            except AssertionError as caught:
                assert "against her word" in str(caught), name
            else:
                pytest.fail(f"nobody noticed {name}")
