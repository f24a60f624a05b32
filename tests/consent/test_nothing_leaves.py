"""Whatever people say, in whatever order: no road sends what the ledger forbids at that instant, and “why” is right.

Random histories of grants, withdrawals, objections, suppressions, complaints, imports and erasures happen to a few
people, before a message is prepared, before it is leased, and while a courier holds it. A plain model beside the house
says who may be written to at each of the three instants. Each road has a gate; for each gate a mutant without it must
be caught by the same examination. The roads (`tests.consent.roads`) are all there are: campaigns, those that ask for an
agreement among them, mailing lists, messages of programs by API and by SMTP, confirmations, messages sent again, tests,
and what is told of a breach or of new terms. Automated journeys are none yet; they will be one more.
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
from django.db import connection
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from envol import db
from envol.accounts.models import Member, Role, User, Workspace
from envol.accounts.workspaces import NewKey, add_member, create_api_key, create_workspace
from envol.campaigns import actions, choosing, drafts
from envol.consent import acts, ages, gates, informing, ledger, purposes, registry, restriction, silence, suppression
from envol.consent import why as whys
from envol.consent.models import Evidence, Purpose
from envol.consent.similar import Offer
from envol.contacts import beyond, people
from envol.contacts.models import Contact
from envol.edge import certificates
from envol.edge.submission import _keep_fresh
from envol.outbound import lease, resend
from tests.campaigns.shop import Shop, open_shop
from tests.consent.roads import CONTRACT, DUTIES, LATE, ROADS, STRANGERS, prepare
from tests.edge.test_http import Server
from tests.edge.test_submission import HOST, Running
from tests.examples import examples

ACTS = (
    "grant", "withdraw", "object", "suppress", "lift", "silence", "settle", "import", "join", "no orders", "erase",
    "a child", "of age", "a parent", "from elsewhere", "told", "restrict", "unrestrict", "buys books", "buys records",
)  # fmt: skip
PEOPLE = 2
BOOKS, RECORDS = "livres", "disques"
ABOUT_BOOKS = ("campaign", "again", "test")
"""Roads whose messages say so; the others say nothing, and reach no customer on the ground of a sale."""
SLOW = ("asking", "asked once")
"""Roads on which a whole campaign, or a move, is made each time."""
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
    restricted: bool = False
    bought: str = ""
    """She answers as a customer, who bought this."""
    asked_once: bool = False
    """A member declared a ground on which she may be asked for a consent."""

    @property
    def ready(self) -> bool:
        """Old enough or helped by a parent, and told where her data came from."""
        return not self.to_tell and (self.by_parent or not self.child)

    def wants(self, road: str) -> bool:
        """Does the message of this road speak of what she bought? What names no kind of product does not."""
        return self.bought in ("", BOOKS if road in ABOUT_BOOKS else "")

    def may(self, road: str) -> bool:
        if "all" in self.lists or (self.here and self.restricted):
            return False
        if road in STRANGERS:  # a contract, or her own request: only her refusal of these
            return not (self.here and self.orders_refused)
        if road in DUTIES:  # the law wants it (GDPR art. 12 and 34), of somebody we know: whoever was erased is nobody
            return self.here
        if road == "test":  # a colleague's look, which must not reach somebody who said no
            if self.here and self.answer == "yes" and not (self.ready and self.wants(road)):
                return False
            return not (self.here and (self.answer == "no" or self.silenced or "marketing" in self.lists))
        open_ = self.here and not self.silenced and "marketing" not in self.lists
        if road == "asked once":  # a purpose of its own, for which no parent spoke
            return open_ and self.asked_once and not self.to_tell and not self.child
        return open_ and self.answer == "yes" and self.ready and self.wants(road)


@dataclass
class World:
    shop: Shop
    proof: Evidence
    parents: Evidence
    sales: dict[str, Evidence]
    orders: Purpose
    member: Member
    key: NewKey
    relay: Running
    http: Server

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
                    who.answer, who.by_parent, who.bought = "yes", False, ""
                except acts.Refusal:
                    assert barred
            case "buys books" | "buys records":
                bought = BOOKS if act == "buys books" else RECORDS
                try:
                    acts.grant(
                        place, who.contact_id, who.address, newsletter, basis="customer",
                        proof_of=self.sales[bought], since=at,
                    )  # fmt: skip
                    assert not who.lists and who.answer != "no", "nobody brings back who said no"
                    who.answer, who.by_parent, who.bought = "yes", False, bought
                except acts.Refusal:
                    assert who.lists or who.answer == "no"
            case "withdraw":
                acts.withdraw(place, who.contact_id, [newsletter], since=at)
                who.answer = "no"
            case "object":
                acts.object_to_marketing(place, who.contact_id, who.address, "her letter", since=at)
                who.lists.add("marketing")
                who.answer = "no" if who.answer == "yes" else who.answer
                who.asked_once = False
            case "suppress":
                suppression.add(place, who.address, "all", "hard_bounce", "outcome 1/1")
                who.lists.add("all")
            case "lift":
                suppression.lift(place, who.address, "all", "it works again")
                who.lists.discard("all")
            case "a parent" if who.answer == "yes" and not who.lists:
                acts.grant(place, who.contact_id, who.address, newsletter, proof_of=self.parents, since=at)
                who.by_parent, who.bought = True, ""
            case "a child" | "of age":
                one, born = Contact.objects.get(pk=who.contact_id), "2020-02-29" if act == "a child" else "1980-01-01"
                people.set_values(one, {"birth_date": born}, people.source(place, "form", "Salon"))
                who.child = act == "a child"
            case "from elsewhere":
                informing.came(self.workspace, f"Salon {next(_moments)}", [who.contact_id])
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
            case "restrict":
                restriction.begin(place, who.contact_id, "her letter")
                who.restricted = True
            case "unrestrict":
                restriction.end(place, who.contact_id)
                who.restricted = False
            case "erase":
                registry.erase_person(place, who.contact_id, who.address, cause="her request")
                who.here, who.silenced, who.orders_refused, who.answer = False, False, False, ""
                who.bought = ""
                who.child = who.by_parent = who.to_tell = who.restricted = who.asked_once = False
                who.lists.add("marketing")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> certificates.Kept:
    folder = tmp_path_factory.mktemp("tls")
    certificates.make_self_signed(HOST, folder / "c.pem", folder / "k.pem")
    return certificates.Kept(folder / "c.pem", folder / "k.pem")


def _keep(batch: Any) -> Any:
    try:
        return _keep_fresh(batch)
    finally:
        connection.close()  # the database of a test goes with it


@pytest.fixture(scope="module")
def http() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


@pytest.fixture
def world(empty_database: None, kept: certificates.Kept, http: Server) -> Iterator[World]:
    workspace = create_workspace("registre")
    shop = open_shop(workspace)
    proof = acts.evidence(workspace, "document", "carnet", document=b"signed")
    parents = acts.evidence(workspace, "document", "carnet", document=b"both", facts={ages.PARENT: "agreed too"})
    owner = add_member(workspace, User.objects.create_user(f"{secrets.token_hex(4)}@equipe.example", "x"), Role.OWNER)
    told = {"sale_ref": "F-1", "sale_date": "2026-01-01", "optout_offered": True}
    sales = {
        one: acts.evidence(workspace, "document", "caisse", document=b"till", facts={**told, "product_family": one})
        for one in (BOOKS, RECORDS)
    }
    shop.campaign = drafts.edit(shop.campaign, shop.campaign.revision, product_family=BOOKS)
    orders = Purpose.objects.get(workspace=workspace, key="transactional")
    running = Running(kept, _keep)
    yield World(shop, proof, parents, sales, orders, owner, create_api_key(workspace, "la boutique"), running, http)
    running.stop()


def examine(world: World, road: str, first: Sequence[tuple[int, str]], then: Sequence[tuple[int, str]],
            last: Sequence[tuple[int, str]]) -> None:  # fmt: skip
    """One life of a message on one road; AssertionError where something leaves, or stays known, that must not."""
    everybody = world.people()
    for n, act in first:
        world.happen(everybody[n % PEOPLE], act)
    _told_right(world, everybody)
    queued = prepare(world, road, everybody)
    if road not in LATE:
        at_first = {one.address for one in everybody if one.may(road)}
        assert queued <= at_first, (road, "was queued against her word")
    _told_right(world, everybody)
    for n, act in then:
        world.happen(everybody[n % PEOPLE], act)
    held = _lease()
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
        _clear()


def _lease() -> list[lease.Lease]:
    """Everything that a courier may take up now, in as many steps as it takes."""
    held: list[lease.Lease] = []
    while more := lease.lease("here", 5000, seconds=60):
        held += more
    return held


def _clear() -> None:
    """Nothing waits any more: this database is this test's alone, and word of a breach goes to everybody in it."""
    db.execute("UPDATE outbound_sending SET state = 'stopped' WHERE state = 'sending' AND campaign_id IS NOT NULL")
    for table in ("retry", "send", "chunk"):
        db.execute(f"DELETE FROM outbound_{table}")


def _told_right(world: World, everybody: Sequence[Person]) -> None:
    """“Why” says what the model says, for one person and for all at once."""
    newsletter, bit = world.shop.newsletter, world.shop.newsletter.bit
    once = Purpose.objects.filter(workspace=world.workspace, key=purposes.ASKED_ONCE).first()
    for one in everybody:
        contact = one.contact_id if one.here else None
        found = whys.why(world.workspace, contact, one.address, newsletter, offer=Offer(BOOKS))
        assert found.answer.allowed == one.may("campaign"), (one, found.answer)
        assert found.sentence("en").startswith("Yes" if one.may("campaign") else "No")
        orders = whys.why(world.workspace, contact, one.address, world.orders)
        assert orders.answer.allowed == one.may("api"), (one, orders.answer)
        if once is not None:
            asked = whys.why(world.workspace, contact, one.address, once)
            assert asked.answer.allowed == one.may("asked once"), (one, asked.answer)
        if one.here:
            more = beyond.tests("c", beyond.asked(newsletter.pk), offer=Offer(BOOKS))
            gate = beyond.behind(gates.refusal_sql("c", bit=bit), more)
            (reason,) = db.rows(f"SELECT {gate} FROM contacts_contact c WHERE id = %s", [one.contact_id])[0]
            said = gates.RESTRICTED if one.restricted and reason == gates.SUPPRESSED else reason or ""  # one mask
            assert said == found.answer.reason, "the masks say what the ledger says"


_acts = st.lists(st.tuples(st.integers(0, PEOPLE - 1), st.sampled_from(ACTS)), max_size=5)


def _lives(world: World, road: str) -> None:
    """Some lives on one road, always the same ones; `make fuzz` tries more."""

    @settings(
        max_examples=examples(2 if road in SLOW else 4, 0.5), deadline=None, suppress_health_check=list(HealthCheck),
        database=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
    )  # fmt: skip
    @given(first=_acts, then=_acts, last=_acts)
    def live(first: Any, then: Any, last: Any) -> None:
        granted = [] if road == "asked once" else [(0, "grant")]
        examine(world, road, [*granted, *first], then, last)

    live()


def test_nothing_leaves_that_the_ledger_forbids(world: World) -> None:
    for road in ROADS:
        _lives(world, road)
        everybody = world.people()  # and each road carries what is allowed, or the rest would prove nothing
        if road != "asked once":
            world.happen(everybody[0], "grant")
        allowed = everybody[0].address
        assert allowed in prepare(world, road, everybody), road
        held = _lease()
        assert allowed in {row.address for one in held for row in one.rows}, road
        lease.release(held)
        _clear()
    assert ledger.verify(world.workspace.pk).ok


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_by_no_road_does_anything_reach_somebody_whose_data_rest(world: World, stage: int) -> None:
    """GDPR art. 18: kept, and not used; nor by a program that knows the address alone."""
    for road in ROADS:
        lives: list[list[tuple[int, str]]] = [[] if road == "asked once" else [(0, "grant")], [], []]
        lives[stage].append((0, "restrict"))
        examine(world, road, *lives)


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
    "an asking that is leased without its gate": ("asking", lease, "_refusal", _open_sql, 1),
    "an asking after a move that is leased without it": ("asked once", lease, "_refusal", _open_sql, 1),
    "messages of programs that are leased without theirs": ("api", lease, "_refusal", _open_sql, 1),
    "messages of programs that a courier holds": ("api", lease, "_refusal", _open_sql, 2),
    "submitted messages that are leased without theirs": ("relay", lease, "_forbidden", _nobody, 1),
    "submitted messages that a courier holds": ("relay", lease, "_forbidden", _nobody, 2),
    "measured ones that are leased without theirs": ("relay, measured", lease, "_refusal", _open_sql, 1),
    "confirmations that are leased without theirs": ("opt-in", lease, "_forbidden", _nobody, 1),
    "single messages sent again that are leased without": ("single again", lease, "_forbidden", _nobody, 1),
    "word of a breach that is leased without its gate": ("breach", lease, "_refusal", _open_sql, 1),
    "word of new terms that is leased without its gate": ("policy", lease, "_refusal", _open_sql, 1),
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
"""Roads that must also ask how old she is, whether she was told and what she bought: where, and at which instant it
matters."""
_BLIND = SimpleNamespace(asked=lambda *a: None, tests=lambda *a, **m: [], behind=lambda gate, more: gate)


def test_a_road_without_its_gate_is_caught(world: World) -> None:
    for name, (road, where, gate, mutant, stage) in MUTANTS.items():
        lives: list[list[tuple[int, str]]] = [[(0, "grant")], [], []]
        if road == "asked once":
            lives[0] = []
        act = "suppress" if road in CONTRACT else "object" if road == "asked once" else "withdraw"
        lives[stage].append((0, act))
        examine(world, road, *lives)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(where, gate, mutant)
            try:
                examine(world, road, *lives)
            except AssertionError as caught:
                assert "against her word" in str(caught), name
            else:
                pytest.fail(f"nobody noticed {name}")


@pytest.mark.parametrize("act", ["a child", "from elsewhere", "buys records"])
def test_a_road_that_asks_neither_age_nor_origin_nor_what_was_bought_is_caught(world: World, act: str) -> None:
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
