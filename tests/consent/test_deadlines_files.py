"""Yet more deadlines by the moved clock (`tests.consent.test_deadlines`): files, programs, authorities, customers.

A one-time code is given up by the database's clock, so its row is moved. Permissions from before 14 April 2026, which
the French authority let be measured until 14 July 2026 unless somebody objected, have no grace here: an answer that is
not known has been no since the table's first day.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import time_machine
from django.conf import settings

from envol import db
from envol.accounts.models import Job, Workspace
from envol.api.hooks import endpoints
from envol.api.moving import jobs, move
from envol.api.moving.found import Found
from envol.consent import demands, measuring, tasks
from envol.consent.gates import tracking_level
from envol.contacts import export_files, imports, people
from envol.contacts import tasks as of_contacts
from envol.contacts.filters import Filter
from envol.contacts.models import Contact
from envol.contacts.orders import NewOrder, add_bulk
from envol.events import outbox
from envol.events.models import Kind, MailRequest
from envol.outbound import accept, lease, settle, states
from envol.outbound.settle import DEFERRED, Result
from tests.consent.test_deadlines import ZOE, Deadline, Over, Place, after, by_day, hold, moment

pytestmark = pytest.mark.usefixtures("empty_database")


def _export(place: Place) -> Over:
    people.upsert(place.workspace, ZOE, source=people.source(place.workspace, "form", "Salon"))
    made = export_files.prepare(place.workspace, Filter(), "csv", ["email"], reason="A move", name="Tous")
    export_files.write(made)
    made.refresh_from_db()
    file = Path(settings.ENVOL.data) / made.path

    def over() -> bool:
        of_contacts.sweep_exports(0)
        return not list(file.parent.glob(f"{file.stem}*"))

    return over


def _upload(place: Place) -> Over:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "salon.csv"
        path.write_text(f"email\n{ZOE}\n")
        imp = imports.receive(place.workspace, path, path.name)
    file = Path(settings.ENVOL.data) / imp.path

    def over() -> bool:
        of_contacts.sweep_exports(0)
        return not file.exists()

    return over


def _move(place: Place) -> Over:
    found = Found("Brevo")
    assert found.person(ZOE) is not None
    made = move.plan(place.workspace, found)
    job = Job.objects.create(
        workspace=place.workspace, kind=move.KIND, state="done", result={"state": "tried", "import": made.imp.pk}
    )
    there = jobs._folder(job.pk)
    there.mkdir(mode=0o700)
    (there / "found").write_bytes(b"{}")

    def over() -> bool:
        jobs.sweep()
        return not there.exists()

    return over


def _customer(place: Place) -> Over:
    made = people.upsert(place.workspace, ZOE, source=people.source(place.workspace, "form", "Salon"))
    Contact.objects.filter(pk=made.pk).update(created_at=place.now - timedelta(days=4000))
    add_bulk(place.workspace, [NewOrder(secrets.token_hex(4), place.now, 1999, contact_id=made.pk)])

    def over() -> bool:
        tasks.retain(0)
        return not Contact.objects.filter(pk=made.pk).exists()

    return over


def _demand(level: int) -> Callable[[Place], Over]:
    def begin(place: Place) -> Over:
        today = place.workspace.today()
        demands.receive(place.workspace, "Court", "US", "All", today, answer_by=today + timedelta(days=10))

        def over() -> bool:
            demands.warn()
            said = MailRequest.objects.filter(workspace_id=place.workspace.pk, kind="notice").count()
            return said >= 1 if level == 1 else demands.late(place.workspace)

        return over

    return begin


def _told(place: Place, age: Callable[[outbox.Row], bool]) -> Over:
    made, _secret = endpoints.declare(place.workspace, "https://example.org/hook", form="standard", kinds=[1])
    outbox.put(made, Kind.DELIVERED, {"test": {}})
    (row,) = outbox.take(made, 1)
    return lambda: age(row)


def _given_up(place: Place) -> Over:
    return _told(place, lambda row: outbox.too_old(row, 0))


def _told_again(place: Place) -> Over:
    made, _secret = endpoints.declare(place.workspace, "https://example.org/hook", form="standard", kinds=[1])
    row = outbox.put(made, Kind.DELIVERED, {"test": {}})

    def over() -> bool:
        outbox.keep_house(datetime.now(UTC))
        return not db.value("SELECT EXISTS (SELECT FROM events_outbox WHERE id = %s)", [row])

    return over


DEADLINES: dict[str, Deadline] = {
    "a file for a member": Deadline(_export, after(hours=24)),
    "a file that nobody took in": Deadline(_upload, after(days=30)),
    "a move that nobody carried out": Deadline(_move, after(days=30)),
    "a customer who never came back": Deadline(_customer, lambda now: moment(now, 36)),
    "an authority waits: owners hear of it": Deadline(_demand(1), by_day(days=7)),
    "an authority waits beyond its day": Deadline(_demand(2), by_day(days=11)),
    "a program that does not answer": Deadline(_given_up, after(hours=24)),
    "what a program can be told again": Deadline(_told_again, after(days=7)),
}


@pytest.mark.parametrize("name", DEADLINES)
def test_it_is_over_at_its_end_and_not_before(name: str) -> None:
    hold(name, DEADLINES[name])


@pytest.mark.parametrize(("minutes", "ended"), [(13, False), (17, True)])
def test_a_one_time_code_is_tried_for_a_quarter_of_an_hour(workspace: Workspace, minutes: int, ended: bool) -> None:
    sent = accept.Outgoing(workspace.pk, ("Shop", "s@librairie.example"), [("", ZOE)], "Code", "4711", code=True)
    accept.accept_messages([sent])
    number = db.value(
        "SELECT id FROM outbound_sending WHERE workspace_id = %s AND lifetime_seconds = 900", [workspace.pk]
    )
    for again in range(4):
        leases = lease.lease("test", 10, seconds=900)
        (row,) = [one for held in leases for one in held.rows]
        if again == 3:  # the receiver deferred it for so long
            db.execute("UPDATE outbound_retry SET first_at = now() - make_interval(mins => %s)", [minutes])
        settle.settle([Result(row, DEFERRED, "later", 451, None, "later")])
        lease.release(leases)
        db.execute("UPDATE outbound_retry SET due = now()")
    counted = states.counts(number)
    assert (counted["expired"], counted["deferred"]) == ((1, 0) if ended else (0, 1)), counted


@pytest.mark.parametrize("day", [date(2026, 4, 14), date(2026, 7, 14), date(2026, 7, 15), date(2026, 7, 16)])
def test_addresses_from_before_the_rule_have_no_grace(workspace: Workspace, day: date) -> None:
    """France, 14 April to 14 July 2026: unknown is no, on each of these days; only what needs no consent is left."""
    workspace.opens_mode = workspace.clicks_mode = "individual"
    assert measuring.without_consent("FR", day).opens == "last_open_day"
    with time_machine.travel(datetime(day.year, day.month, day.day, 12, tzinfo=UTC)):
        level = tracking_level(workspace, 0, 0, "FR")
    assert level.opens != "individual" and level.clicks != "individual"
