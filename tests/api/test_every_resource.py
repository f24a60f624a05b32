# ruff: noqa: E501 -- a row is read better on one line
"""Every resource of the dialect and every method of it: good, no key, a narrow key, wrong types, unknown and foreign.

`TABLE` has a row for each resource of `doors.RESOURCES`; one without a row fails here.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from envol import db
from envol.accounts.models import Role, User, Workspace
from envol.accounts.workspaces import add_member, create_workspace
from envol.api.rest import campaign_filters, doors, ground
from envol.contacts import people
from envol.contacts.models import List
from envol.events.models import Kind
from envol.events.writing import NewEvent, record
from envol.outbound import domains
from tests.api.program import Program
from tests.api.test_groupings import ends, send

COUNTERS = "CounterSource=APIKey&CounterTiming=Message&CounterResolution=Lifetime"
NOBODY = "9876543210"
WRONG_TYPES: tuple[Any, ...] = ([["x"]], 10**30, "x" * 5000)
WRONG_KEYS = (
    NOBODY,
    "9" * 40,
    "-1",
    "nobody@lecteurs.example",
    "x|y|z",
    "%00",
    "a%00@b.example",
    "%F0%9F%90%88",
    "..",
    "x" * 3000,
)
WRONG_VALUES = ("9" * 40, "2026-13-45T99:00:00Z")


class Sought(dict[str, str]):
    """A query that remembers which of its names were looked for."""

    names: set[str] = set()

    def get(self, name: str, other: Any = None) -> Any:
        self.names.add(name)
        return super().get(name, other)

    def __contains__(self, name: object) -> bool:
        self.names.add(str(name))
        return super().__contains__(name)

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        return super().__getitem__(name)


class Asked(Sought):
    """The same, where a whole query that is handed on asks for all filters of campaigns."""

    def keys(self) -> Any:
        self.names |= campaign_filters.NAMES
        return super().keys()


@dataclass(frozen=True)
class Row:
    """``one``: methods of an object beside GET. ``new``: a body that POST takes; ``change``: one that PUT takes.
    ``acts`` of one object and ``wide`` ones of all: name → methods. ``ask``: what GET of all needs in its query.
    ``keyed``: whether an object has a key of its own."""

    one: str = ""
    new: Callable[[], dict[str, Any]] | None = None
    change: dict[str, Any] | None = None
    acts: dict[str, str] = field(default_factory=dict)
    wide: dict[str, str] = field(default_factory=dict)
    ask: str = ""
    keyed: bool = True


def _name() -> str:
    return f"n{secrets.token_hex(4)}"


MANY = {"managemanycontacts": "GET POST"}
DRAFT = {"detailcontent": "GET POST PUT", "send": "POST", "schedule": "GET POST PUT DELETE", "test": "POST", "status": "GET"}  # fmt: skip
_WORDS = {"Locale": "fr_FR", "Sender": "Zoé", "SenderEmail": "zoe@boutique.example", "Subject": "Automne"}
_DRAFT = Row("PUT", lambda: {**_WORDS, "Title": _name()}, {"Subject": "Hiver"}, DRAFT)
TABLE: dict[str, Row] = {
    "contact": Row("PUT", lambda: {"Email": f"{_name()}@lecteurs.example"}, {"Name": "Zoé"}, {"getcontactslists": "GET", "managecontactslists": "POST"}, MANY),
    "contactmetadata": Row("PUT DELETE", lambda: {"Name": _name(), "Datatype": "int"}, {}),
    "contactdata": Row("PUT DELETE", None, {"Data": [{"Name": "animal", "Value": "chat"}]}),
    "contactslist": Row("PUT DELETE", lambda: {"Name": _name()}, {"Name": "Le club"}, {"managecontact": "POST", **MANY, "importlist": "GET POST"}),
    "listrecipient": Row("PUT DELETE", None, {"IsUnsubscribed": "true"}),
    "contactslistsignup": Row(),
    "template": Row("PUT DELETE", lambda: {"Name": _name()}, {"Description": "Reçu"}, {"detailcontent": "GET POST PUT"}),
    "sender": Row("", lambda: {"Email": f"*@{_name()}.example"}, acts={"validate": "POST"}),
    "metasender": Row("", lambda: {"Email": f"*@{_name()}.example"}),
    "dns": Row(acts={"check": "POST"}),
    "apikey": Row("PUT", None, {"Name": "Le site"}),
    "myprofile": Row(),
    "user": Row(),
    "message": Row(),
    "messagehistory": Row(),
    "messageinformation": Row(),
    "messagestate": Row(),
    "statcounters": Row(ask=COUNTERS, keyed=False),
    "contactstatistics": Row(),
    "listrecipientstatistics": Row(),
    "campaignoverview": Row(),
    "campaignstatistics": Row(),
    "liststatistics": Row(),
    "senderstatistics": Row(),
    "bouncestatistics": Row(keyed=False),
    "apikeytotals": Row(keyed=False),
    "messagestatistics": Row(keyed=False),
    "openstatistics": Row(keyed=False),
    "graphstatistics": Row(keyed=False),
    "campaigngraphstatistics": Row(keyed=False),
    "messagesentstatistics": Row(),
    "geostatistics": Row(keyed=False),
    "useragentstatistics": Row(keyed=False),
    "useragent": Row(keyed=False),
    "axtesting": Row(keyed=False),
    "workflow": Row(keyed=False),
    "campaignaggregate": Row(keyed=False),
    "contacthistorydata": Row(keyed=False),
    "preferences": Row(keyed=False),
    "domainstatistics": Row(keyed=False),
    "toplinkclicked": Row(keyed=False),
    "statistics": Row(wide={"link-click": "GET", "recipient-esp": "GET"}, keyed=False),
    "campaign": Row(),
    "campaigndraft": _DRAFT,
    "newsletter": _DRAFT,
    "eventcallbackurl": Row("PUT DELETE", lambda: {"Url": "https://programmes.example/x", "EventType": "spam", "IsBackup": True}, {"Version": "2"}, {"test": "POST"}),
    "parseroute": Row("PUT DELETE", lambda: {"Url": "https://programmes.example/x", "Email": f"{_name()}@boutique.example"}, {"Url": "https://programmes.example/y"}),
    "openinformation": Row(),
    "clickstatistics": Row(),
    "csvimport": Row("PUT", None, {"Status": "Abort"}),
    "batchjob": Row("PUT", None, {"Status": "Abort"}),
    "contactfilter": Row("PUT DELETE", lambda: {"Name": _name(), "Expression": '(animal="chat")'}, {"Description": "Ils ronronnent"}),
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    program: Program
    keys: dict[str, str]
    """Of each resource that has one, the key of an object that is there."""


def _made() -> Place:
    workspace = create_workspace(f"t{secrets.token_hex(4)}", title="Boutique")
    Workspace.objects.filter(pk=workspace.pk).update(postal_address="3 rue des Livres, 44000 Nantes")
    workspace.refresh_from_db()
    domains.add(workspace, "boutique.example", trusted=True)
    owner = add_member(workspace, User.objects.create_user(f"{_name()}@equipe.example", "x"), Role.OWNER)
    program = Program(workspace)
    keys: dict[str, Any] = {"apikey": program.key.pk, "myprofile": owner.pk, "user": owner.pk, "messagestate": 1}
    keys["contact"] = keys["contactdata"] = keys["contactstatistics"] = program.made_one(
        "contact", {"Email": "zoe@lecteurs.example"}
    )["ID"]
    keys["contactmetadata"] = program.made_one("contactmetadata", {"Name": "animal"})["ID"]
    club = keys["contactslist"] = keys["liststatistics"] = program.made_one("contactslist", {"Name": "Club"})["ID"]
    keys["listrecipient"] = keys["listrecipientstatistics"] = program.made_one(
        "listrecipient", {"ContactID": keys["contact"], "ListID": club}
    )["ID"]
    form = people.source(workspace, "form", "Pied de page")
    luc = people.upsert(workspace, "luc@lecteurs.example", {}, source=form)
    people.join(List.objects.get(pk=club), luc, form)
    keys["contactslistsignup"] = program.rows("contactslistsignup")[0]["ID"]
    keys["template"] = program.made_one("template", {"Name": "Reçu"})["ID"]
    for name in ("sender", "metasender", "dns", "senderstatistics"):
        keys[name] = program.rows("sender")[0]["ID"]
    (number,) = send(program, "luc@lecteurs.example", CustomCampaign="Reçus")
    ends(number)
    for name in ("message", "messagehistory", "messageinformation", "messagesentstatistics"):
        keys[name] = number
    draft = keys["campaigndraft"] = keys["newsletter"] = program.made_one(
        "campaigndraft", {**_WORDS, "ContactsListID": club}
    )["ID"]
    keys["campaignoverview"] = draft
    keys["campaign"] = keys["campaignstatistics"] = program.rows("campaign")[0]["ID"]
    sending = int(db.value("SELECT sending_id FROM outbound_send WHERE no = %s AND message_id IS NOT NULL", [number]))
    record(
        [NewEvent(workspace.pk, kind, luc.pk, sending, facts={"no": number}) for kind in (Kind.OPENED, Kind.CLICKED)]
    )
    for name in ("openinformation", "clickstatistics"):
        keys[name] = program.rows(name)[0]["ID"]
    keys["eventcallbackurl"] = program.made_one("eventcallbackurl", {"Url": "https://programmes.example/e"})["ID"]
    keys["parseroute"] = program.made_one(
        "parseroute", {"Url": "https://programmes.example/p", "Email": "aide@boutique.example"}
    )["ID"]
    data = json.loads(
        program.raw("POST", f"/v3/DATA/contactslist/{club}/CSVData/text:plain", "email\na@b.example\n").content
    )["ID"]
    keys["csvimport"] = keys["batchjob"] = program.made_one("csvimport", {"ContactsListID": club, "DataID": data})["ID"]
    keys["contactfilter"] = program.made_one("contactfilter", {"Name": "Chats", "Expression": '(animal="chat")'})["ID"]
    return Place(program, {name: str(key) for name, key in keys.items()})


@pytest.fixture(scope="module")
def place() -> Place:
    return _made()


@pytest.fixture(scope="module")
def stranger() -> Program:
    return Program(create_workspace(f"e{secrets.token_hex(4)}", title="Autre"))


def calls(name: str, key: str) -> Iterator[tuple[str, str]]:
    """Method and path of every call that the row offers, and of those it does not."""
    row = TABLE[name]
    for method in ("GET", "POST", "PUT", "DELETE"):
        yield method, name
        yield method, f"{name}/{key}"
        for act in row.acts:
            yield method, f"{name}/{key}/{act}"
        for act in row.wide:
            yield method, f"{name}/{act}"


def offered(name: str, method: str, path: str) -> bool:
    row, words = TABLE[name], path.split("/")
    if len(words) == 1:
        return method == "GET" or (method == "POST" and (row.new is not None or name in ("listrecipient", "csvimport")))
    if words[1] in row.wide:
        return method in row.wide[words[1]].split()
    if len(words) > 2:
        return method in row.acts[words[2]].split()
    return method in ("GET", *row.one.split())


def test_every_resource_has_a_row() -> None:
    assert set(TABLE) == set(doors.RESOURCES)
    for name, row in TABLE.items():
        found = doors.RESOURCES[name]
        assert {act: set(offers.split()) for act, offers in row.acts.items()} == {
            act: set(offers) for act, offers in found.acts.items()
        }, name
        assert {act: set(offers.split()) for act, offers in row.wide.items()} == {
            act: set(offers) for act, offers in found.wide.items()
        }, name
        assert set(row.one.split()) == {
            method for method, way in (("PUT", found.change), ("DELETE", found.remove)) if way
        }, name


@pytest.mark.usefixtures("nothing_in_dns")
@pytest.mark.parametrize("name", doors.RESOURCES)
class TestEvery:
    def test_good(self, place: Place, name: str) -> None:
        row, program = TABLE[name], place.program
        if name in ("messagehistory", "statistics"):
            assert program("GET", name)[0] == (400 if name == "messagehistory" else 200)
        else:
            assert len(program.rows(f"{name}?{row.ask}&Limit=1000")) >= int(row.keyed)
        if row.keyed:
            (shown,) = program.rows(f"{name}/{place.keys[name]}")[:1]
            assert shown
        if row.new:
            made = program.made_one(name, row.new())
            assert [one["ID"] for one in program.rows(f"{name}/{made['ID']}")] == [made["ID"]]
            if "PUT" in row.one:
                status, told = program("PUT", f"{name}/{made['ID']}", row.change)
                assert status == (200 if row.change else 304), told
                assert program("PUT", f"{name}/{made['ID']}", row.change)[0] == 304, "nothing changed the second time"
            if "DELETE" in row.one:
                assert program("DELETE", f"{name}/{made['ID']}") == (204, None)
                assert program("GET", f"{name}/{made['ID']}")[0] == 404 == program("DELETE", f"{name}/{made['ID']}")[0]

    def test_without_a_key_or_with_a_narrow_one(self, place: Place, name: str) -> None:
        narrow = Program(place.program.workspace, "smtp")
        nobody = Program(place.program.workspace)
        nobody.authorization = "Basic eDp5"
        for method, path in calls(name, place.keys.get(name, NOBODY)):
            answer = nobody.raw(method, f"/v3/REST/{path}", {})
            assert (answer.status_code, answer.content) == (401, b""), (method, path)
            if doors.RESOURCES[name].scope:
                status, told = narrow(method, path, {})
                assert (status, told["StatusCode"], told["ErrorInfo"]) == (403, 403, "") and told["ErrorMessage"], path

    def test_what_is_not_offered(self, place: Place, name: str) -> None:
        for method, path in calls(name, place.keys.get(name, NOBODY)):
            if not offered(name, method, path):
                status, told = place.program(method, path, {})
                assert status == (
                    405
                    if TABLE[name].keyed or "/" not in path
                    else 404
                    if path.split("/")[1] not in TABLE[name].wide
                    else 405
                ), (method, path, told)
                assert told["StatusCode"] == status and told["ErrorMessage"]

    def test_wrong_types(self, place: Place, name: str) -> None:
        row, found, key = TABLE[name], doors.RESOURCES[name], place.keys.get(name, NOBODY)
        for value in WRONG_TYPES:
            for prop in found.fields:
                if row.new:
                    self.refused_or_lenient(place.program, "POST", name, row.new() | {prop: value})
                if "PUT" in row.one:
                    self.refused_or_lenient(place.program, "PUT", f"{name}/{key}", {prop: value})
            for act, offers in (*row.acts.items(), *row.wide.items()):
                path = f"{name}/{act}" if act in row.wide else f"{name}/{key}/{act}"
                for method in {"POST", "PUT"} & set(offers.split()):
                    for prop in ACT_FIELDS[act]:
                        good = ACT_FIELDS[act]
                        self.refused_or_lenient(place.program, method, path, good | {prop: value})
        for body in (
            "{",
            "[1]",
            '"x"',
            "null",
            '{"a":NaN}',
            '{"Name":' * 5000,
            b"\xff\xfe",
            '{"Email":"\\ud800"}',
            '{"Name":"\\u0000"}',
        ):
            for method in ("POST", "PUT"):
                path = name if method == "POST" else f"{name}/{key}"
                if offered(name, method, path):
                    self.refused_or_lenient(place.program, method, path, body)

    def test_wrong_values_of_every_filter_that_it_looks_for(
        self, place: Place, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read, ask = ground._query, TABLE[name].ask
        with monkeypatch.context() as patch:
            patch.setattr(ground, "_query", lambda raw: Asked(read(raw)))
            Asked.names = set()
            for query in (ask, f"{ask}&FromTS=1&ToTS=9&EventFromTs=1&ContactsList=1&Limit=1"):
                place.program("GET", f"{name}?{query}")
            names = sorted(Asked.names)
        assert {"limit", "sort"} & set(names) or name == "messagehistory"
        self.refused_or_lenient(place.program, "GET", f"{name}?{names[0] if names else 'x'}=%00")
        for one in names:
            for value in WRONG_VALUES:
                before = f"{ask}&" if one not in ask.lower() else ""
                self.refused_or_lenient(place.program, "GET", f"{name}?{before}{one}={value}")

    def test_unknown(self, place: Place, name: str) -> None:
        for wrong in WRONG_KEYS:
            for method, path in calls(name, quote(wrong, safe="%@|")):
                if path == name or not offered(name, method, path) or path.split("/")[1] in TABLE[name].wide:
                    continue
                status, told = place.program(method, path, {})
                if name == "messagehistory" and status == 200:
                    assert told["Data"] == [], "of an unknown message nothing is told"
                    continue
                assert status in ((404,) if wrong == NOBODY else (400, 404)), (method, path, told)
                assert told["StatusCode"] == status and told["ErrorMessage"]

    def test_foreign(self, place: Place, stranger: Program, name: str) -> None:
        if name in ("messagestate", "statistics") or not TABLE[name].keyed:
            return
        path = f"{name}/{place.keys[name]}"
        before = place.program("GET", path)
        for method, called in calls(name, place.keys[name]):
            if called.startswith(path) and offered(name, method, called):
                status, told = stranger(method, called, {})
                assert (status, told.get("Data")) == (200, []) if name == "messagehistory" else status == 404, called
        assert place.program("GET", path) == before
        if name != "messagehistory":
            mine = {
                str(one.get("ID", one.get("MessageID", one.get("ContactID"))))
                for one in stranger.rows(f"{name}?{TABLE[name].ask}&Limit=1000")
            }
            assert place.keys[name] not in mine

    def refused_or_lenient(self, program: Program, method: str, path: str, body: Any = None) -> None:
        """What cannot be read is refused in the dialect's own shape; nothing is a fault of ours."""
        status, told = program(method, path, body)
        assert status in (200, 201, 204, 304, 400, 403, 404), (method, path, body, told)
        if status >= 400:
            assert told["StatusCode"] == status and told["ErrorMessage"], (method, path, body)


# What each act takes, as it would be right.
ACT_FIELDS: dict[str, dict[str, Any]] = {
    "getcontactslists": {},
    "managecontactslists": {"ContactsLists": []},
    "managemanycontacts": {"Action": "addnoforce", "Contacts": [{"Email": "a@b.example"}], "ContactsLists": []},
    "managecontact": {"Email": "a@b.example", "Action": "addnoforce", "Name": "A", "Properties": {}, "IsExcludedFromCampaigns": False},
    "importlist": {"ListID": NOBODY, "Action": "addnoforce"},
    "detailcontent": {"Html-part": "<p>x</p>", "Text-part": "x", "MJMLContent": "", "Headers": {}},
    "validate": {"x": 1},
    "check": {"x": 1},
    "send": {"x": 1},
    "schedule": {"Date": "2030-01-01T00:00:00Z"},
    "test": {"Recipients": [{"Email": "zoe@lecteurs.example"}]},
    "status": {},
    "link-click": {},
    "recipient-esp": {},
}  # fmt: skip


def test_what_is_too_large_or_says_it_is_no_json(place: Place) -> None:
    answer = place.program.raw("POST", "/v3/REST/contact", b'{"Name": "' + b"x" * (17 << 20) + b'"}')
    told = json.loads(answer.content)
    assert answer.status_code == told["StatusCode"] == 413 and told["ErrorMessage"]
    for kind in ("text/plain", "application/x-www-form-urlencoded", "x"):
        answer = place.program.client.generic(
            "POST",
            "/v3/REST/contact",
            json.dumps({"Email": f"{_name()}@lecteurs.example"}),
            content_type=kind,
            headers={"authorization": place.program.authorization},
        )
        assert answer.status_code == 201, "the body says what it is, as some clients never do"
    answer = place.program.raw("POST", "/v3/REST/contact", "Email=a@b.example")
    assert json.loads(answer.content)["ErrorMessage"].startswith("Malformed JSON")


def test_of_two_spellings_the_first_counts_and_unknown_properties_are_ignored(place: Place) -> None:
    email = f"{_name()}@lecteurs.example"
    made = place.program.made_one("contact", {"Email": email, "email": "b@lecteurs.example", "Colour": {"a": [1]}})
    assert made["Email"] == email


OF_PEOPLE = "Campaign ContactsList IsExcludedFromCampaigns IsUnsubscribed LastActivityAt Status"
OF_FIGURES = (
    "Blocked Bounced Click Open Queued Sent Spam Unsubscribed MinLastActivityAt MaxLastActivityAt"
    " ContactsList IsUnsubscribed"
)
FILTERS = {
    "contact": f"{OF_PEOPLE} Email EmailCI EmailLike EmailLikeCI EmailLLike EmailLLikeCI EmailRLike EmailRLikeCI",
    "contactmetadata": "DataType Namespace",
    "contactdata": f"{OF_PEOPLE} ContactEmail Fields",
    "contactslist": "Address ExcludeID IsDeleted Name ID",
    "listrecipient": "Active Blocked Contact ContactEmail ContactsList IsExcludedFromCampaigns LastActivityAt ListName"
    " Opened Status Unsub",
    "contactfilter": "ShowDeleted Status",
    "template": "Name OwnerType EditMode Purposes PurposesSelectionMethod Categories CategoriesSelectionMethod",
    "campaigndraft": "AXTesting Campaign ContactsList DeliveredAt EditMode IsArchived IsCampaign IsDeleted IsHandled"
    " IsStarred Modified NewsLetterTemplate Segmentation Status Subject Template",
    "newsletter": "AXTesting Campaign ContactsList DeliveredAt EditMode IsArchived IsCampaign IsDeleted IsHandled"
    " IsStarred Modified NewsLetterTemplate Segmentation Status Subject Template",
    "message": "Campaign CampaignID Contact ContactID ContactAlt CustomID Destination From FromDomain FromID FromType"
    " FromTS ToTS MessageState MessageStatus PlanSubscription Sender SenderID BounceReason",
    "messagesentstatistics": "Contact CustomID",
    "statcounters": "SourceID FromTS ToTS",
    "openinformation": "EventFromTs EventToTs MessageStatus",
    "clickstatistics": "EventFromTs EventToTs MessageStatus MessageID",
    "bouncestatistics": "EventFromTs EventToTs",
    "campaignoverview": "All Archived Drafts ID IDType Programmed Sent Starred Subject",
    "contactstatistics": OF_FIGURES,
    "listrecipientstatistics": f"{OF_FIGURES} Contact",
    "toplinkclicked": "ActualClicks Contact Message",
    "eventcallbackurl": "Backup EventType Status Version",
    "sender": "DnsID Domain Email IsDomainSender LocalPart ShowDeleted Status",
    "apikey": "APIKey IsActive IsMaster Name",
}
GOOD_VALUES = {"version": "2", "eventtype": "open", "status": "1", "editmode": "2", "purposes": "marketing"}
GOOD_VALUES |= dict.fromkeys(("email", "emailci", "contactemail", "contactalt", "from"), "zoe@lecteurs.example")
MOMENTS = ("fromts", "tots", "eventfromts", "eventtots", "lastactivityat")


@pytest.mark.parametrize(("name", "wanted"), [(name, one) for name, some in FILTERS.items() for one in some.split()])
def test_no_filter_is_passed_over(place: Place, name: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is read, or refused by its name: to pass over one would answer with everybody."""
    read, low = ground._query, wanted.lower()
    value = "alive" if (name, low) == ("eventcallbackurl", "status") else GOOD_VALUES.get(low, "1")
    value = "2026-01-01T00:00:00Z" if low in MOMENTS else value
    monkeypatch.setattr(ground, "_query", lambda raw: Sought(read(raw)))
    monkeypatch.setattr(Sought, "names", set())
    ask = f"{COUNTERS.replace('Lifetime', 'Day')}&" if name == "statcounters" else ""
    status, told = place.program("GET", f"{name}?{ask}{wanted}={value}")
    if status == 400:
        assert low in str(told["ErrorMessage"]).lower(), told
    else:
        assert status == 200 and low in Sought.names, "it was passed over"
