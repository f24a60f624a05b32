# ruff: noqa: E501 -- calls are read better on one line
"""Files of people as programs hand them in: upload, csvimport until it is completed, and the file of errors."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone

from envol.accounts.models import Job, Member, Role, User
from envol.accounts.workspaces import add_member, create_workspace
from envol.api import csv_work, declared, tasks
from envol.api.models import Batch, CsvData
from envol.consent import informing, purposes
from envol.consent.models import Origin
from envol.contacts import people, subscriptions
from envol.contacts.models import Contact, Import, List
from tests.api.program import Program


@pytest.fixture
def program(workspace: Any) -> Program:
    return Program(workspace)


def owner(workspace: Any) -> Member:
    return add_member(workspace, User.objects.create_user(f"csv{workspace.pk}@equipe.example", "x"), Role.OWNER)


def uploaded(program: Program, club: int, text: str | bytes) -> int:
    answer = program.raw("POST", f"/v3/DATA/contactslist/{club}/CSVData/text:plain", text)
    assert answer.status_code == 200, answer.content
    told = json.loads(answer.content)
    assert set(told) == {"ID"}
    return int(told["ID"])


def taken_in(program: Program, club: int, text: str, **more: Any) -> dict[str, Any]:
    """A whole import, its worker's part included; the csvimport as it is told afterwards."""
    given = {"DataID": uploaded(program, club, text), **more}
    if more.get("Method") not in csv_work.GLOBAL:
        given["ContactsListID"] = club
    made = program.made_one("csvimport", given)
    assert made["Status"] == "Upload" and made["Current"] == 0
    tasks.take_in_csv(made["ID"])
    return program.rows(f"csvimport/{made['ID']}")[0]


def on(program: Program, club: int, email: str) -> str:
    contact = people.find(program.workspace, email)
    row = subscriptions.row_of(List.objects.get(pk=club), contact) if contact else None
    return "–" if row is None else "unsub" if row.until else "on"


def test_a_file_from_upload_to_the_list(program: Program) -> None:
    declared.declare(
        program.key, purposes.get(program.workspace, "newsletter"), "Pied de page", "Case non cochée.",
        owner(program.workspace),
    )  # fmt: skip
    club = program.made_one("contactslist", {"Name": "Club"})["ID"]
    program.made_one("contactmetadata", {"Name": "born", "Datatype": "datetime"})
    text = "email,Name,Shoe-Size,born\nluc@lecteurs.example,Luc,43,31/12/1980\nno address,x,1,\neve@lecteurs.example,Ève,38,05/06/1990\n"
    done = taken_in(program, club, text, Method="addforce", ImportOptions=json.dumps({"DateTimeFormat": "dd/mm/yyyy"}))
    assert (done["Status"], done["Count"], done["Current"], done["Errcount"]) == ("Completed", 3, 3, 1)
    assert done["JobEnd"] and done["ContactsListID"] == club and done["Method"] == "addforce"
    luc = people.find(program.workspace, "luc@lecteurs.example")
    assert luc is not None and luc.props == {"full_name": "Luc", "shoe_size": "43", "born": "1980-12-31"}
    assert on(program, club, "luc@lecteurs.example") == on(program, club, "eve@lecteurs.example") == "on"
    assert next(line for line in people.permissions(luc) if line["purpose"] == "newsletter")["allowed"]
    data = {one["Name"]: one["Datatype"] for one in program.rows("contactmetadata?Limit=0")}
    assert data["Shoe-Size"] == "str"
    answer = program.raw("GET", f"/v3/DATA/batchjob/{done['ID']}/CSVError/text:csv")
    rows = list(csv.reader(io.StringIO(answer.content.decode())))
    assert answer["Content-Type"] == "text/csv" and rows[0] == ["email", "Name", "Shoe-Size", "born", "error"]
    assert rows[1][:2] == ["no address", "x"] and rows[1][4].startswith("The address cannot be used")
    (batch,) = program.rows(f"batchjob/{done['ID']}")
    assert (batch["Status"], batch["Errcount"], batch["RefId"]) == ("Completed", 1, club)
    assert isinstance(batch["JobStart"], int)
    assert not CsvData.objects.exists() and not list(csv_work.folder().glob("csv-*")), (
        "the file is gone when it was read"
    )


def test_of_whom_somebody_else_gave_the_month_begins(program: Program) -> None:
    """GDPR art. 14: a key that was declared so says it of files too; one that was not says that nothing is known."""
    club = program.made_one("contactslist", {"Name": "Club"})["ID"]
    taken_in(program, club, "email\nluc@lecteurs.example\n")
    unsaid = Import.objects.filter(workspace=program.workspace).latest("id")
    assert unsaid.origin == {"by": "program", "name": program.key.name}
    luc = people.find(program.workspace, "luc@lecteurs.example")
    assert luc is not None and not informing.of_person(program.workspace.pk, luc.pk)
    newsletter = purposes.get(program.workspace, "newsletter")
    who = owner(program.workspace)
    declared.declare(program.key, newsletter, "le salon", "case", who, given_by="Salon du livre")
    taken_in(program, club, "email\nluc@lecteurs.example\neve@lecteurs.example\n")
    before, by_file = Origin.objects.filter(workspace=program.workspace).order_by("id")
    assert {before.name, by_file.name} == {"Salon du livre"} and before.import_id is None
    assert [informing.standing(one).waiting for one in (before, by_file)] == [1, 1], "Luc was here, and waits as well"
    (came,) = informing.of_person(program.workspace.pk, luc.pk)
    assert came["received_on"] == timezone.localdate(timezone=ZoneInfo(program.workspace.time_zone))


def test_of_a_program_of_which_nothing_is_said_the_origin_is_unknown(program: Program) -> None:
    """Whom it brings is kept and not written to; the page of each, the data map and the six steps say what lacks."""
    who = owner(program.workspace)
    user = who.user
    user.language = "en"
    user.save()
    client = Client(HTTP_HOST="localhost")
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    seen = "Nobody said who gave"

    def pages() -> list[str]:
        luc = people.find(program.workspace, "luc@lecteurs.example")
        where = [f"/contacts/{luc.pk}"] if luc else []
        return [client.get(one).content.decode() for one in (*where, "/consent/map", "/consent/steps")]

    assert "of unknown origin" not in pages()[0] and seen not in pages()[1]
    club = program.made_one("contactslist", {"Name": "Club"})["ID"]
    taken_in(program, club, "email\nluc@lecteurs.example\n")
    hers, drawn, steps = pages()
    assert seen in hers and f"/settings/keys/{program.key.pk}#declared" in hers
    assert "people of unknown origin, brought by" in drawn and seen in steps
    luc = people.find(program.workspace, "luc@lecteurs.example")
    assert luc is not None and not any(
        line["allowed"] for line in people.permissions(luc) if line["kind"] == "marketing"
    )
    declared.declare(program.key, purposes.get(program.workspace, "newsletter"), "la caisse", "case", who)
    hers, drawn, steps = pages()
    assert "the people give the data themselves" in hers and seen not in hers + steps and "unknown origin" not in drawn


def test_what_each_method_makes_of_the_list(program: Program) -> None:
    club = program.made_one("contactslist", {"Name": "Club"})["ID"]
    for name in ("luc", "eve"):
        program(
            "POST", f"contactslist/{club}/managecontact", {"Email": f"{name}@lecteurs.example", "Action": "addforce"}
        )
    program("POST", f"contactslist/{club}/managecontact", {"Email": "luc@lecteurs.example", "Action": "unsub"})
    both = "email\nLuc@lecteurs.example\neve@lecteurs.example\n"
    for method, luc, eve in (
        ("addnoforce", "unsub", "on"),
        ("addforce", "on", "on"),
        ("unsub", "unsub", "unsub"),
        ("remove", "–", "–"),
        ("addforce", "on", "on"),
    ):
        assert taken_in(program, club, both, Method=method)["Status"] == "Completed"
        found = on(program, club, "luc@lecteurs.example"), on(program, club, "eve@lecteurs.example")
        assert found == (luc, eve), method
    taken_in(program, club, both, Method="excludemarketing")
    program("PUT", "contact/eve@lecteurs.example", {"IsExcludedFromCampaigns": False})
    assert [one["Email"] for one in program.rows("contact?IsExcludedFromCampaigns=1")] == ["luc@lecteurs.example"]
    taken_in(program, club, both, Method="includemarketing")
    assert program.rows("contact?IsExcludedFromCampaigns=1") == []
    luc_now = people.find(program.workspace, "luc@lecteurs.example")
    assert luc_now is not None and not any(line["allowed"] for line in people.permissions(luc_now) if line["purpose"] == "newsletter"), "nothing was declared"  # fmt: skip


def test_no_header_too_many_errors_and_what_is_no_file_of_people(program: Program) -> None:
    club = program.made_one("contactslist", {"Name": "Club"})["ID"]
    options = json.dumps({"FieldNames": ["email", "pet"]})
    assert taken_in(program, club, "luc@lecteurs.example;cat\n", ImportOptions=options)["Status"] == "Completed"
    found = people.find(program.workspace, "luc@lecteurs.example")
    assert found is not None and found.props["pet"] == "cat"
    bad = "email\nx\ny\neve@lecteurs.example\n"
    stopped = taken_in(program, club, bad, ErrTreshold=1)
    assert (stopped["Status"], stopped["Errcount"]) == ("Abort", 2)
    assert people.find(program.workspace, "eve@lecteurs.example") is None
    failed = taken_in(program, club, "a,b\n1,2\n")
    assert failed["Status"] == "Error" and failed["Count"] == 0


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "MJ08 Property DataID is invalid: MJ03 A non-empty value is required"),
    ({"DataID": 9_999_999}, 'Property "Data", alternate key value "9999999" could not be resolved to an ID'),
    ({"Method": "drop"}, "MJ08 Property Method is invalid: it is one of addforce"),
    ({"ContactsListID": 9_999_999}, 'Property "ContactsList", alternate key value "9999999" could not be resolved to an ID'),
    ({"Method": "excludemarketing"}, "MJ08 Property ContactsList is invalid: Exclusion of contacts from marketing campaign is a global status"),
    ({"ImportOptions": "{"}, "MJ08 Property ImportOptions is invalid: an object of JSON"),
    ({"ImportOptions": '{"DateTimeFormat": "dd of mm"}'}, "MJ08 Property ImportOptions is invalid: DateTimeFormat is made of"),
)  # fmt: skip


def test_what_is_wrong_is_said_and_other_workspaces_are_not_there(program: Program) -> None:
    club = program.made_one("contactslist", {"Name": "Club"})["ID"]
    data = uploaded(program, club, "email\n")
    for given, said in WRONG:
        whole = ({"DataID": data, "ContactsListID": club} | given) if given else {}
        status, told = program("POST", "csvimport", whole)
        assert status == 400 and told["ErrorMessage"].startswith(said), (given, told)
    made = program.made_one("csvimport", {"DataID": data, "ContactsListID": club})
    assert program("POST", "csvimport", {"DataID": data, "ContactsListID": club})[0] == 400
    answer = program.raw("GET", f"/v3/DATA/batchjob/{made['ID']}/CSVError/text:csv")
    assert answer.status_code == 404 and answer["Content-Type"] == "text/csv"
    assert json.loads(answer.content)["ErrorMessage"] == "Source object not found"
    stranger = Program(create_workspace(f"csv{program.workspace.pk}"))
    assert stranger.raw("POST", f"/v3/DATA/contactslist/{club}/csvdata/text:plain", "email\n").status_code == 404
    assert stranger("GET", f"csvimport/{made['ID']}")[0] == 404 and stranger.rows("batchjob") == []
    assert stranger("POST", "csvimport", {"DataID": data})[0] == 400
    assert Program(program.workspace, "smtp").raw("POST", f"/v3/DATA/contactslist/{club}/csvdata/text:plain", "x").status_code == 403  # fmt: skip
    assert program("PUT", f"csvimport/{made['ID']}", {"Status": "Abort"})[0] == 200
    tasks.take_in_csv(made["ID"])
    assert Job.objects.get(pk=made["ID"]).state in ("cancelled", "failed")
    assert not Contact.objects.filter(workspace_id=program.workspace.pk).exists()
    csv_work.forget(hours=-1)
    assert not CsvData.objects.exists() and not list(csv_work.folder().glob("csv-*"))


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_an_erasure_empties_her_records_in_what_programs_handed_in(program: Program, encoding: str) -> None:
    """A file that waits, and a call whose people wait: of her nothing stays, and nobody else loses a line."""
    club = program.made_one("contactslist", {"Name": "Club"})["ID"]
    zoe = people.upsert(
        program.workspace, "zoe@lecteurs.example", {"first_name": "Zoé", "last_name": "Martin"},
        source=people.source(program.workspace, "form", "Salon"),
    )  # fmt: skip
    text = 'email,Name\nZOE@lecteurs.example,"Martin,\nZoé"\nsuzoe@lecteurs.example,Ève\nluc@lecteurs.example,Luc\n'
    data = CsvData.objects.get(pk=uploaded(program, club, text.encode(encoding)))
    other = CsvData.objects.get(pk=uploaded(program, club, "email\nluc@lecteurs.example\n"))
    broken = CsvData.objects.get(pk=uploaded(program, club, b"%PDF-1.7 zoe@lecteurs.example"))
    given = [{"Email": "Zoe@Lecteurs.example"}, {"Email": "luc@lecteurs.example", "Name": "Luc"}]
    job = Job.objects.create(workspace=program.workspace, kind="api.contacts", total=2)
    batch = Batch.objects.create(
        workspace=program.workspace, key=program.key, job=job, body={"contacts": given, "lists": []}
    )
    before = csv_work.place(other).read_bytes()
    gone = people.erase(zoe, cause="request 12")
    assert (gone["api_csv_data"], gone["api_batch"]) == (2, 1)
    left = csv_work.place(data).read_bytes().decode(encoding)
    assert left == "email,Name\n\n\nsuzoe@lecteurs.example,Ève\nluc@lecteurs.example,Luc\n"
    assert csv_work.place(other).read_bytes() == before
    assert not csv_work.place(broken).exists() and not CsvData.objects.filter(pk=broken.pk).exists()
    batch.refresh_from_db()
    assert batch.body["contacts"] == [{}, given[1]]
    made = program.made_one("csvimport", {"DataID": data.pk, "ContactsListID": club, "Method": "addforce"})
    tasks.take_in_csv(made["ID"])
    tasks.take_in(job.pk)
    job.refresh_from_db()
    assert program.rows(f"csvimport/{made['ID']}")[0]["Status"] == "Completed" and job.result["taken"] == 1
    here = Contact.objects.filter(workspace_id=program.workspace.pk).values_list("email", flat=True)
    assert set(here) == {"suzoe@lecteurs.example", "luc@lecteurs.example"}


def test_the_people_of_a_list_on_another(program: Program) -> None:
    club, other = (program.made_one("contactslist", {"Name": name})["ID"] for name in ("Club", "Other"))
    for name, here, there in (
        ("on", "addforce", ""),
        ("gone", "unsub", ""),
        ("back", "addforce", "unsub"),
        ("left", "unsub", "addforce"),
    ):
        for one, action in ((club, here), (other, there)):
            if action:
                program(
                    "POST", f"contactslist/{one}/managecontact", {"Email": f"{name}@lecteurs.example", "Action": action}
                )
    names = ("on", "gone", "back", "left")

    def copied(action: str) -> tuple[str, ...]:
        job = program.made_one(f"contactslist/{other}/importlist", {"ListID": club, "Action": action})["JobID"]
        (told,) = program.rows(f"contactslist/{other}/importlist/{job}")
        assert (told["Status"], told["Count"], told["ListID"]) == ("Completed", 4, club)
        return tuple(on(program, other, f"{name}@lecteurs.example") for name in names)

    assert copied("addnoforce") == ("on", "–", "unsub", "on")
    assert copied("duplicate-no-override") == ("on", "unsub", "unsub", "on")
    assert copied("addforce") == ("on", "unsub", "on", "on")
    assert copied("duplicate-override") == ("on", "unsub", "on", "unsub")
    assert copied("unsub") == ("unsub",) * 4
    status, told = program("POST", f"contactslist/{other}/importlist", {"ListID": 7_999_999, "Action": "x"})
    assert status == 400 and told["ErrorInfo"] == {
        "ListID": "listID missing or not valid",
        "Action": "Invalid action: x",
    }
    stranger = Program(create_workspace(f"copy{program.workspace.pk}"))
    mine = stranger.made_one("contactslist", {"Name": "Mine"})["ID"]
    assert stranger("POST", f"contactslist/{mine}/importlist", {"ListID": club, "Action": "addforce"})[0] == 400
    assert stranger("POST", f"contactslist/{other}/importlist", {"ListID": mine, "Action": "addforce"})[0] == 404
    assert stranger("GET", f"contactslist/{mine}/importlist/1")[0] == 404


def test_a_job_of_many_names_whom_it_refused(program: Program) -> None:
    club = program.made_one("contactslist", {"Name": "Club"})["ID"]
    given = {"Action": "addforce", "Contacts": [{"Email": "luc@lecteurs.example"}, {"Email": "nobody"}]}
    job = program.made_one(f"contactslist/{club}/managemanycontacts", given)["JobID"]
    (told,) = program.rows(f"contactslist/{club}/managemanycontacts/{job}")
    answer = program.raw("GET", told["ErrorFile"].partition("/v3/")[1] + told["ErrorFile"].partition("/v3/")[2])
    (one,) = json.loads(answer.content)
    assert one["Index"] == 1 and "No @ character" in one["Error"]
    assert answer["Content-Type"] == "application/json" and program.rows(f"batchjob/{job}")[0]["Errcount"] == 1
