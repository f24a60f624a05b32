"""Deadlines by the clock of this machine: nothing is over a moment before its end, and everything is right behind it.

The clock itself is moved, and what is asked is what a member, a person or the worker asks: no moment is handed in. Each
end is reckoned here anew, from the calendar of the workspace, so a term that moves by a day is found.

Terms that the database's clock decides cannot be moved so, and are tested by moving the row: suppressions for a time
and bounces within 7 and 30 days (`tests/outbound/test_settle.py`, `tests/consent/test_suppression.py`), mail that is
held (`tests/web/test_held.py`), words and metadata of messages (`tests/outbound/test_emptying.py`), leases and retries.
Links in messages have no end on purpose: who unsubscribes years later is heard.
"""

from __future__ import annotations

import calendar
import os
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from envol.accounts import undo as undos
from envol.accounts.models import Member, Role, User, Workspace
from envol.accounts.workspaces import add_member, create_workspace
from envol.api import tasks as api_tasks
from envol.api.hooks import endpoints
from envol.collect import joining
from envol.collect import tasks as collecting
from envol.collect.models import SignupRequest
from envol.consent import (
    acts,
    breaches,
    evidence_pack,
    gates,
    informing,
    lapse,
    ledger,
    policies,
    purposes,
    reopening,
    requests,
    tasks,
    tenants,
    transfers,
)
from envol.consent.models import Origin, Processor, Purpose, RightsRequest
from envol.contacts import bulk, catalogue, people
from envol.contacts.filters import Filter
from envol.contacts.models import Contact
from envol.events.models import MailRequest
from envol.outbound import domains
from envol.outbound import tasks as outbound
from envol.outbound.models import DkimKey
from tests.collect.helpers import mails, make_form, post, secret_of, shown

pytestmark = pytest.mark.usefixtures("empty_database")  # a clock years ahead ends what belongs to other tests too

PARIS = ZoneInfo("Europe/Paris")
NEAR = timedelta(minutes=2)
WEEK = timedelta(days=7)
ZOE = "zoe@lecteurs.example"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"

Over = Callable[[], bool]
"""Is it over, by the clock as it stands?"""


class Place(NamedTuple):
    workspace: Workspace
    owner: Member
    now: datetime


class Deadline(NamedTuple):
    """``begin`` lets it begin now; ``end`` says from the calendar when it is over."""

    begin: Callable[[Place], Over]
    end: Callable[[datetime], datetime]


def after(**spans: int) -> Callable[[datetime], datetime]:
    return lambda now: now + timedelta(**spans)


def midnight(day: date, zone: tzinfo = PARIS) -> datetime:
    """When this day begins where the organisation lives. What concerns the whole installation begins by UTC."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def months(day: date, number: int) -> date:
    """The same day so many months later, or the last of that month."""
    year, month = divmod(day.year * 12 + day.month - 1 + number, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def moment(now: datetime, number: int) -> datetime:
    """This very time of day, so many months later; where there is no such day, when that month is over."""
    day = months(now.date(), number)
    if day.day < now.day:
        return datetime.combine(day + timedelta(days=1), time(), UTC)
    return datetime.combine(day, now.timetz())


def by_day(**how: int) -> Callable[[datetime], datetime]:
    """When the day so many days or months later begins."""

    def end(now: datetime) -> datetime:
        today = now.astimezone(PARIS).date()
        return midnight(months(today, how.get("months", 0)) + timedelta(days=how.get("days", 0)))

    return end


# ---- requests about data (GDPR art. 12)


def _received(place: Place) -> RightsRequest:
    return requests.receive(place.workspace, "rectification", ZOE, channel="member", words="Zoë", actor_id=1)


def _warned(level: int, *, extended: bool = False) -> Callable[[Place], Over]:
    def begin(place: Place) -> Over:
        one = _received(place)
        if extended:
            requests.prove(one, "called back", 1)
            one.refresh_from_db()
            requests.extend(one, "many files", 1)

        def over() -> bool:
            tasks.warn(0)
            return RightsRequest.objects.get(pk=one.pk).warned >= level

        return over

    return begin


def _no_extension(place: Place) -> Over:
    one = requests.prove(_received(place), "called back", 1)

    def over() -> bool:
        page = _signed_in(place.owner).post(f"/consent/requests/{one.pk}", {"act": "extend", "said": "many files"})
        late = page.status_code == 422
        assert late or page.status_code == 303, page.status_code
        assert (RightsRequest.objects.get(pk=one.pk).extended_at is None) == late
        RightsRequest.objects.filter(pk=one.pk).update(extended_at=None, due_at=one.due_at)
        return late

    return over


def _link(place: Place) -> Over:
    people.upsert(place.workspace, ZOE, {}, source=people.source(place.workspace, "form", "Salon"))
    requests.receive(place.workspace, "access", ZOE, channel="page")
    mail = MailRequest.objects.filter(recipient=ZOE, kind="rights").latest("pk")
    found = re.search(r"/r/[\w-]{43}", mail.facts["text"])
    assert found
    return lambda: Client(HTTP_HOST="localhost").get(found[0]).status_code != 200


def _decided(place: Place) -> Over:
    one = requests.prove(_received(place), "called back", 1)
    requests.refuse(one, "not ours", 1)
    one.refresh_from_db()
    return lambda: bool(reopening.barred(one))


# ---- breaches (art. 33), notices (art. 14), terms, processors (art. 28), transfers (art. 44)


def _alerts(number: int) -> Callable[[Place], Over]:
    def begin(place: Place) -> Over:
        breach = breaches.begin(place.workspace, "Fichier égaré", place.now)

        def over() -> bool:
            tasks.look_for_breaches(0)
            return sum(line.kind == "alert" for line in breaches.state(breach).lines) >= number

        return over

    return begin


def _late(place: Place) -> Over:
    breach = breaches.begin(place.workspace, "Fichier égaré", place.now)
    return lambda: breaches.state(breach).late


def _origin(level: int) -> Callable[[Place], Over]:
    def begin(place: Place) -> Over:
        zoe = people.upsert(place.workspace, ZOE, {}, source=people.source(place.workspace, "form", "Salon"))
        made = informing.came(place.workspace, "Salon", [zoe.pk])

        def over() -> bool:
            tasks.lapse_permissions(0)
            return Origin.objects.get(pk=made.pk).warned >= level

        return over

    return begin


def _terms(place: Place) -> Over:
    zoe = people.upsert(place.workspace, ZOE, {}, source=people.source(place.workspace, "form", "Salon"))
    policies.publish(place.workspace, "terms", {"fr": "Un", "en": "One"})
    second = policies.publish(place.workspace, "terms", {"fr": "Deux", "en": "Two"})

    def over() -> bool:
        today = datetime.now(PARIS).date()
        return policies.applied(place.workspace, zoe.pk, "terms", today) == second

    return over


def _planned(place: Place) -> Over:
    made = tenants.plan("Nouvel hébergeur", "x", place.now.astimezone(PARIS).date() + timedelta(days=60))

    def over() -> bool:
        tasks.tell_planned(0)
        return made.on in [one.on for one in tenants.told(place.workspace)]

    return over


def _objection(place: Place) -> Over:
    day = place.now.astimezone(PARIS).date() + timedelta(days=40)
    (told,) = tenants.tell("processor", "Hébergeur", "x", on=day, among=[place.workspace])

    def over() -> bool:
        try:
            with timezone.override(PARIS):  # as the page does, by the member's clock
                tenants.object_to(place.workspace, told.no, "not there", place.owner.pk)
        except tenants.Refused:
            return True
        tenants.JournalEntry.objects.filter(workspace=place.workspace, action=tenants.OBJECTED).delete()
        return False

    return over


def _judged(code: str, **given: object) -> Callable[[Place], Over]:
    def begin(place: Place) -> Over:
        told = {"listed_on": place.now.date()} if given.get("tool") == "dpf" else {}
        one = Processor.objects.create(workspace=place.workspace, name="X", role="recipient", **given, **told)
        return lambda: transfers.judge(one).code == code

    return begin


# ---- permissions and what is kept


def _reader(place: Place, days_ago: int = 0, **more: object) -> tuple[Contact, Purpose]:
    newsletter = purposes.get(place.workspace, "newsletter")
    made = people.upsert(place.workspace, ZOE, {}, source=people.source(place.workspace, "form", "Salon"))
    proof = acts.evidence(place.workspace, "document", "carnet", document=b"signed")
    people.grant(made, newsletter, proof_of=proof, proof="1", since=place.now - timedelta(days=days_ago), **more)
    return made, newsletter


def _may_not(made: Contact, purpose: Purpose) -> bool:
    tasks.lapse_permissions(0)
    return not gates.may_send(purpose.workspace.pk, made.pk, made.email_key, purpose.pk).allowed


def _term(place: Place) -> Over:
    made, newsletter = _reader(place)
    lapse.change(newsletter, 24)
    return lambda: _may_not(made, newsletter)


def _announced(place: Place) -> Over:
    """It is older than its new term; who is there already keeps it for thirty days, in which she can be asked."""
    made, newsletter = _reader(place, days_ago=900)
    lapse.change(newsletter, 24)
    return lambda: _may_not(made, newsletter)


def _asked_once(place: Place) -> Over:
    made = people.upsert(place.workspace, ZOE, {}, source=people.source(place.workspace, "form", "Salon"))
    purpose = purposes.asked_once(place.workspace)
    facts = {"job_role": "x", "relation_note": "y"}
    proof = acts.evidence(place.workspace, "statement", "salon", statement="x", member_id=place.owner.pk, facts=facts)
    ledger.append(
        place.workspace.pk, [ledger.Line(made.pk, purpose.pk, "granted", "business", place.now, proof.pk, "1")]
    )

    def over() -> bool:
        api_tasks.end_asking(0)
        return not gates.may_send(place.workspace.pk, made.pk, made.email_key, purpose.pk).allowed

    return over


def _prospect(place: Place) -> Over:
    made = people.upsert(place.workspace, ZOE, {}, source=people.source(place.workspace, "form", "Salon"))
    Contact.objects.filter(pk=made.pk).update(created_at=place.now)

    def over() -> bool:
        tasks.retain(0)
        return not Contact.objects.filter(pk=made.pk).exists()

    return over


def _of_age(place: Place) -> Over:
    """Fifteen in France (loi 78-17, art. 45): from her birthday on she agrees alone."""
    catalogue.create_defaults(place.workspace)
    made, newsletter = _reader(place)
    born = months(place.now.astimezone(PARIS).date(), -15 * 12) + timedelta(days=3)
    people.set_values(made, {"birth_date": born.isoformat()}, people.source(place.workspace, "form", "Salon"))
    return lambda: gates.may_send(place.workspace.pk, made.pk, made.email_key, newsletter.pk).allowed


def _confirmation(place: Place) -> Over:
    form = make_form(place.workspace)
    seen = shown(form, at=None)
    written = joining.read(form, seen, post(form, ZOE))
    joining.ask(form, written, seen, client="192.0.2.1", language="fr")
    secret = secret_of(mails(place.workspace)[-1])
    return lambda: joining.find(form, secret) is None


def _unconfirmed(place: Place) -> Over:
    _confirmation(place)

    def over() -> bool:
        collecting.keep_house()
        return not SignupRequest.objects.filter(workspace_id=place.workspace.pk).exists()

    return over


# ---- what can be taken back, what opens something


def _bulk(place: Place) -> Over:
    people.upsert(place.workspace, ZOE, {}, source=people.source(place.workspace, "form", "Salon"))
    made = bulk.prepare(place.workspace, "tag", {"tag": "x"}, Filter(), member_id=place.owner.pk)
    bulk.apply(made)
    offered = bulk.undo_of(made)
    assert offered is not None

    def over() -> bool:
        closed = not bulk.can_undo(made)
        assert closed == (offered.entry_id not in undos.open_for([offered.entry_id])), "the button and the act agree"
        return closed

    return over


def _both_sign(place: Place) -> Over:
    made, _secret = endpoints.declare(place.workspace, "https://example.org/hook", form="standard", kinds=[1])
    endpoints.renew(made, actor="member", actor_id=None)
    made.refresh_from_db()
    return lambda: len(endpoints.signing(made)[0]) == 1


def _pack(place: Place) -> Over:
    evidence_pack.folder().mkdir(parents=True, exist_ok=True)
    file = evidence_pack.folder() / f"{place.workspace.pk}-x.zip"
    file.write_bytes(b"x")
    os.utime(file, (place.now.timestamp(),) * 2)

    def over() -> bool:
        evidence_pack.sweep()
        return not file.exists()

    return over


def _retired_key(place: Place) -> Over:
    domain = domains.add(place.workspace, "boutique.example", trusted=True)
    DkimKey.objects.filter(domain=domain).update(state="retired", retired_at=place.now)

    def over() -> bool:
        outbound.rotate(0)
        return all(not bytes(key.private_sealed) for key in DkimKey.objects.filter(domain=domain))

    return over


def _signed_in(member: Member) -> Client:
    client = Client(HTTP_HOST="localhost")
    client.force_login(member.user, BACKEND)
    return client


DEADLINES: dict[str, Deadline] = {
    "a request: owners hear of it on the 15th day": Deadline(_warned(1), after(days=15)),
    "a request: again on the 25th": Deadline(_warned(2), after(days=25)),
    "a request: its calendar month": Deadline(_warned(3), by_day(months=1, days=1)),
    "a request: two months more": Deadline(_warned(3, extended=True), by_day(months=3, days=1)),
    "a request: extended within its month alone": Deadline(_no_extension, by_day(months=1, days=1)),
    "a request: its link": Deadline(_link, after(days=7)),
    "a decision is taken back": Deadline(_decided, after(days=7)),
    "a breach: first reminder": Deadline(_alerts(1), after(hours=24)),
    "a breach: second reminder": Deadline(_alerts(2), after(hours=48)),
    "a breach: last reminder": Deadline(_alerts(3), after(hours=66)),
    "a breach: 72 hours": Deadline(_late, after(hours=72)),
    "told where data came from: the last days": Deadline(_origin(1), lambda now: by_day(months=1, days=1)(now) - WEEK),
    "told where data came from: a month": Deadline(_origin(2), by_day(months=1, days=1)),
    "new terms bind": Deadline(_terms, by_day(days=30)),
    "a planned processor is told": Deadline(
        _planned, lambda now: midnight(now.astimezone(PARIS).date() + timedelta(days=60 - 33), UTC)
    ),
    "a processor is objected to": Deadline(_objection, by_day(days=40)),
    "the list of the framework is looked up again": Deadline(
        _judged("look_again", country="US", tool="dpf"), lambda now: midnight(now.date() + timedelta(days=32), UTC)
    ),
    "an adequacy ends soon": Deadline(_judged("ends_soon", country="GB"), lambda now: midnight(date(2031, 7, 1), UTC)),
    "an adequacy has ended": Deadline(_judged("no_tool", country="GB"), lambda now: midnight(date(2031, 12, 28), UTC)),
    "a permission by its term": Deadline(_term, lambda now: moment(now, 24)),
    "a term is announced": Deadline(_announced, by_day(days=30)),
    "a ground to ask once": Deadline(_asked_once, after(days=60)),
    "who never acted is forgotten": Deadline(_prospect, lambda now: moment(now, 36)),
    "she is old enough": Deadline(_of_age, by_day(days=3)),
    "a sign-up is confirmed": Deadline(_confirmation, after(days=7)),
    "a sign-up is forgotten": Deadline(_unconfirmed, after(days=7)),
    "an act on many people is taken back": Deadline(_bulk, after(days=7)),
    "a former secret of a webhook signs": Deadline(_both_sign, after(hours=24)),
    "an evidence pack waits": Deadline(_pack, after(days=7)),
    "a retired key is destroyed": Deadline(_retired_key, after(days=7)),
}


def hold(name: str, deadline: Deadline) -> None:
    """Let it begin in a new workspace; it is not over two minutes before its end, and is two minutes after."""
    begin, end = deadline
    workspace = create_workspace("registre")
    owner = add_member(workspace, User.objects.create_user("o@equipe.example", "x", language="en"), Role.OWNER)
    now = datetime.now(UTC)
    with time_machine.travel(now):
        over = begin(Place(workspace, owner, now))
    ends = end(now)
    for at, expected in ((ends - NEAR, False), (ends + NEAR, True)):
        with time_machine.travel(at):
            assert over() is expected, f"{name}: {at} of {ends}"


@pytest.mark.parametrize("name", DEADLINES)
def test_it_is_over_at_its_end_and_not_before(name: str) -> None:
    hold(name, DEADLINES[name])
