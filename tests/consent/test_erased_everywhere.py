"""After an erasure nothing of the person is found, wherever one looks (GDPR art. 17).

Somebody with a name, addresses and numbers that nobody else has goes through everything people go through here, by the
roads that put her there. She is erased by the ordinary road, and every text, JSON and bytea column of every table, the
columns beside the database and every file of the data directory is read through for any of it. What stays may hold the
keyed digest of her address, and no word of hers.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import secrets
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import time_machine
from django.conf import settings
from django.db import connection
from django.utils import timezone
from psycopg import sql

from envol import db
from envol.accounts import looks
from envol.accounts.models import Role, User, Workspace
from envol.accounts.workspaces import NewKey, add_member, create_api_key, create_workspace
from envol.api.hooks import endpoints
from envol.audience.columns import build, upkeep
from envol.collect import joining
from envol.consent import directives, erasures, ledger, requests, restriction, retention, silence
from envol.consent.models import Erasure
from envol.contacts import bulk, catalogue, export_files, fields, imports, people
from envol.contacts import privacy as of_contacts
from envol.contacts.filters import Filter
from envol.contacts.models import Contact, List
from envol.contacts.orders import NewLine, NewOrder, add_bulk
from envol.content import links
from envol.events import NewEvent, record
from envol.events.models import Kind
from envol.outbound import requests as asked_mail
from envol.outbound import returned
from tests.campaigns.shop import Shop, open_shop, start
from tests.collect.helpers import ask, mails, make_form, secret_of
from tests.edge.test_http import Server

BODY = "<html><body><p>Bonjour {{ contact.first_name | default('vous') }}</p></body></html>"
pytestmark = pytest.mark.usefixtures("empty_database")  # the copy beside the tables is looked after everywhere

PAGE = "https://lettre.librairie.example/s/x"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


@pytest.fixture
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setattr(settings, "ENVOL", dataclasses.replace(settings.ENVOL, data=data, columns_from=1))
    monkeypatch.setenv("ENVOL_DATA", str(data))
    return data


class Zoe:
    """Her words: each is of her alone, so that one that is found is hers."""

    def __init__(self) -> None:
        mark = secrets.token_hex(5)
        self.first, self.last, self.street = f"Zo{mark}", f"Martin{mark}", f"Ruelle{mark}"
        self.before, self.address = f"avant.{mark}@lecteurs.example", f"zoe.{mark}@lecteurs.example"
        self.phone = f"+3361{secrets.randbelow(10**7):07}"
        self.number = f"C{mark}"
        self.words = (mark, self.phone[1:])
        """Everything above holds one of these."""


def lives(server: Server, zoe: Zoe, files: Path) -> tuple[Shop, int]:
    """All that may happen to somebody here; the shop and her number."""
    shop = open_shop(create_workspace("mémoire"), BODY)
    place = shop.workspace.pk
    user = User.objects.create_user(f"{secrets.token_hex(4)}@equipe.example", "x")
    member = add_member(shop.workspace, user, Role.OWNER)
    catalogue.declare(shop.workspace, "street", "text", "Rue", "Street")
    fields.adopt(shop.workspace, "phone")
    kinds = [int(Kind.BOUNCED), int(Kind.UNSUBSCRIBED), int(Kind.DELIVERED)]
    endpoints.declare(shop.workspace, "https://programme.example/envol", form="standard", kinds=kinds)

    # A program writes to her first. She signs up at the address she had then, and moves to another.
    key = create_api_key(shop.workspace, "la boutique")
    ordered(server, key, zoe, zoe.before)
    form = make_form(shop.workspace)
    ask(form, zoe.before, now=datetime.now(UTC), first_name=zoe.first)
    (confirmation,) = mails(shop.workspace)
    found = joining.find(form, secret_of(confirmation))
    assert found is not None
    asked_mail.take()
    joining.confirm(found, page=PAGE)
    contact = people.find(shop.workspace, zoe.before)
    assert contact is not None
    people.change_address(contact, zoe.address)

    # What members write about her.
    desk = people.source(shop.workspace, "member", "Fiche contact")
    people.set_values(contact, {"first_name": zoe.first + "e", "last_name": zoe.last, "phone": zoe.phone}, desk)
    people.set_values(contact, {"first_name": zoe.first, "street": zoe.street}, desk)
    people.tag(contact, f"amie-{zoe.number.lower()}")
    people.identify(contact, "customer", zoe.number)
    people.add_note(contact, f"{zoe.first} prefers to be called at {zoe.phone}.", member.pk)
    for name in ("Club", "Salon"):
        people.join(List.objects.create(workspace=shop.workspace, name=name), contact)
    looks.note(member, contact.pk)
    act = bulk.prepare(
        shop.workspace, "set", {"property": "city", "value": "Lyon"}, Filter(text=zoe.address), member_id=member.pk
    )
    bulk.apply(act)

    # Orders, events, and a file that names her in a line that was refused.
    line = NewLine(f"Gravure au nom de {zoe.first}", "gravure", 1, 1999)
    add_bulk(shop.workspace, [NewOrder(zoe.number, datetime.now(UTC), 1999, contact_id=contact.pk, lines=[line])])
    record([NewEvent(place, int(Kind.CONTACT_CHANGED), contact.pk, facts={"said": zoe.first})])
    file = files / "salon.csv"
    rows = [
        f"{zoe.address};{zoe.first};31/02/1980",
        f"{zoe.address};{zoe.last};",
        f"pas une adresse;{zoe.first} {zoe.last};",
    ]
    file.write_text("E-mail;Prénom;Né(e) le\nlea@lecteurs.example;Léa;\n" + "\n".join(rows) + "\n")
    taken = imports.receive(shop.workspace, file, file.name, member.pk)
    imports.set_mapping(taken, {column.name: column.target for column in imports.propose(taken)})
    imports.set_permission(taken, {})
    imports.set_origin(taken, imports.PEOPLE)
    imports.dry_run(taken)
    imports.run(taken)
    waits = imports.receive(shop.workspace, file, file.name, member.pk)
    imports.dry_run(waits)

    # Mail: a campaign that bounces, a program's message, what she asked for and what she wrote.
    bit = shop.newsletter.bit
    assert Contact.objects.get(pk=contact.pk).allowed >> bit & 1, "she agreed"
    sending = start(shop)
    assert db.value("SELECT address FROM outbound_send WHERE sending_id = %s", [sending.pk]) == zoe.address
    home = links.return_path(sending.pk, contact.pk, "boutique.example")
    said = (
        "From: mailer@lecteurs.example\r\nTo: x@y.example\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\n"
        f"{zoe.address} is unknown\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        f"Reporting-MTA: dns; mx.lecteurs.example\r\n\r\nFinal-Recipient: rfc822; {zoe.address}\r\nAction: failed\r\n"
        f"Status: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 <{zoe.address}>: unknown\r\n--b--\r\n"
    )
    assert returned.take([returned.Returned(home, said.encode())]) == ["bounce"]
    ordered(server, key, zoe, zoe.address)
    requests.receive(
        shop.workspace, "rectification", zoe.address, channel="member", words=f"I am {zoe.last}", actor_id=member.pk
    )
    asked_mail.take()
    silence.open(place, contact.pk, f"the parcel of {zoe.last} is lost")
    restriction.begin(place, contact.pk, f"letter of {zoe.last}")
    restriction.end(place, contact.pk)
    directives.say(place, contact.pk, directives.HAND, f"the sister of {zoe.last}")
    held = retention.hold(shop.workspace, contact.pk, f"{zoe.last} did not pay", member.pk)
    assert retention.release(shop.workspace, held.pk, member.pk)

    # Files and the copy beside the tables.
    columns = ["email", "tags", "property:first_name", "property:street"]
    made = export_files.prepare(shop.workspace, Filter(), "csv", columns, reason="A move", name="Essai", language="en")
    export_files.write(made)
    return shop, contact.pk


def ordered(server: Server, key: NewKey, zoe: Zoe, address: str) -> None:
    """A program tells her of her order, by the send API."""
    message = {
        "From": {"Email": "zoe@boutique.example"},
        "To": [{"Email": address, "Name": zoe.first}],
        "Subject": f"Votre commande, {zoe.first}",
        "TextPart": f"{zoe.street}, {zoe.phone}",
        "CustomID": zoe.number,
        "EventPayload": json.dumps({"name": zoe.last}),
    }
    login = base64.b64encode(f"{key.key}:{key.secret}".encode()).decode()
    heads = {"Authorization": f"Basic {login}", "Idempotency-Key": secrets.token_hex(8)}
    status, _, answer = server.get("/v3.1/send", "POST", body=json.dumps({"Messages": [message]}).encode(), **heads)
    assert status == 200, answer


def test_nothing_of_her_is_found_anywhere(server: Server, own_data: Path, tmp_path: Path, capfd: Any) -> None:
    zoe = Zoe()
    shop, number = lives(server, zoe, tmp_path)
    build.build(shop.workspace, own_data, build.address())
    there = found(zoe, own_data)
    for place in ("contacts_contact.email", "contacts_note.text", "outbound_send.address", "outbound_message.header"):
        assert place in there, (place, there)
    assert {one.split("/")[0] for one in there if "/" in one} == {"columns", "exports", "imports"}, there

    people.erase(Contact.objects.get(pk=number), cause="request 12")
    assert {one.split("/")[0] for one in found(zoe, own_data)} <= {"columns"}
    for later in (31, 42):  # minutes: written anew without her; then what nobody reads any more goes
        with time_machine.travel(timezone.now() + timedelta(minutes=later), tick=True):
            upkeep.look_after()
    assert found(zoe, own_data) == set()
    assert ledger.verify(shop.workspace.pk).ok, "and the chain holds without her"
    (erased,) = Erasure.objects.filter(workspace_id=shop.workspace.pk)
    assert erased.digest.hex() in (own_data / "proof/erasures.jsonl").read_text()
    told = "".join(capfd.readouterr())
    assert not [word for word in zoe.words if word in told.lower()], "nor in what was logged meanwhile"


def test_an_hour_after_her_erasure_no_copy_holds_her(
    own_data: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock goes on minute by minute. At worst the columns were written twice just before, and once meanwhile."""
    monkeypatch.setattr(upkeep, "write", lambda of: build.build(of, own_data, build.address()))  # at the clock's time
    zoe = Zoe()
    here = people.source(workspace, "member", "Fiche contact")
    people.upsert(workspace, "lea@lecteurs.example", {"first_name": "Léa"}, source=here)
    contact = people.upsert(workspace, zoe.address, {"first_name": zoe.first}, source=here)
    for _ in range(2):
        upkeep.write(workspace)
    born = timezone.now()
    people.erase(contact, cause="request 12")
    held = {}
    for minute in range(60):
        with time_machine.travel(born + timedelta(minutes=minute, seconds=30), tick=True):
            if minute == 20:
                catalogue.declare(workspace, "street", "text", "Rue", "Street")  # columns change: written anew
                people.upsert(workspace, "max@lecteurs.example", {"first_name": "Max"}, source=here)
            upkeep.look_after()
            erasures.certify(workspace.pk)
            held[minute] = (bool(in_files(zoe, own_data)), Erasure.objects.get(workspace_id=workspace.pk).certified_at)
    assert held[5][0] and held[5][1] is None, "masked, and not certified while a file holds her"
    assert held[59] == (False, held[59][1]) and held[59][1] is not None
    last = max(minute for minute, (there, _) in held.items() if there)
    assert timezone.is_aware(held[59][1]) and held[59][1] <= born + timedelta(minutes=last + 2)


def test_whoever_is_erased_later_is_gone_within_the_hour_too(
    own_data: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other reason to write anew, and slabs as young as can be."""
    monkeypatch.setattr(upkeep, "write", lambda of: build.build(of, own_data, build.address()))
    zoe = Zoe()
    here = people.source(workspace, "member", "Fiche contact")
    people.upsert(workspace, "lea@lecteurs.example", {"first_name": "Léa"}, source=here)
    contact = people.upsert(workspace, zoe.address, {"first_name": zoe.first}, source=here)
    upkeep.write(workspace)
    born = timezone.now()
    people.erase(contact, cause="request 12")
    there = []
    for minute in range(60):
        with time_machine.travel(born + timedelta(minutes=minute, seconds=30), tick=True):
            upkeep.look_after()
            there.append(bool(in_files(zoe, own_data)))
    assert there[29] and not there[50], there.index(False)


def found(zoe: Zoe, data: Path) -> set[str]:
    """Where one of her words is: ``table.column`` or the name of a file."""
    return in_tables(zoe) | in_files(zoe, data)


def in_tables(zoe: Zoe) -> set[str]:
    columns = db.rows(
        "SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns c"
        " JOIN information_schema.tables t USING (table_schema, table_name)"
        " WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'"
        " AND (c.data_type IN ('text', 'character varying', 'character', 'json', 'jsonb', 'bytea', 'ARRAY', 'name'))"
    )
    assert len(columns) > 300 and {"text", "jsonb", "bytea"} <= {kind for _, _, kind in columns}
    where = set()
    with connection.cursor() as cursor:
        for table, column, kind in columns:
            of = {"table": sql.Identifier(table), "column": sql.Identifier(column)}
            if kind == "bytea":
                cursor.execute(sql.SQL("SELECT {column} FROM {table} WHERE {column} IS NOT NULL").format(**of))
                hers = any(speaks(zoe, bytes(row[0])) for row in cursor.fetchall())
            else:
                query = "SELECT EXISTS (SELECT FROM {table} WHERE lower({column}::text) ~ %s)"
                cursor.execute(sql.SQL(query).format(**of), ["|".join(zoe.words)])
                hers = cursor.fetchone()[0]
            if hers:
                where.add(f"{table}.{column}")
    return where


def in_files(zoe: Zoe, data: Path) -> set[str]:
    where = set()
    for file in (path for path in data.rglob("*") if path.is_file()):
        held = file.read_bytes()
        if file.suffix == ".parquet":
            held = str(pq.read_table(file).to_pydict()).encode()
        if speaks(zoe, held) or speaks(zoe, file.name.encode()):
            where.add(str(file.relative_to(data)))
    return where


def speaks(zoe: Zoe, held: bytes) -> bool:
    """Also when it was packed on the way."""
    forms = [held]
    for window in (zlib.MAX_WBITS, zlib.MAX_WBITS | 16):
        try:
            forms.append(zlib.decompress(held, window))
        except zlib.error:
            continue
    return any(word.encode() in one.lower() for word in zoe.words for one in forms)


@pytest.mark.parametrize("room, left", [(of_contacts, "contacts_note"), (of_contacts, "contacts_property_history")])
def test_a_table_that_is_forgotten_is_found(
    server: Server, own_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: Any, left: str
) -> None:
    zoe = Zoe()
    _, number = lives(server, zoe, tmp_path)
    monkeypatch.setattr(room, "_OF_PERSON", tuple(table for table in room._OF_PERSON if table != left))
    people.erase(Contact.objects.get(pk=number), cause="request 12")
    assert {one.split(".")[0] for one in in_tables(zoe)} == {left}
