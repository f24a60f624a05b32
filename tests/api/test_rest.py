# ruff: noqa: E501 -- calls are read better on one line
"""Contacts, properties and lists as programs written for Mailjet call them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from envol.accounts import api_keys
from envol.accounts.models import Member, Role, User
from envol.accounts.workspaces import add_member, create_workspace
from envol.api import declared
from envol.consent import acts, purposes, suppression
from envol.contacts import people
from envol.contacts.models import Contact, List
from tests.api.program import Program


@pytest.fixture
def program(workspace: Any) -> Program:
    return Program(workspace)


@pytest.fixture
def zoe(program: Program) -> dict[str, Any]:
    return program.made_one("contact", {"Email": "Zoe@lecteurs.example", "Name": "Zoé Martin"})


def owner(workspace: Any) -> Member:
    return add_member(
        workspace, User.objects.create_user(f"zoe{workspace.pk}@equipe.example", "x", language="en"), Role.OWNER
    )


def allowed(workspace: Any, email: str, purpose: str = "newsletter") -> bool:
    contact = people.find(workspace, email)
    assert contact is not None
    return next(line for line in people.permissions(contact) if line["purpose"] == purpose)["allowed"]


def test_a_contact_as_it_is_told(program: Program, zoe: dict[str, Any]) -> None:
    assert zoe == {
        "CreatedAt": zoe["CreatedAt"], "DeliveredCount": 0, "Email": "Zoe@lecteurs.example",
        "ExclusionFromCampaignsUpdatedAt": "", "ID": zoe["ID"], "IsExcludedFromCampaigns": False, "IsOptInPending": False,
        "IsSpamComplaining": False, "LastActivityAt": "", "LastUpdateAt": zoe["LastUpdateAt"], "Name": "Zoé Martin",
        "UnsubscribedAt": "", "UnsubscribedBy": "",
    }  # fmt: skip
    assert zoe["CreatedAt"].endswith("Z") and len(zoe["CreatedAt"]) == 20
    for key in (zoe["ID"], "zoe@lecteurs.example", "zoe%40lecteurs.example", "ZOE@LECTEURS.EXAMPLE"):
        assert [one["ID"] for one in program.rows(f"contact/{key}")] == [zoe["ID"]]


def test_names_and_paths_in_any_case(program: Program, zoe: dict[str, Any]) -> None:
    for path in ("/v3/REST/contact", "/v3/rest/Contact/", "/V3/Rest/CONTACT"):
        assert json.loads(program.raw("GET", path).content)["Count"] == 1, path
    assert program("GET", "contact?COUNTONLY=1") == (200, {"Count": 1, "Data": [], "Total": 1})
    luc = program.made_one(
        "contact",
        {"email": "luc+a@lecteurs.example", "isexcludedfromcampaigns": "true", "ID": 999_999_999, "CreatedAt": "x"},
    )
    assert luc["IsExcludedFromCampaigns"] is True and luc["ID"] != 999_999_999, (
        "read-only fields that come back are ignored"
    )
    assert program.rows("contact/luc+a@lecteurs.example")[0]["ID"] == luc["ID"], "a plus in a path is a plus"
    assert [one["ID"] for one in program.rows("contact?isExcludedFromCampaigns=true")] == [luc["ID"]]
    assert [one["ID"] for one in program.rows("contact?sort=email+DESC")] == [zoe["ID"], luc["ID"]]
    assert [one["ID"] for one in program.rows("contact?Sort=ID%20DESC&limit=1")] == [luc["ID"]]
    assert [one["ID"] for one in program.rows("contact?Limit=0&offset=1")] == [luc["ID"]]
    assert [one["ID"] for one in program.rows("contact?limit=1&Limit=2")] == [zoe["ID"]], "the first one counts"


WRONG: tuple[tuple[str, str, Any, int, str], ...] = (
        ("GET", "contact/7999999", None, 404, "Object not found"),
        ("GET", "contact/nobody@lecteurs.example", None, 404, "Object not found"),
        ("GET", "contact/abc", None, 400, 'Invalid email address "abc", reason: "No @ character in mail"'),
        ("POST", "contact", {}, 400, "MJ08 Property Email is invalid: MJ03 A non-empty value is required"),
        ("POST", "contact", {"Email": ""}, 400, "MJ08 Property Email is invalid: MJ03 A non-empty value is required"),
        ("POST", "contact", {"Email": ["x"]}, 400, "MJ08 Property Email is invalid: a text is expected"),
        ("POST", "contact", {"Email": "a@b.example", "IsExcludedFromCampaigns": "perhaps"}, 400, "MJ08 Property IsExcludedFromCampaigns is invalid: a boolean is expected"),
        ("POST", "contact", {"Email": "zoe@lecteurs.example"}, 400, 'MJ18 A Contact resource with value "zoe@lecteurs.example" for Email already exists.'),
        ("POST", "contact", "{", 400, "Malformed JSON, please review the syntax and properties types."),
        ("POST", "contact", "[1]", 400, "Malformed JSON: an object is expected."),
        ("DELETE", "contact/zoe@lecteurs.example", None, 405, "This method is not offered here."),
        ("PUT", "contact", {}, 405, "This method is not offered here."),
        ("GET", "contact?Sort=Name", None, 400, 'Sort by "Name" is not offered by this resource.'),
        ("GET", "contact?Campaign=3", None, 400, 'The filter "campaign" is not available here.'),
        ("GET", "contact?Limit=x", None, 400, "Limit and Offset: an integer is expected"),
        ("GET", "widget", None, 404, 'There is no resource "widget" here.'),
        ("POST", "contactslist", {"Name": ""}, 400, "MJ08 Property Name is invalid: MJ03 A non-empty value is required"),
        ("GET", "contactslist/7999999", None, 404, "Object not found"),
        ("POST", "listrecipient", {"ContactAlt": "nobody@lecteurs.example", "ListID": 1}, 400, 'Property "Contact", alternate key value "nobody@lecteurs.example" could not be resolved to an ID'),
        ("POST", "contact/nobody@lecteurs.example/managecontactslists", {"ContactsLists": []}, 404, "Object not found"),
        ("GET", "contact/nobody@lecteurs.example/getcontactslists", None, 404, "Object not found"),
        ("POST", "contactmetadata", {"Name": "a b"}, 400, "MJ08 Property Name is invalid: letters, digits, _ and - are allowed, 50 at most"),
        ("POST", "contactmetadata", {"Name": "age", "Datatype": "blob"}, 400, "MJ08 Property Datatype is invalid: it is one of str, int, float, bool, datetime"),
        ("POST", "contactmetadata", {"Name": "First_Name"}, 400, 'MJ18 A ContactMetadata resource with value "First_Name" for Name already exists.'),
)  # fmt: skip


def test_what_is_wrong_in_the_words_that_programs_look_for(program: Program, zoe: dict[str, Any]) -> None:
    for method, path, body, status, said in WRONG:
        told = {"ErrorInfo": "", "ErrorMessage": said, "StatusCode": status}
        assert program(method, path, body) == (status, told), (method, path)


def test_keys(program: Program, zoe: dict[str, Any]) -> None:
    program.authorization = "Basic eDp5"
    answer = program.raw("GET", "/v3/REST/contact")
    assert answer.status_code == 401 and answer.content == b"" and answer["Content-Type"] == "text/html"
    assert answer["WWW-Authenticate"] == 'Basic realm="Provide an apiKey and secretKey"'
    narrow = Program(program.workspace, "smtp")
    status, told = narrow("GET", "contact")
    assert status == 403 and "contacts is not among them" in told["ErrorMessage"]
    api_keys.pause(narrow.key, "une enquête")
    assert narrow("GET", "contact")[0] == 401


def test_another_workspace_is_as_if_it_were_not(program: Program, zoe: dict[str, Any]) -> None:
    club = program.made_one("contactslist", {"Name": "Club"})
    row = program.made_one("listrecipient", {"ContactID": zoe["ID"], "ListID": club["ID"]})
    field = program.made_one("contactmetadata", {"Name": "pet"})
    job = program.made_one(f"contactslist/{club['ID']}/managemanycontacts", {"Action": "unsub", "Contacts": [{"Email": "a@b.example"}]})  # fmt: skip
    other = Program(create_workspace(f"autre{program.workspace.pk}"))
    for path in (f"contact/{zoe['ID']}", f"contactdata/{zoe['ID']}", f"contactslist/{club['ID']}", f"listrecipient/{row['ID']}",
                 f"contactmetadata/{field['ID']}", f"contact/{zoe['ID']}/getcontactslists", f"contactslist/{club['Address']}",
                 f"contactslist/{club['ID']}/managemanycontacts/{job['JobID']}", f"contact/managemanycontacts/{job['JobID']}"):  # fmt: skip
        for method in ("GET", "PUT", "DELETE", "POST"):
            assert other(method, path, {})[0] in (400, 404, 405), (method, path)
        assert other("GET", path)[0] == 404, path
    for path in ("contact", "contactdata", "contactslist", "listrecipient"):
        assert other.rows(path) == []
    mine = other.made_one("contactslist", {"Name": "Club"})
    status, _ = other("POST", "listrecipient", {"ContactID": zoe["ID"], "ListID": mine["ID"]})
    assert status == 400
    assert Contact.objects.get(pk=zoe["ID"]).workspace_id == program.workspace.pk


def test_changing_a_contact(program: Program, zoe: dict[str, Any]) -> None:
    path = "contact/zoe@lecteurs.example"
    status, told = program("PUT", path, {**zoe, "Email": "other@lecteurs.example", "Name": "Zoé M."})
    assert status == 200 and told["Data"][0]["Name"] == "Zoé M." and told["Data"][0]["Email"] == "Zoe@lecteurs.example"
    assert program("PUT", path, {}) == (304, None) and program("PUT", path, {"Name": "Zoé M."}) == (304, None)
    assert program("PUT", path, {"IsExcludedFromCampaigns": True})[1]["Data"][0]["IsExcludedFromCampaigns"] is True
    assert program("PUT", path, {"IsExcludedFromCampaigns": False})[1]["Data"][0]["IsExcludedFromCampaigns"] is False


def test_what_she_decided_herself_no_program_takes_back(program: Program, zoe: dict[str, Any]) -> None:
    suppression.add(program.workspace.pk, "zoe@lecteurs.example", "marketing", "objection", "her page")
    status, _ = program("PUT", f"contact/{zoe['ID']}", {"IsExcludedFromCampaigns": False})
    (now,) = program.rows(f"contact/{zoe['ID']}")
    assert status == 304 and now["IsExcludedFromCampaigns"] is True and now["UnsubscribedAt"]


def test_properties_and_values(program: Program, zoe: dict[str, Any]) -> None:
    made = [program.made_one("contactmetadata", {"Name": name, "Datatype": kind})
            for name, kind in (("firstName", "str"), ("age", "int"), ("is-vip", "bool"), ("joined", "datetime"), ("order", "str"))]  # fmt: skip
    assert [one["Name"] for one in made] == ["firstName", "age", "is-vip", "joined", "order"]
    assert {one["NameSpace"] for one in made} == {"static"}
    path = "contactdata/zoe@lecteurs.example"
    data = [{"Name": "firstname", "Value": "Zoé"}, {"name": "AGE", "value": "41"}, {"Name": "is-vip", "Value": True},
            {"Name": "joined", "Value": "2020-02-29T10:00:00Z"}, {"Name": "order", "Value": 7}]  # fmt: skip
    status, told = program("PUT", path, {"Data": data})
    assert status == 200 and told["Data"][0]["ContactID"] == told["Data"][0]["ID"] == zoe["ID"]
    assert {one["Name"]: one["Value"] for one in told["Data"][0]["Data"]} == {
        "age": "41", "firstName": "Zoé", "is-vip": "true", "joined": "2020-02-29T00:00:00Z", "order": "7"}  # fmt: skip
    assert program("PUT", path, {"Data": data})[0] == 304, "nothing new"
    program("PUT", path, {"Data": [{"Name": "age", "Value": None}]})
    (only,) = program.rows("contactdata?ContactEmail=zoe@lecteurs.example&fields=age,firstname")
    assert only["Data"] == [{"Name": "firstName", "Value": "Zoé"}], "merged, not replaced"
    status, told = program("PUT", path, {"Data": [{"Name": "unknown", "Value": 1}, {"Name": "age", "Value": "many"}]})
    assert (status, told["ErrorMessage"], told["ErrorInfo"]) == (
        400, "Object properties invalid", {"Properties": [{"unknown": "Property not defined"}, {"age": "Property type does not match definition"}]})  # fmt: skip
    assert program("DELETE", path)[0] == 204 and program.rows(path)[0]["Data"] == []
    assert program("DELETE", f"contactmetadata/{made[1]['ID']}") == (204, None)
    assert program("GET", f"contactmetadata/{made[1]['ID']}")[0] == 404
    assert program("DELETE", "contactmetadata/static|is-vip")[0] == 204


def test_what_is_sensitive_or_guessed_no_program_sees(program: Program, zoe: dict[str, Any]) -> None:
    from envol.contacts import catalogue

    catalogue.declare(program.workspace, "illness", "text", "Maladie", "Illness", sensitive=True)
    contact = Contact.objects.get(pk=zoe["ID"])
    people.upsert(
        program.workspace, contact.email, {"illness": "flu"}, source=people.source(program.workspace, "form", "x")
    )
    assert program.rows(f"contactdata/{zoe['ID']}")[0]["Data"] == []
    assert "illness" not in {one["Name"] for one in program.rows("contactmetadata?Limit=100")}
    assert program("PUT", f"contactdata/{zoe['ID']}", {"Data": [{"Name": "illness", "Value": "x"}]})[0] == 400


def test_lists_and_who_is_on_them(program: Program, zoe: dict[str, Any]) -> None:
    club = program.made_one("contactslist", {"Name": "Club"})
    assert club["SubscriberCount"] == 0 and len(club["Address"]) == 9 and club["IsDeleted"] is False
    assert (
        program("POST", "contactslist", {"Name": "Club"})[1]["ErrorMessage"]
        == 'MJ18 A ContactsList resource with value "Club" for Name already exists.'
    )
    body = {"ContactAlt": "zoe@lecteurs.example", "ListAlt": club["Address"]}
    row = program.made_one("listrecipient", body)
    assert (row["ContactID"], row["ListID"], row["ListName"], row["IsUnsubscribed"], row["UnsubscribedAt"]) == (
        zoe["ID"],
        club["ID"],
        "Club",
        False,
        "",
    )
    assert (
        program("POST", "listrecipient", {"ContactID": str(zoe["ID"]), "ListID": str(club["ID"])})[1]["ErrorMessage"]
        == "A duplicate ListRecipient already exists."
    )
    status, told = program("PUT", f"listrecipient/{row['ID']}", {"IsUnsubscribed": "true"})
    assert status == 200 and told["Data"][0]["IsUnsubscribed"] is True and told["Data"][0]["UnsubscribedAt"]
    query = "listrecipient?ContactEmail=zoe@lecteurs.example&ContactsList=" + str(club["ID"])
    assert [one["IsUnsubscribed"] for one in program.rows(query)] == [True]
    assert program.rows(query + "&Unsub=false") == []
    assert program.rows(f"contact/{zoe['ID']}/getcontactslists")[0]["IsUnsub"] is True
    assert people.lists_of(Contact.objects.get(pk=zoe["ID"])) == [], (
        "nothing from it: no segment and no campaign sees her there"
    )
    assert program.rows(f"contactslist/{club['ID']}")[0]["SubscriberCount"] == 0
    assert [one["ID"] for one in program.rows(f"contact?ContactsList={club['ID']}&IsUnsubscribed=1")] == [zoe["ID"]]
    assert (
        program("DELETE", f"listrecipient/{told['Data'][0]['ID']}") == (204, None)
        and program.rows("listrecipient") == []
    )
    assert program("PUT", f"contactslist/{club['ID']}", {"Name": "Cercle"})[1]["Data"][0]["Name"] == "Cercle"
    assert program("DELETE", f"contactslist/{club['ID']}") == (204, None)
    assert program.rows("contactslist") == [] and program.rows("contactslist?IsDeleted=true")[0]["ID"] == club["ID"]


@pytest.mark.parametrize(
    ("before", "action", "on", "unsubscribed"),
    [
        (None, "addforce", True, False), (None, "addnoforce", True, False), (None, "unsub", True, True), (None, "remove", False, False),
        ("addforce", "unsub", True, True), ("addforce", "remove", False, False), ("addforce", "addforce", True, False),
        ("unsub", "addnoforce", True, True), ("unsub", "addforce", True, False), ("unsub", "remove", False, False),
    ],
)  # fmt: skip
def test_what_an_action_makes_of_a_person_on_a_list(
    program: Program, zoe: dict[str, Any], before: str | None, action: str, on: bool, unsubscribed: bool
) -> None:
    club = program.made_one("contactslist", {"Name": "Club"})
    for one in filter(None, (before, action)):
        made = program.made_one(
            f"contactslist/{club['ID']}/ManageContact", {"email": "zoe@lecteurs.example", "Action": one}
        )
        assert made["ContactID"] == zoe["ID"] and made["Action"] == one
    rows = program.rows("listrecipient")
    assert [row["IsUnsubscribed"] for row in rows] == ([unsubscribed] if on else [])


def test_managing_makes_whom_it_needs_and_names_what_is_wrong(program: Program) -> None:
    club, other = (program.made_one("contactslist", {"Name": name}) for name in ("Club", "Autre"))
    program.made_one("contactmetadata", {"Name": "age", "Datatype": "int"})
    manage = f"contactslist/{club['ID']}/managecontact"
    made = program.made_one(manage, {"Email": "luc@lecteurs.example", "Name": "Luc", "Action": "addnoforce", "Properties": {"age": 41}})  # fmt: skip
    assert program.rows(f"contactdata/{made['ContactID']}")[0]["Data"] == [{"Name": "age", "Value": "41"}]
    status, told = program("POST", manage, {})
    assert (status, told["ErrorMessage"], told["ErrorInfo"]) == (400, "Object properties invalid", {
        "Email": "MJ08 Property email is invalid: MJ03 A non-empty value is required", "Action": "Invalid action: "})  # fmt: skip
    status, told = program(
        "POST", manage, {"Email": "eva@lecteurs.example", "Action": "addforce", "Properties": {"p1": 1, "age": "x"}}
    )
    assert status == 400 and told["ErrorInfo"]["Properties"][0] == {"p1": "Property not defined"}
    assert people.find(program.workspace, "eva@lecteurs.example") is None, "all or nothing"
    several = "contact/luc@lecteurs.example/ManageContactsLists"
    status, told = program("POST", several, {"ContactsLists": [{"ListID": club["ID"], "Action": "remove"}, {"ListID": 999, "Action": "addforce"}, {"ListID": other["ID"], "Action": "x"}]})  # fmt: skip
    assert status == 400 and [one.get("Error", "") for one in told["ErrorMessage"]["ContactsLists"]] == [
        "",
        "listID missing or not valid",
        "action missing or not valid",
    ]
    assert len(program.rows("listrecipient")) == 1, "nothing was done"
    made = program.made_one(
        several,
        {
            "contactslists": [
                {"ListID": str(club["ID"]), "action": "remove"},
                {"ListID": other["ID"], "action": "addforce"},
            ]
        },
    )
    assert made["ContactsLists"] == [
        {"ListID": club["ID"], "Action": "remove"},
        {"ListID": other["ID"], "Action": "addforce"},
    ]
    assert [row["ListID"] for row in program.rows("listrecipient")] == [other["ID"]]


def test_many_at_once_are_a_job(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    from envol.api import tasks
    from envol.api.models import Batch

    club = program.made_one("contactslist", {"Name": "Club"})
    people_ = [{"Email": f"p{n}@lecteurs.example", "Name": f"P {n}"} for n in range(5)] + [
        {"Email": "no at"},
        {"Email": "p0@lecteurs.example"},
    ]
    many = f"contactslist/{club['ID']}/managemanycontacts"
    job = program.made_one(many, {"Action": "addnoforce", "Contacts": people_})
    (told,) = program.rows(f"{many}/{job['JobID']}")
    assert (
        told["Status"] == "Completed"
        and told["Count"] == 7
        and told["Error"] == "1 contacts were refused"
        and told["JobEnd"]
    )
    assert program.rows(f"contactslist/{club['ID']}")[0]["SubscriberCount"] == 5
    assert not Batch.objects.exists(), "what was handed in is not kept"
    deferred: list[int] = []
    monkeypatch.setattr(tasks, "AT_ONCE", 2)
    monkeypatch.setattr(tasks.take_in, "defer", lambda job_id: deferred.append(job_id))
    from django.test import TestCase

    with TestCase.captureOnCommitCallbacks(execute=True):
        later = program.made_one(
            "contact/managemanycontacts",
            {"Contacts": people_[:3], "ContactsLists": [{"ListID": club["ID"], "Action": "unsub"}]},
        )
    path = f"contact/managemanycontacts/{later['JobID']}"
    assert program.rows(path)[0]["Status"] == "Allocated" and deferred in ([later["JobID"]], [])
    tasks.take_in(later["JobID"])
    tasks.take_in(later["JobID"])  # again, after it is done
    (told,) = program.rows(path)
    assert told["Status"] == "Completed" and told["ContactsLists"] == [{"ListID": club["ID"], "Action": "unsub"}]
    assert program.rows(f"contactslist/{club['ID']}")[0]["SubscriberCount"] == 2
    with TestCase.captureOnCommitCallbacks(execute=True):
        dropped = program.made_one(
            many, {"Action": "addforce", "Contacts": [{"Email": f"q{n}@lecteurs.example"} for n in range(3)]}
        )
    assert program("PUT", f"batchjob/{dropped['JobID']}", {"Status": "Abort"})[0] == 200
    tasks.take_in(dropped["JobID"])
    assert program.rows(f"{many}/{dropped['JobID']}")[0]["Status"] == "Abort"
    assert program("GET", "contact/q0@lecteurs.example")[0] == 404, "stopped before anybody was taken in"
    assert program("POST", many, {"Action": "addforce", "Contacts": []})[0] == 400
    assert program("GET", f"{many}/999999")[0] == 404


def test_whom_a_program_adds_may_be_written_to_as_a_member_declared(program: Program) -> None:
    workspace = program.workspace
    club = program.made_one("contactslist", {"Name": "Club"})
    manage = f"contactslist/{club['ID']}/managecontact"
    add = lambda email, action="addforce": program.made_one(manage, {"Email": email, "Action": action})  # noqa: E731
    add("before@lecteurs.example")
    assert not allowed(workspace, "before@lecteurs.example"), "nothing is declared: kept, and not mailable"
    newsletter = purposes.get(workspace, "newsletter")
    declared.declare(
        program.key, newsletter, "Le pied de page de la boutique", "Case non cochée, texte v1.", owner(workspace)
    )
    add("luc@lecteurs.example")
    assert allowed(workspace, "luc@lecteurs.example") and not allowed(workspace, "luc@lecteurs.example", "offers")
    luc = people.find(workspace, "luc@lecteurs.example")
    assert luc is not None
    line = next(one for one in people.permissions(luc) if one["purpose"] == "newsletter")
    assert (line["strength"], line["source"]) == ("statement", "Le pied de page de la boutique")
    add("eva@lecteurs.example", "unsub")
    assert not allowed(workspace, "eva@lecteurs.example"), "nobody is permitted by being unsubscribed"
    acts.withdraw(workspace.pk, luc.pk, [newsletter])
    add("luc@lecteurs.example")
    assert [row["IsUnsubscribed"] for row in program.rows(f"listrecipient?Contact={luc.pk}")] == [False], (
        "the list's state follows addforce"
    )
    assert not allowed(workspace, "luc@lecteurs.example"), "her withdrawal is stronger"
    declared.end(program.key, Member.objects.get(workspace=workspace))
    add("noe@lecteurs.example")
    assert not allowed(workspace, "noe@lecteurs.example")


def test_erasure_by_the_address_of_the_newer_service(program: Program, zoe: dict[str, Any]) -> None:
    for path in (f"/v4/contacts/{zoe['ID'] + 1000}", "/v4/contacts/x", "/v4/contacts"):
        answer = program.raw("DELETE", path)
        told = json.loads(answer.content)
        assert answer.status_code == told["StatusCode"] == 404 and told["ErrorIdentifier"]
    assert program.raw("GET", f"/v4/contacts/{zoe['ID']}").status_code == 405
    assert Program(program.workspace, "smtp").raw("DELETE", f"/v4/contacts/{zoe['ID']}").status_code == 403
    answer = program.raw("DELETE", f"/v4/REST/contacts/{zoe['ID']}", {})
    assert answer.status_code == 200 and answer.content == b""
    assert program("GET", f"contact/{zoe['ID']}")[0] == 404
    status, told = program("POST", "contact", {"Email": "zoe@lecteurs.example"})
    assert status == 400 and "erased" in told["ErrorMessage"], "only she herself comes back"


def test_a_list_of_ours_is_theirs(program: Program) -> None:
    mine = List.objects.create(workspace=program.workspace, name="Abonnés")
    source = people.source(program.workspace, "form", "Pied de page")
    people.upsert(
        program.workspace,
        "lea@lecteurs.example",
        {"first_name": "Léa", "last_name": "Roy"},
        source=source,
        lists=[mine],
    )
    assert program.rows("contactslist")[0]["SubscriberCount"] == 1
    assert program.rows("contact")[0]["Name"] == "Léa Roy"


def test_an_owner_declares_on_the_page_of_the_key(program: Program) -> None:
    from django.test import Client

    member = owner(program.workspace)
    client = Client(HTTP_HOST="localhost")
    client.force_login(member.user)
    page = f"/settings/keys/{program.key.pk}"
    assert b"Nothing is declared" in client.get(page).content
    newsletter = purposes.get(program.workspace, "newsletter")
    given = {"act": "declare", "purpose": newsletter.pk, "source": "Le pied de page", "statement": ""}
    answer = client.post(f"{page}/declare", given)
    assert answer.status_code == 422 and b"Le pied de page" in answer.content, "what was typed is kept"
    assert client.post(f"{page}/declare", {**given, "statement": "Case non cochée."}).status_code == 303
    assert b"Case non coch\xc3\xa9e." in client.get(page).content and declared.of(program.key) is not None
    assert client.post(f"{page}/declare", {"act": "end"}).status_code == 303 and declared.of(program.key) is None


def test_figures_of_what_was_sent(program: Program) -> None:
    from envol.campaigns.models import Campaign
    from envol.content.models import Template, Version
    from envol.db import execute
    from envol.outbound.models import Sending

    workspace = program.workspace
    template = Template.objects.create(workspace=workspace, name="Lettre")
    links = [{"no": 1, "url": "https://boutique.example/a", "label": "a"}]
    version = Version.objects.create(
        workspace=workspace, template=template, no=1, mode="html", source="", subject="Automne", links=links
    )
    campaign = Campaign.objects.create(
        workspace=workspace, name="Automne", state="sent", template=template, from_address="zoe@boutique.example"
    )
    sending = Sending.objects.create(
        workspace=workspace, kind="campaign", campaign_id=campaign.pk, version_id=version.pk, state="sent"
    )
    for n, state in enumerate(("delivered", "delivered", "bounced"), 1):
        zoe = program.made_one("contact", {"Email": f"p{n}@lecteurs.example"})
        execute("INSERT INTO outbound_send (sending_id, no, contact_id, address, site, chunk) VALUES (%s, %s, %s, %s, 'lecteurs.example', 1)",
                [sending.pk, zoe["ID"], zoe["ID"], zoe["Email"]])  # fmt: skip
        execute("INSERT INTO outbound_outcome (sending_id, no, state, attempts, cause, code, reply) VALUES (%s, %s, %s, 1, %s, 250, '2.0.0 OK')",
                [sending.pk, zoe["ID"], state, "unknown_user" if state == "bounced" else ""])  # fmt: skip
    assert [one["DeliveredCount"] for one in program.rows("contact")] == [1, 1, 0]
    counters = "statcounters?CounterSource=Campaign&CounterTiming=Message&CounterResolution=Lifetime&SourceID="
    (told,) = program.rows(f"{counters}{campaign.pk}")
    assert (
        told["SourceID"],
        told["Total"],
        told["MessageSentCount"],
        told["MessageHardBouncedCount"],
        told["Timeslice"],
    ) == (campaign.pk, 3, 2, 1, "")
    (whole,) = program.rows("statcounters?CounterSource=APIKey&CounterTiming=Message&CounterResolution=Lifetime")
    assert whole["Total"] == 3 and program("GET", f"{counters}999999")[0] == 404
    for wrong in (
        "statcounters",
        "statcounters?CounterSource=List&CounterTiming=Message&CounterResolution=Day",
        "statcounters?CounterSource=x",
    ):
        assert program("GET", wrong)[0] == 400
    (shown,) = program.rows(f"campaign/mj.nl={campaign.pk}")
    assert (shown["ID"], shown["Subject"], shown["FromEmail"], shown["Status"]) == (
        campaign.pk,
        "Automne",
        "zoe@boutique.example",
        2,
    )
    (site,) = program.rows(f"statistics/recipient-esp?CampaignId={campaign.pk}")
    assert (site["ESPName"], site["DeliveredMessagesCount"], site["HardBouncedRate"]) == ("lecteurs.example", 2, 0.3333)
    assert program.rows(f"statistics/link-click?CampaignId={campaign.pk}")[0]["URL"] == "https://boutique.example/a"
    assert {one["ID"] for one in program.rows("messagestate?Limit=50")} >= {1, 13, 21} and program.rows(
        "messagestate/1"
    )[0]["State"] == "user unknown"
    other = Program(create_workspace(f"figures{workspace.pk}"))
    assert other("GET", f"{counters}{campaign.pk}")[0] == 404 and other("GET", f"campaign/{campaign.pk}")[0] == 404


def test_who_came_to_a_list_by_a_form(workspace: Any) -> None:
    program = Program(workspace)
    number = program.made_one("contactslist", {"Name": "Lettre"})["ID"]
    one = List.objects.get(pk=number)
    for name, kind in (("anna", "form"), ("ben", "import")):
        source = people.source(workspace, kind, "Salon")
        person = people.upsert(workspace, f"{name}@lecteurs.example", {}, source=source)
        people.join(one, person, source)
    (row,) = program.rows("contactslistsignup")
    anna = people.find(workspace, "anna@lecteurs.example")
    assert anna is not None
    assert (row["ContactID"], row["Email"], row["ListID"]) == (anna.pk, anna.email, number)
    assert row["Source"] == "Salon" and row["ConfirmAt"] == row["SignupAt"] != "" and row["SignupIp"] == ""
    assert program.rows(f"contactslistsignup/{row['ID']}") == [row]
    for query in (f"ContactsList={number}", f"Contact={anna.pk}", "Email=Anna@lecteurs.example"):
        assert program.rows(f"contactslistsignup?{query}") == [row]
    assert not program.rows("contactslistsignup?ContactsList=-1")
    program("POST", f"contactslist/{number}/managecontact", {"Email": anna.email, "Action": "unsub"})
    assert program.rows("contactslistsignup") == [row], "that she came by the form stays true"
    other = Program(create_workspace(f"s{workspace.pk}", title="Autre"))
    assert not other.rows("contactslistsignup") and other("GET", f"contactslistsignup/{row['ID']}")[0] == 404
    assert other("POST", "contactslistsignup", {})[0] == 405
