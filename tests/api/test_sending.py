# ruff: noqa: E501 -- messages are read better whole
"""The send API as real programs use it: Mailjet's own Python client and django-anymail against a live server."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest
from anymail.exceptions import AnymailRequestsAPIError
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.test import override_settings
from mailjet_rest import Client
from mailjet_rest.client import DoesNotExistError

from envol import db
from envol.accounts import api_keys
from envol.accounts.api_keys import Limits
from envol.accounts.models import ApiKey
from envol.accounts.workspaces import NewKey, create_api_key
from envol.outbound import accept, domains, rolls
from envol.wire.message.read import read
from tests.edge.test_http import Server

pytestmark = pytest.mark.usefixtures("empty_database")

FROM, TO = {"Email": "zoe@boutique.example", "Name": "Zoé"}, [{"Email": "luc@lecteurs.example", "Name": "Luc"}]
GOOD = {"From": FROM, "To": TO, "Subject": "Votre commande", "TextPart": "Elle est partie.", "HTMLPart": "<p>Elle est partie.</p>"}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


@pytest.fixture
def key(workspace: Any) -> NewKey:
    domains.add(workspace, "boutique.example", trusted=True)
    return create_api_key(workspace, "le site")


@pytest.fixture
def client(server: Server, key: NewKey) -> Client:
    return Client(auth=(key.key, key.secret), version="v3.1", api_url=f"http://127.0.0.1:{server.port}/")


def queued() -> list[tuple[Any, ...]]:
    return db.rows(
        "SELECT s.no, s.address, s.contact_id, m.raw, m.header ->> 'custom_id' FROM outbound_send s"
        " JOIN outbound_message m ON m.id = s.message_id ORDER BY s.no"
    )


def post(server: Server, key: NewKey | None, body: Any, path: str = "/v3.1/send") -> tuple[int, Any]:
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{key.key}:{key.secret}".encode()).decode()
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, given, content = server.get(path, "POST", body=raw, **headers)
    assert given["content-type"].startswith("application/json")
    return status, json.loads(content)


def test_mailjets_own_client_sends_after_changing_its_address(client: Client, server: Server, key: NewKey) -> None:
    file = {
        "ContentType": "text/plain",
        "Filename": "facture.txt",
        "Base64Content": base64.b64encode(b"12 EUR").decode(),
    }
    message = {
        **GOOD, "Cc": [{"Email": "lea@lecteurs.example"}], "Bcc": [{"Email": "secret@lecteurs.example"}],
        "CustomID": "C-17", "EventPayload": "p", "Headers": {"X-Shop": "12", "List-Unsubscribe": "<https://boutique.example/u>"},
        "Attachments": [file],
    }  # fmt: skip
    answer = client.send.create(data={"Messages": [message]})
    (told,) = answer.json()["Messages"]
    assert answer.status_code == 200 and (told["Status"], told["CustomID"]) == ("success", "C-17")
    assert [len(told[kind]) for kind in ("To", "Cc", "Bcc")] == [1, 1, 1]
    rows = queued()
    ids = [told[kind][0]["MessageID"] for kind in ("To", "Cc", "Bcc")]
    assert [row[0] for row in rows] == ids and [row[1].partition("@")[0] for row in rows] == ["luc", "lea", "secret"]
    assert (
        told["To"][0]["MessageHref"].endswith(f"/v3/REST/message/{ids[0]}") and len(told["To"][0]["MessageUUID"]) == 36
    )
    raw = bytes(rows[0][3])
    seen = read(raw)
    assert (
        b"secret" not in raw
        and seen.get("X-Shop") == "12"
        and seen.get("List-Unsubscribe") == "<https://boutique.example/u>"
    )
    assert "Elle est partie." in seen.text and [one.content for one in seen.attachments] == [b"12 EUR"]
    assert rows[0][4] == "C-17"
    assert db.value("SELECT last_used_at FROM accounts_api_key WHERE public_id = %s", [key.key]) is not None


def test_django_anymail_sends_after_changing_its_address(server: Server, key: NewKey) -> None:
    url = f"http://127.0.0.1:{server.port}/v3.1/"
    with override_settings(
        ANYMAIL={"MAILJET_API_KEY": key.key, "MAILJET_SECRET_KEY": key.secret, "MAILJET_API_URL": url}
    ):
        mail = EmailMultiAlternatives("Bonjour", "texte", "Zoé <zoe@boutique.example>", ["luc@lecteurs.example"],
                                      cc=["lea@lecteurs.example"], connection=get_connection("anymail.backends.mailjet.EmailBackend"))  # fmt: skip
        mail.attach_alternative("<p>texte</p>", "text/html")
        mail.metadata = {"commande": 17}  # type: ignore[attr-defined]
        assert mail.send() == 1
        status = mail.anymail_status  # type: ignore[attr-defined]
        assert status.status == {"sent"}
        assert {row[0] for row in queued()} == {int(one.message_id) for one in status.recipients.values()}
        mail.from_email = "pirate@ailleurs.example"
        route = dataclasses.replace(settings.ENVOL, route="direct")  # what stays on the machine may say any domain
        with override_settings(ENVOL=route), pytest.raises(AnymailRequestsAPIError, match="not an authorized sender"):
            mail.send()
    assert len(queued()) == 2


def test_good_ones_of_a_call_are_sent_beside_bad_ones(server: Server, key: NewKey) -> None:
    status, body = post(server, key, {"Messages": [GOOD, {**GOOD, "To": [{"Email": "x"}]}, GOOD]}, "//V3.1/Send")
    assert status == 400 and [one["Status"] for one in body["Messages"]] == ["success", "error", "success"]
    error = body["Messages"][1]["Errors"][0]
    assert (error["ErrorCode"], error["StatusCode"], error["ErrorRelatedTo"]) == ("mj-0013", 400, ["To[0].Email"])
    assert error["ErrorMessage"] == '"x" is an invalid email address.' and len(queued()) == 2


def test_a_sandbox_sends_nothing(server: Server, key: NewKey) -> None:
    status, body = post(server, key, {"Messages": [GOOD], "SandboxMode": True})
    told = body["Messages"][0]["To"][0]
    assert (status, told["MessageID"], told["MessageUUID"]) == (200, 0, "") and queued() == []


def test_the_same_call_twice_is_two_mails(server: Server, key: NewKey) -> None:
    one, two = (post(server, key, {"Messages": [GOOD]})[1]["Messages"][0]["To"][0] for _ in range(2))
    assert one["MessageID"] != two["MessageID"] and one["MessageUUID"] != two["MessageUUID"] and len(queued()) == 2


def test_who_may_not(server: Server, key: NewKey, workspace: Any) -> None:
    wrong = NewKey(key.key, "0" * 32)
    for who in (None, wrong):
        status, body = post(server, who, {"Messages": [GOOD]})
        assert (status, body["ErrorCode"]) == (401, "mj-0015")
        assert body["ErrorMessage"].startswith("API key authentication/authorization failure.")
    row = ApiKey.objects.get(public_id=key.key)
    api_keys.limit(row, Limits(scopes=("read",)))
    assert post(server, key, {"Messages": [GOOD]})[0] == 403
    api_keys.limit(row, Limits(senders=("autre.example",)))
    status, body = post(server, key, {"Messages": [GOOD]})
    assert (status, body["Messages"][0]["Errors"][0]["ErrorCode"]) == (403, "send-0008")
    api_keys.limit(row, Limits(per_hour=1))
    assert [post(server, key, {"Messages": [GOOD]})[0] for _ in range(2)] == [200, 429]
    api_keys.limit(row, Limits())
    api_keys.pause(row, "vol?")
    status, body = post(server, key, {"Messages": [GOOD]})
    assert (status, body["ErrorCode"]) == (401, "mj-0001") and len(queued()) == 1


def test_what_could_not_be_kept_is_not_promised(server: Server, key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("the database went away")

    with monkeypatch.context() as patch:
        patch.setattr(accept, "accept_messages", broken)
        status, body = post(server, key, {"Messages": [GOOD]})
        assert status == 500 and "nothing was sent" in body["ErrorMessage"]
    assert queued() == [] and post(server, key, {"Messages": [GOOD]})[0] == 200


@pytest.mark.parametrize("body", [b"", b"[", b"x" * 100, b'{"Messages": 1}'])
def test_what_is_no_call_is_said(server: Server, key: NewKey, body: bytes) -> None:
    status, told = post(server, key, body)
    assert status == 400 and told["ErrorIdentifier"] and told["StatusCode"] == 400
    assert server.get("/v3.1/send")[0] == 405


def test_a_call_that_is_too_large_is_refused_whole(server: Server, key: NewKey) -> None:
    assert post(server, key, b" " * (24 * 1024 * 1024 + 1))[1]["ErrorCode"] == "mj-0011"


def test_a_known_person_is_found(server: Server, key: NewKey, workspace: Any) -> None:
    from envol.contacts import people

    luc = people.upsert(workspace, "luc@lecteurs.example", source=people.source(workspace, "member", "Zoé"))
    post(server, key, {"Messages": [GOOD]})
    assert queued()[0][2] == luc.pk


def test_mailjets_own_client_keeps_contacts_and_lists(server: Server, key: NewKey) -> None:
    client = Client(auth=(key.key, key.secret), version="v3", api_url=f"http://127.0.0.1:{server.port}/")
    made = client.contact.create(data={"Email": "a.b+c@lecteurs.example", "Name": "Anna"})
    assert made.status_code == 201
    (anna,) = made.json()["Data"]
    assert client.contact.get(id="a.b+c@lecteurs.example").json()["Data"] == [anna]
    assert client.contact.get(filters={"limit": 2, "Sort": "ID DESC"}).json()["Count"] == 1
    assert (
        client.contactmetadata.create(
            data={"Name": "first_name2", "Datatype": "str", "NameSpace": "static"}
        ).status_code
        == 201
    )
    data = {"Data": [{"Name": "first_name2", "Value": "Anna"}]}
    assert client.contactdata.update(id=anna["ID"], data=data).json()["Data"][0]["Data"] == data["Data"]
    club = client.contactslist.create(data={"Name": "Club"}).json()["Data"][0]
    added = client.contactslist_managecontact.create(
        id=club["ID"], data={"Email": "luc@lecteurs.example", "Action": "addnoforce"}
    )
    assert added.status_code == 201 and added.json()["Data"][0]["Email"] == "luc@lecteurs.example"
    lists = {"ContactsLists": [{"ListID": club["ID"], "Action": "unsub"}]}
    assert client.contact_managecontactslists.create(id=anna["ID"], data=lists).json()["Data"] == [lists]
    (on,) = client.contact_getcontactslists.get(id=anna["ID"]).json()["Data"]
    assert (on["ListID"], on["IsUnsub"]) == (club["ID"], True)
    job = client.contactslist_managemanycontacts.create(
        id=club["ID"], data={"Action": "addforce", "Contacts": [{"Email": "eva@lecteurs.example"}]}
    )
    told = client.contactslist_managemanycontacts.get(id=club["ID"], action_id=job.json()["Data"][0]["JobID"]).json()[
        "Data"
    ][0]
    assert (told["Status"], told["Count"]) == ("Completed", 1)
    rows = client.listrecipient.get(filters={"ContactsList": club["ID"]}).json()["Data"]
    assert sorted(one["IsUnsubscribed"] for one in rows) == [False, False, True]
    template = client.template.create(data={"Name": "Commande"}).json()["Data"][0]
    parts = {"Text-part": "Elle est partie.", "Headers": {"Subject": "Votre commande", "From": "zoe@boutique.example"}}
    assert (
        client.template_detailcontent.create(id=template["ID"], data=parts).json()["Data"][0]["Text-part"]
        == "Elle est partie."
    )
    assert client.contactslist.delete(id=club["ID"]).status_code == 204
    with pytest.raises(DoesNotExistError, match="Object not found"):
        client.contact.get(id=999999)
    status, given, _ = server.get(
        "//v3/REST/contact", Authorization="Basic " + base64.b64encode(f"{key.key}:{key.secret}".encode()).decode()
    )
    assert status == 200 and given["content-type"] == "application/json", "a doubled slash, as some clients write it"


def test_the_older_send_call_has_its_two_addresses(server: Server, key: NewKey) -> None:
    old = {
        "FromEmail": "zoe@boutique.example",
        "Subject": "a",
        "Text-part": "b",
        "Recipients": [{"Email": "luc@lecteurs.example"}],
    }
    for path in ("/v3/send", "/V3/Send/Message"):
        status, body = post(server, key, old, path)
        assert status == 200 and body["Sent"][0]["Email"] == "luc@lecteurs.example"
    assert len(queued()) == 2


def test_what_programs_hand_in_by_http_is_in_the_report_on_traffic(server: Server, key: NewKey) -> None:
    """As what they hand in by SMTP: messages and octets by key, people by sender; and what a limit turns away."""
    rolls.forget()
    db.execute("DELETE FROM outbound_roll")  # what the server wrote of the tests before, by itself
    row = ApiKey.objects.get(public_id=key.key)
    api_keys.limit(row, Limits(per_hour=4))
    both = {**GOOD, "Cc": [{"Email": "lea@lecteurs.example"}]}
    assert post(server, key, {"Messages": [both, GOOD]})[0] == 200
    assert post(server, key, {"SandboxMode": True, "Messages": [GOOD]})[0] == 200
    assert post(server, key, {"Messages": [both]})[0] == 429
    rolls.flush()
    found = db.rows(
        "SELECT series, subject, outcome, n, octets FROM outbound_roll WHERE workspace_id = %s"
        " AND series IN ('key', 'sender') ORDER BY 1, 3",
        [row.workspace_id],
    )
    size = db.value("SELECT sum(length(raw)) FROM outbound_message WHERE workspace_id = %s", [row.workspace_id])
    assert [line[:4] for line in found] == [
        ("key", str(row.pk), "accepted", 2),
        ("key", str(row.pk), "barred", 1),
        ("sender", "zoe@boutique.example", "accepted", 3),
    ]
    assert found[0][4] == found[2][4] == size
