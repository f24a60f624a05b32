"""Moving in: Mailjet by its own API (our server is the account), exports and dumps; tried, done, taken back."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.test import Client
from django.utils import timezone
from typer.testing import CliRunner

from envol.accounts.models import Job, Member, Role, User
from envol.accounts.workspaces import add_member, create_workspace
from envol.api.models import StoredTemplate
from envol.api.moving import dumps, jobs, mailjet, move, read
from envol.api.moving.found import Found
from envol.consent import informing, suppression
from envol.contacts import catalogue, imports, people, subscriptions
from envol.contacts.models import Contact, Import, List
from envol.net import NotFetched
from envol.run import cli_move
from tests.api.program import Program


def asked(program: Program) -> mailjet.Ask:
    def ask(path: str) -> Any:
        answer = program.raw("GET", path)
        if answer.status_code != 200:
            raise NotFetched(f"answered {answer.status_code}")
        return json.loads(answer.content)

    return ask


def moved(workspace: Any, found: Found, purpose: str = "") -> tuple[move.Plan, dict[str, Any]]:
    made = move.plan(workspace, found, purpose=purpose)
    imports.set_origin(made.imp, imports.PEOPLE)
    return made, move.carry_out(workspace, found, made)


def allowed(workspace: Any, email: str) -> bool:
    contact = people.find(workspace, email)
    assert contact is not None
    return next(line for line in people.permissions(contact) if line["purpose"] == "newsletter")["allowed"]


def test_an_account_comes_by_its_own_api_and_goes_again(workspace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailjet, "PAGE", 2)  # several pages
    former = Program(create_workspace(f"m{workspace.pk}", title="L'ancien"))
    letter = former.made_one("contactslist", {"Name": "Lettre"})["ID"]
    former.made_one("contactmetadata", {"Name": "Shoe-Size", "Datatype": "int"})
    for n in range(5):
        who = former.made_one("contact", {"Email": f"P{n}@lecteurs.example", "Name": f"Personne {n}"})["ID"]
        former("PUT", f"contactdata/{who}", {"Data": [{"Name": "Shoe-Size", "Value": 38 + n}]})
        action = {"Email": f"p{n}@lecteurs.example", "Action": "unsub" if n == 3 else "addforce"}
        former("POST", f"contactslist/{letter}/managecontact", action)
    former("PUT", "contact/p4@lecteurs.example", {"IsExcludedFromCampaigns": True})
    template = former.made_one("template", {"Name": "Bienvenue"})["ID"]
    former("POST", f"template/{template}/detailcontent", {"Html-part": "<p>Bonjour {{var:name}}</p>"})

    found = mailjet.read(asked(former))
    made = move.plan(workspace, found)
    assert made.report["counts"]["new"] == 5 and made.report["lists"] == {"Lettre": 4}
    assert made.report["not_evidenced"] == 4 and made.report["refusals"] == {"excluded": 1}
    assert not Contact.objects.filter(workspace_id=workspace.pk).exists()  # a try writes nobody
    assert not List.objects.filter(workspace=workspace).exists()

    with pytest.raises(imports.ImportProblem, match="who gave you these data"):
        move.carry_out(workspace, found, made)
    assert not Contact.objects.filter(workspace_id=workspace.pk).exists()
    assert not List.objects.filter(workspace=workspace).exists()
    imports.set_origin(made.imp, imports.PEOPLE)
    done = move.carry_out(workspace, found, made)
    p0, p3, p4 = (people.find(workspace, f"p{n}@lecteurs.example") for n in (0, 3, 4))
    assert p0 and p3 and p4
    assert p0.props["full_name"] == "Personne 0" and p0.props[made.columns["Shoe-Size"]] == 38
    here = List.objects.get(workspace=workspace, name="Lettre")
    row = subscriptions.row_of(here, p3)
    assert row is not None and row.unsubscribed and {one.pk for one, _ in people.lists_of(p0)} == {here.pk}
    assert p4.objected and not any(allowed(workspace, f"p{n}@lecteurs.example") for n in range(5))
    kept = StoredTemplate.objects.get(workspace=workspace, name="Bienvenue")
    assert kept.html == "<p>Bonjour {{var:name}}</p>" and done["templates"] == {str(template): kept.pk}

    assert move.undo(workspace, done["move"])["removed"] == 5
    assert not Contact.objects.filter(workspace_id=workspace.pk).exists()
    assert not List.objects.filter(workspace=workspace).exists()
    assert not StoredTemplate.objects.filter(workspace=workspace).exists()
    assert made.columns["Shoe-Size"] not in catalogue.of(workspace)
    assert suppression.lookup(workspace.pk, ["p4@lecteurs.example"])  # what she refused stays refused


MAILCHIMP = {
    "subscribed_members_export_1.csv": "Email Address,First Name,Last Name,CONFIRM_TIME,CONFIRM_IP,TAGS,LEID,EUID\n"
    'anna@lecteurs.example,Anna,Petit,2024-03-05 10:11:12,192.0.2.7,"jazz,roman",1,a\n'
    "ben@lecteurs.example,Ben,,,,,2,b\n",
    "unsubscribed_members_export_1.csv": "Email Address,First Name,UNSUB_TIME,UNSUB_REASON,LEID,EUID\n"
    "cleo@lecteurs.example,Cléo,2024-05-01 08:00:00,NORMAL,3,c\n"
    "dan@lecteurs.example,Dan,2024-05-01 08:00:00,ABUSE,4,d\n",
    "cleaned_members_export_1.csv": "Email Address,First Name,CLEAN_TIME,LEID,EUID\n"
    "eve@lecteurs.example,Eve,2024-06-01 08:00:00,5,e\n",
}


def test_mailchimps_archive_brings_states_and_proofs(workspace: Any, tmp_path: Path) -> None:
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w") as archive:
        for name, text in MAILCHIMP.items():
            archive.writestr(f"audience/{name}", text)
    path = tmp_path / "export.zip"
    path.write_bytes(octets.getvalue())
    found = read.read([path])
    assert found.origin == "Mailchimp" and len(found.people) == 5
    made, done = moved(workspace, found, "newsletter")
    assert made.report["evidenced"] == 1 and made.report["not_evidenced"] == 1
    assert made.report["refusals"] == {"unsubscribed": 1, "hard_bounce": 1, "complaint": 1}
    assert not made.new  # First Name and Last Name are properties that everybody has
    anna = people.find(workspace, "anna@lecteurs.example")
    assert anna and anna.props["first_name"] == "Anna" and anna.tags == ["jazz", "roman"]
    assert [allowed(workspace, f"{name}@lecteurs.example") for name in ("anna", "ben", "cleo", "dan", "eve")] == [
        True, False, False, False, False,
    ]  # fmt: skip
    eve = people.find(workspace, "eve@lecteurs.example")
    assert eve and eve.suppressed and done["refusals"]["hard_bounce"] == 1
    # Brought a second time it changes nothing, and brings nobody back.
    again, _ = moved(workspace, read.read([path]), "newsletter")
    assert again.report["counts"]["new"] == 0 and not allowed(workspace, "cleo@lecteurs.example")


BREVO = """EMAIL;PRENOM;EMAIL_BLOCKLISTED;ADDED_TIME;CONTACT ID
a@x.example;Ada;Yes;2024-01-02;1
b@x.example;Bo;No;;2
"""
MAILJET = "email,name,unsub,list\na@x.example,Ada,1,Lettre\nb@x.example,Bo,0,Lettre\n"
LISTMONKS = """uuid,email,name,attributes,status
u1,a@x.example,Ada,"{""city"": ""Nantes""}",blocklisted
u2,b@x.example,Bo,{},enabled
"""
MAUTICS = """email,firstname,lastname,last_active,points
a@x.example,Ada,L,2024-01-01,3
b@x.example,Bo,M,,0
"""


@pytest.mark.parametrize(
    ("text", "origin", "refusals"),
    [
        (BREVO, "Brevo", {"a@x.example": "unsubscribed"}),
        (MAILJET, "Mailjet", {}),
        (LISTMONKS, "listmonk", {"a@x.example": "unsubscribed"}),
        (MAUTICS, "Mautic", {}),
    ],
)
def test_exports_are_known_by_their_first_line(
    tmp_path: Path, text: str, origin: str, refusals: dict[str, str]
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text, "cp1252")
    found = read.read([path])
    assert (found.origin, len(found.people)) == (origin, 2)
    assert {email: one.refusal for email, one in found.people.items() if one.refusal} == refusals
    assert "points" not in found.columns and "uuid" not in found.columns
    if origin == "Mailjet":
        assert found.people["a@x.example"].left == {"Lettre"} and found.people["b@x.example"].on == {"Lettre"}


def test_what_is_of_nobody_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("name,phone\nAda,1\n")
    with pytest.raises(read.Unknown, match="no service"):
        read.read([path])


LISTMONK = """--
COPY public.lists (id, uuid, name, type, optin) FROM stdin;
1\tu\tLettre\\tdu soir\tpublic\tdouble
\\.
COPY public.subscriber_lists (subscriber_id, list_id, meta, status, created_at, updated_at) FROM stdin;
1\t1\t{}\tconfirmed\t2024-01-01 10:00:00+00\t2024-01-02 10:00:00+00
2\t1\t{}\tunsubscribed\t2024-01-01 10:00:00+00\t2024-01-02 10:00:00+00
3\t1\t{}\tunconfirmed\t2024-01-01 10:00:00+00\t2024-01-02 10:00:00+00
\\.
COPY public.subscribers (id, uuid, email, name, attribs, status) FROM stdin;
1\tu1\ta@x.example\tAda\t{"city": "Nantes", "deep": {"a": 1}}\tenabled
2\tu2\tb@x.example\tBo\\\\b\t{}\tenabled
3\tu3\tc@x.example\t\\N\t{}\tblocklisted
\\.
"""
MAUTIC = r"""
CREATE TABLE `mt_lead_donotcontact` (
  `id` int NOT NULL,
  `lead_id` int,
  `reason` smallint,
  `channel` varchar(255)
);
INSERT INTO `mt_lead_donotcontact` VALUES (1,2,1,'email'),(2,3,2,'email'),(3,1,1,'sms');
CREATE TABLE `mt_lead_lists` (
  `id` int,
  `name` varchar(255)
);
INSERT INTO `mt_lead_lists` VALUES (7,'Clients, fid\'èles; (tous)');
INSERT INTO `mt_lead_lists_leads` (`leadlist_id`,`lead_id`,`manually_removed`) VALUES (7,1,0),(7,2,1);
CREATE TABLE `mt_leads` (
  `id` int,
  `firstname` varchar(255),
  `email` varchar(255),
  `points` int
);
INSERT INTO `mt_leads` VALUES (1,'O''Neil\n','a@x.example',3),(2,NULL,'b@x.example',0),(3,'Cy','c@x.example',0);
"""


def test_dumps_are_read_as_their_tools_write_them() -> None:
    found = dumps.listmonk(LISTMONK)
    a, b, c = (found.people[f"{name}@x.example"] for name in "abc")
    assert found.lists == ["Lettre du soir"] and a.on == {"Lettre du soir"} and b.left == {"Lettre du soir"}
    assert a.values == {"full_name": "Ada", "city": "Nantes"} and b.values["full_name"] == "Bo\\b"
    assert a.since.startswith("2024-01-02") and "confirmed" in a.proof and not b.proof
    assert (c.on, c.refusal) == (set(), "unsubscribed")
    assert dumps.is_mautic(MAUTIC) and not dumps.is_listmonk(MAUTIC)
    found = dumps.mautic(MAUTIC)
    a, b, c = (found.people[f"{name}@x.example"] for name in "abc")
    assert a.on == {"Clients, fid'èles; (tous)"} and not b.on
    assert a.values == {"firstname": "O'Neil\n"} and (a.refusal, b.refusal, c.refusal) == (
        "",
        "unsubscribed",
        "hard_bounce",
    )


def test_a_move_by_page_is_tried_then_done_then_taken_back(workspace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    user = User.objects.create_user(f"zoe{workspace.pk}@equipe.example", "x", language="en")
    owner: Member = add_member(workspace, user, Role.OWNER)
    monkeypatch.setattr(jobs, "start", lambda job, act: jobs.work(job.pk, act))
    client = Client(HTTP_HOST="localhost")
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    files = [ContentFile(text.encode(), name) for name, text in MAILCHIMP.items()]
    answer = client.post("/imports/moving", {"files": files, "purpose": "newsletter"})
    assert answer.status_code == 303, answer.content
    job = Job.objects.get(workspace=workspace, kind="move")
    assert answer["Location"].endswith(f"/imports/moving/{job.pk}")
    page = client.get(answer["Location"]).content.decode()
    assert "Moving in from Mailchimp" in page and "Move 5 people in" in page
    assert not Contact.objects.filter(workspace_id=workspace.pk).exists() and job.result["member"] == owner.pk
    refused = client.post(f"{answer['Location']}/act", {"act": "run"})
    assert refused.status_code == 422 and b"who gave you these data" in refused.content
    assert not Contact.objects.filter(workspace_id=workspace.pk).exists()
    client.post(f"{answer['Location']}/act", {"act": "run", "given_by": "people"})
    assert allowed(workspace, "anna@lecteurs.example")
    anna = people.find(workspace, "anna@lecteurs.example")
    assert anna is not None
    shown = client.get(f"/contacts/{anna.pk}").content.decode()
    assert "The people gave these data themselves" in shown and "Taken over from Mailchimp." in shown
    page = client.get(answer["Location"]).content.decode()
    assert "Take the move back" in page and "Whom may we ask for an agreement?" in page
    client.post(f"{answer['Location']}/act", {"act": "undo"})
    job.refresh_from_db()
    assert job.result["left"]["removed"] == 5 and not Contact.objects.filter(workspace_id=workspace.pk).exists()
    again = client.post("/imports/moving", {"address": "http://x.example", "key": "k", "secret": "s"})
    assert again.status_code == 422 and b"https://" in again.content


def owner_of(workspace: Any) -> tuple[Client, Member]:
    user = User.objects.create_user(f"moves{workspace.pk}@equipe.example", "x", language="en")
    member = add_member(workspace, user, Role.OWNER)
    client = Client(HTTP_HOST="localhost")
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    return client, member


def test_people_that_the_former_platform_had_from_somebody_else_are_told(
    workspace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = owner_of(workspace)
    monkeypatch.setattr(jobs, "start", lambda job, act: jobs.work(job.pk, act))
    files = [ContentFile(text.encode(), name) for name, text in MAILCHIMP.items()]
    where = client.post("/imports/moving", {"files": files})["Location"]
    day = (timezone.localdate(timezone=ZoneInfo(workspace.time_zone)) - timedelta(days=3)).isoformat()
    said = {"act": "run", "given_by": "other", "origin": "Salon du livre", "received_on": "demain"}
    refused = client.post(f"{where}/act", said)
    assert refused.status_code == 422 and b"Salon du livre" in refused.content, "what was typed comes back"
    client.post(f"{where}/act", said | {"received_on": day})
    anna = people.find(workspace, "anna@lecteurs.example")
    assert anna is not None
    (came,) = informing.of_person(workspace.pk, anna.pk)
    assert came["source"] == "Salon du livre" and came["told_at"] is None
    page = client.get(f"/contacts/{anna.pk}").content.decode()
    assert "Salon du livre" in page and "The person has to be told by" in page and "Taken over from Mailchimp." in page
    held = people.export(anna)["rooms"]["contacts"]["first_source"]
    assert (held["given_by"], held["name"], held["taken_over_from"]) == ("other", "Salon du livre", "Mailchimp")


def test_a_move_by_command_says_who_gave_the_data(
    workspace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_move, "opened", lambda data: None)  # this process has it open
    app = cli_move.move_in
    paths = []
    for name, text in MAILCHIMP.items():
        paths.append(str(tmp_path / name))
        Path(paths[-1]).write_text(text)
    call = ["files", *paths, "--workspace", workspace.name]
    silent = CliRunner().invoke(app, call)
    assert silent.exit_code == 2 and "--given-by" in silent.output
    wrong = CliRunner().invoke(app, [*call, "--given-by", "Salon du livre"])
    assert wrong.exit_code == 1 and not Import.objects.filter(workspace=workspace).exists(), wrong.output
    assert CliRunner().invoke(app, [*call, "--dry-run"]).exit_code == 0
    assert not Contact.objects.filter(workspace_id=workspace.pk).exists()
    done = CliRunner().invoke(app, [*call, "--given-by", "people"])
    assert done.exit_code == 0, done.output
    assert Import.objects.get(workspace=workspace).origin == {"by": "people", "moved": "Mailchimp"}


def test_an_erasure_reaches_what_waits_to_be_moved_in(workspace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = owner_of(workspace)
    here = people.source(workspace, "member", "Fiche contact")
    anna = people.upsert(workspace, "anna@lecteurs.example", source=here)
    monkeypatch.setattr(jobs, "start", lambda job, act: jobs.work(job.pk, act))
    files = [ContentFile(text.encode(), name) for name, text in MAILCHIMP.items()]
    where = client.post("/imports/moving", {"files": files})["Location"]
    job = Job.objects.get(workspace=workspace, kind="move")
    there = jobs._folder(job.pk)

    def named() -> list[str]:
        kept = [*there.rglob("*"), Path(settings.ENVOL.data) / Import.objects.get(workspace=workspace).path]
        return [one.name for one in kept if one.is_file() and b"anna@lecteurs" in one.read_bytes().lower()]

    assert len(named()) == 2, "what was found, and the file of the import"
    assert people.erase(anna, cause="request 4")["moves"] == 1 and named() == []
    client.post(f"{where}/act", {"act": "run", "given_by": "people"})
    assert people.find(workspace, "anna@lecteurs.example") is None
    assert people.find(workspace, "ben@lecteurs.example") is not None


def test_a_move_that_nobody_carried_out_is_dropped_after_a_month(
    workspace: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = owner_of(workspace)
    monkeypatch.setattr(jobs, "start", lambda job, act: jobs.work(job.pk, act))
    client.post("/imports/moving", {"files": [ContentFile(text.encode(), n) for n, text in MAILCHIMP.items()]})
    job = Job.objects.get(workspace=workspace, kind="move")
    jobs.sweep(timezone.now() + timedelta(days=29))
    assert jobs._folder(job.pk).is_dir()
    jobs.sweep(timezone.now() + timedelta(days=31))
    assert not jobs._folder(job.pk).exists() and not Import.objects.filter(workspace=workspace).exists()
