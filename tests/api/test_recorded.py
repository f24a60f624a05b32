# ruff: noqa: E501 -- what stands on the wire is read better on one line
"""Calls as the clients that are not run here put them on the wire: their paths, fields and octets, against a live server.

Each test is one client and what its user expects of it, with nothing changed but address and key.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from envol import db
from envol.accounts.workspaces import NewKey, create_api_key
from envol.outbound import domains
from envol.wire.message.read import ReadMessage, read
from tests.edge.test_http import Server

pytestmark = pytest.mark.usefixtures("empty_database")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


class Wire:
    """One connection for each call; ``fields`` are what a client sends beside host, key and length."""

    def __init__(self, server: Server, key: NewKey, *fields: str) -> None:
        self.port, self.fields = server.port, fields
        self.key = base64.b64encode(f"{key.key}:{key.secret}".encode())

    def __call__(self, line: str, body: bytes = b"", *more: str) -> tuple[int, Any]:
        head = [
            f"{line} HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            f"Authorization: Basic {self.key.decode()}",
            *self.fields,
            *more,
        ]
        if body or line.startswith("DELETE"):
            head.append(f"Content-Length: {len(body)}")
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as peer:
            peer.sendall("\r\n".join([*head, "", ""]).encode())
            peer.sendall(body)
            answer = http.client.HTTPResponse(peer, method=line.partition(" ")[0])
            answer.begin()
            content = answer.read()
        return answer.status, json.loads(content) if content else None

    def rows(self, line: str, body: bytes = b"", status: int = 200) -> list[dict[str, Any]]:
        got, told = self(line, body)
        assert got == status and told["Count"] == len(told["Data"]), told
        return list(told["Data"])


@pytest.fixture
def key(workspace: Any) -> NewKey:
    domains.add(workspace, "boutique.example", trusted=True)
    return create_api_key(workspace, "le site")


def queued() -> list[tuple[str, dict[str, Any], ReadMessage]]:
    """Recipient, what is kept with the message, and the message, in the order in which they were taken."""
    found = db.rows(
        "SELECT s.address, m.header, m.raw FROM outbound_send s JOIN outbound_message m ON m.id = s.message_id ORDER BY s.no"
    )
    return [(address, json.loads(header), read(bytes(raw))) for address, header, raw in found]


# ---- Symfony's mailer, and Laravel's by way of it


def symfony(server: Server, key: NewKey) -> Wire:
    return Wire(server, key, "User-Agent: Symfony HttpClient (Curl)", "Accept: application/json", "Content-Type: application/json", "Accept-Encoding: gzip")  # fmt: skip


SYMFONY = (
    rb'{"Messages":[{"From":{"Email":"zoe@boutique.example","Name":"Zo\u00e9"},"To":[{"Email":"luc@lecteurs.example","Name":""}],'
    rb'"Subject":"Votre commande","Attachments":[],"InlinedAttachments":[],"Cc":[{"Email":"lea@lecteurs.example","Name":""}],'
    rb'"ReplyTo":{"Email":"sav@boutique.example","Name":""},"TextPart":"Elle est partie.",'
    rb'"HTMLPart":"\u003Cp\u003E\u003Ca href=\u0022https:\/\/boutique.example\/suivi\u0022\u003ESuivi\u003C\/a\u003E\u003C\/p\u003E",'
    rb'"CustomID":"c-17","CustomCampaign":"commandes","Priority":3,"TrackOpen":"%s","TrackClick":"%s",'
    rb'"Headers":{"X-Shop":"12","List-Unsubscribe":"\u003Chttps:\/\/boutique.example\/u\u003E"}}],"SandBoxMode":%s}'
)


def test_symfonys_mailer(server: Server, key: NewKey) -> None:
    call = symfony(server, key)
    status, told = call("POST /v3.1/send", SYMFONY % (b"enabled", b"1", b"true"))
    assert status == 200 and told["Messages"][0]["To"][0]["MessageID"] == 0 and queued() == [], (
        "SandBoxMode sends nothing"
    )
    status, told = call("POST /v3.1/send", SYMFONY % (b"enabled", b"1", b"false"))
    assert status == 200 and told["Messages"][0]["To"][0]["MessageID"] > 0 and told["Messages"][0]["CustomID"] == "c-17"
    (address, kept, mail), (copied, _, _) = queued()
    assert (address, copied) == ("luc@lecteurs.example", "lea@lecteurs.example")
    assert kept["measured"] == {"opens": True, "links": ["https://boutique.example/suivi"]}, (
        "its TrackOpen and TrackClick"
    )
    assert (mail.get("From"), mail.get("Reply-To"), mail.get("X-Shop")) == (
        "Zoé <zoe@boutique.example>",
        "sav@boutique.example",
        "12",
    )
    assert mail.get("To") == "luc@lecteurs.example" and not mail.attachments
    for opens, clicks in ((b"disabled", b"0"), (b"account_default", b"account_default")):
        assert call("POST /v3.1/send", SYMFONY % (opens, clicks, b"false"))[0] == 200
        assert "measured" not in queued()[-1][1]
    status, told = call("POST /v3.1/send", SYMFONY % (b"sometimes", b"1", b"false"))
    error = told["Messages"][0]["Errors"][0]
    assert (status, error["ErrorCode"], error["ErrorRelatedTo"]) == (400, "mj-0005", ["TrackOpens"])


def test_laravels_older_transport_and_its_lists(server: Server, key: NewKey, workspace: Any) -> None:
    """Swift's transports of the older call, and the vendor's wrapper around its PHP client."""
    call = Wire(server, key, "User-Agent: mailjet-apiv3-php/v1.6.3/8.2", "Content-Type: application/json", "Accept-Encoding: gzip, deflate")  # fmt: skip
    old = {
        "FromEmail": "zoe@boutique.example", "FromName": "Zoé", "Subject": "Votre commande", "Text-part": "Partie.", "Html-part": "<p>Partie.</p>",
        "Headers": {"Reply-To": "sav@boutique.example"}, "Mj-TemplateLanguage": "True", "Vars": {"n": 17}, "Mj-prio": "2", "Mj-trackopen": "1",
        "Attachments": [{"Content-type": "text/plain", "Filename": "f.txt", "content": "YWJj"}],
        "Recipients": [{"Email": "luc@lecteurs.example", "Name": "Luc"}, {"Email": "eva@lecteurs.example", "Name": "eva@lecteurs.example"}],
    }  # fmt: skip
    status, told = call("POST /v3/send", json.dumps(old).encode())
    assert status == 200 and [one["Email"] for one in told["Sent"]] == ["luc@lecteurs.example", "eva@lecteurs.example"]
    (_, _, luc), (_, _, eva) = queued()
    assert (luc.get("To"), eva.get("Reply-To")) == ("Luc <luc@lecteurs.example>", "sav@boutique.example"), (
        "one mail for each"
    )
    (club,) = call.rows("POST /v3/REST/contactslist", b'{"Name":"Club"}', 201)
    body = b'{"Email":"anna@lecteurs.example","Action":"addforce","Name":"Anna","Properties":[]}'
    (added,) = call.rows(f"POST /v3/REST/contactslist/{club['ID']}/ManageContact", body, 201)
    assert added["Email"] == "anna@lecteurs.example" and added["ContactID"]
    words = {"Locale": "fr_FR", "Sender": "Zoé", "SenderEmail": "zoe@boutique.example", "Subject": "Automne", "ContactsListID": str(club["ID"]), "Title": "Automne"}  # fmt: skip
    (draft,) = call.rows("POST /v3/REST/CampaignDraft", json.dumps(words).encode(), 201)
    content = b'{"Html-part":"<p>Bonjour <a href=\\"[[UNSUB_LINK_FR]]\\">Partir</a></p>","Text-part":"Bonjour [[UNSUB_LINK_FR]]"}'
    assert call(f"POST /v3/REST/campaigndraft/{draft['ID']}/DetailContent", content)[0] in (200, 201)
    (told,) = call.rows(f"GET /v3/REST/campaigndraft/{draft['ID']}/Status")
    assert told["Status"] == "Draft"


# ---- n8n


def test_n8n_sends_in_small_letters_with_its_language_inside_from(server: Server, key: NewKey) -> None:
    call = Wire(
        server, key, "Accept: application/json,text/*;q=0.99", "Content-Type: application/json", "User-Agent: n8n"
    )
    (made,) = call.rows("POST /v3/rest/template", b'{"name":"Commande"}', 201)
    part = b'{"Text-part":"Commande {{var:n}}","Headers":{"Subject":"Commande {{var:n}}"}}'
    assert call(f"POST /v3/rest/template/{made['ID']}/detailcontent", part)[0] == 200
    body = (
        '{"Messages":[{"From":{"email":"zoe@boutique.example","name":"Zo\u00e9","TemplateLanguage":%s},"Subject":"Commande {{var:n}}",'
        '"to":[{"email":"luc@lecteurs.example"}],"Cc":[],"Bcc":[],"Variables":{"n":"17"},"TemplateID":"%d","TrackOpens":"account_default"}]}'
    )
    status, told = call("POST /v3.1/send", (body % ("true", made["ID"])).encode())
    assert status == 200 and told["Messages"][0]["To"][0]["Email"] == "luc@lecteurs.example"
    ((_, _, mail),) = queued()
    assert (mail.get("Subject"), mail.text.strip()) == ("Commande 17", "Commande 17")
    assert call("POST /v3.1/send", (body % ("false", made["ID"])).encode())[0] == 200
    assert queued()[-1][2].text.strip() == "Commande {{var:n}}", "as it says, not as it usually is"


def test_n8n_listens(server: Server, key: NewKey) -> None:
    """Its trigger asks what there is, adds its address, and takes it away when the workflow is switched off."""
    call = Wire(server, key, "Accept: application/json", "Content-Type: application/json")
    assert call.rows("GET /v3/rest/eventcallbackurl") == []
    url = "https://n8n.example/webhook/4f3a/mailjet"
    body = json.dumps({"Url": url, "EventType": "bounce", "Status": "alive", "isBackup": "false"}).encode()
    (made,) = call.rows("POST /v3/rest/eventcallbackurl", body, 201)
    (found,) = call.rows("GET /v3/rest/eventcallbackurl")
    assert (found["ID"], found["EventType"], found["Url"], found["IsBackup"], found["Version"]) == (
        made["ID"],
        "bounce",
        url,
        False,
        1,
    )
    assert call(f"DELETE /v3/rest/eventcallbackurl/{made['ID']}") == (204, None)


# ---- Ruby


def test_the_ruby_gem_hands_whole_objects_back(server: Server, key: NewKey) -> None:
    call = Wire(server, key, "Accept: application/json", "Accept-Encoding: deflate", "User-Agent: mailjet-api-v3-ruby/1.7.11", "Content-Type: application/json")  # fmt: skip
    (club,) = call.rows("POST /v3/REST/contactslist", b'{"Name":"Club"}', 201)
    (luc,) = call.rows("POST /v3/REST/contact", b'{"Email":"luc@lecteurs.example","Name":"Luc"}', 201)
    status, told = call("GET /v3/REST/contact?limit=1&countrecords=1")
    assert (status, told["Total"]) == (200, 1), "Mailjet::Contact.count"
    whole = {**luc, "Id": luc["ID"], "Email": "autre@lecteurs.example", "CreatedAt": "2020-12-10 17:35:35 UTC", "LastUpdateAt": "", "IsExcludedFromCampaigns": "false"}  # fmt: skip
    assert call(f"PUT /v3/REST/contact/{luc['ID']}", json.dumps(whole).encode()) == (304, None)
    (changed,) = call.rows(f"PUT /v3/REST/contact/{luc['ID']}", json.dumps(whole | {"Name": "Luc B."}).encode())
    assert (changed["Name"], changed["Email"], changed["CreatedAt"]) == (
        "Luc B.",
        "luc@lecteurs.example",
        luc["CreatedAt"],
    )
    assert call("POST /v3/REST/contactmetadata", b'{"Name":"animal","Datatype":"str"}')[0] == 201
    (people,) = call.rows("POST /v3/REST/contactfilter", b'{"Name":"Chats","Expression":"(animal=\\"chat\\")"}', 201)
    words = {"Locale": "fr_FR", "Sender": "Zoé", "SenderEmail": "zoe@boutique.example", "Subject": "Automne", "ContactsListId": club["ID"], "SegmentationId": people["ID"]}  # fmt: skip
    (draft,) = call.rows("POST /v3/REST/campaigndraft", json.dumps(words).encode(), 201)
    assert (draft["ContactsListID"], draft["SegmentationID"]) == (club["ID"], people["ID"])
    back = {**draft, "Id": draft["ID"], "CreatedAt": "2020-12-10 17:35:35 UTC", "ModifiedAt": "2020-12-10 17:35:35 UTC"}
    assert call(f"PUT /v3/REST/campaigndraft/{draft['ID']}", json.dumps(back).encode())[0] == 304
    (renamed,) = call.rows(
        f"PUT /v3/REST/campaigndraft/{draft['ID']}", json.dumps(back | {"Subject": "Hiver"}).encode()
    )
    assert (renamed["Subject"], renamed["SegmentationID"]) == ("Hiver", people["ID"])
    mail = b'{"Messages":[{"From":{"Email":"zoe@boutique.example"},"To":[{"Email":"luc@lecteurs.example"}],"ReplyTo":{"Email":"sav@boutique.example"},"Subject":"a","TextPart":"b","Headers":{}}]}'
    assert call("POST /v3.1/send", mail)[0] == 200 and queued()[0][2].get("Reply-To") == "sav@boutique.example"


# ---- Go


def test_the_go_client_appends_to_its_base_url(server: Server, key: NewKey) -> None:
    call = Wire(
        server,
        key,
        "User-Agent: mailjet-api-v3-go/3.2.0;go1.22",
        "Content-Type: application/json",
        "Accept-Encoding: gzip",
    )
    old = rb'{"FromEmail":"zoe@boutique.example","FromName":"Zo\u00e9","Subject":"a","Text-part":"b \u0026 c","To":"Luc \u003cluc@lecteurs.example\u003e, lea@lecteurs.example","Headers":{"X-Shop":"12"},"Mj-campaign":"commandes"}'
    status, told = call("POST /v3/send/message", old)
    assert status == 200 and [one["Email"] for one in told["Sent"]] == ["luc@lecteurs.example", "lea@lecteurs.example"]
    new = rb'{"Messages":[{"From":{"Email":"zoe@boutique.example","Name":"Zo\u00e9"},"To":[{"Email":"luc@lecteurs.example","Name":""}],"Subject":"a","TextPart":"b","Headers":{"X-Shop":"13"},"Variables":{"n":17},"TemplateLanguage":true}],"SandBoxMode":false}'
    status, told = call("POST /v3.1/send", new)
    assert status == 200 and told["Messages"][0]["Status"] == "success"
    assert [mail.get("X-Shop") for _, _, mail in queued()] == ["12", "12", "13"] and queued()[0][1][
        "campaign"
    ] == "commandes"
    (one,) = call.rows("POST /v3/REST/contact", b'{"Email":"anna@lecteurs.example"}', 201)
    assert call.rows(f"GET /v3/REST/contact/{one['ID']}")[0]["Email"] == "anna@lecteurs.example"


# ---- Java


def test_javas_client(server: Server, key: NewKey) -> None:
    call = Wire(server, key, "User-Agent: mailjet-apiv3-java/v5.2.5", "Accept: application/json", "Content-Type: application/json; charset=utf-8", "Connection: Keep-Alive", "Accept-Encoding: gzip")  # fmt: skip
    new = rb'{"SandboxMode":false,"AdvanceErrorHandling":false,"Messages":[{"HTMLPart":"<p>Partie.<\/p>","Subject":"a","TrackOpens":"DISABLED","From":{"Email":"zoe@boutique.example"},"To":[{"Email":"luc@lecteurs.example","Name":"Luc"}]}]}'
    status, told = call("POST /v3.1/send", new)
    assert status == 200 and told["Messages"][0]["Cc"] == told["Messages"][0]["Bcc"] == []
    assert "<p>Partie.</p>" in queued()[0][2].html
    old = {"FromName": "Zoé", "Subject": "a", "Text-part": "b", "Recipients": [{"Email": "luc@lecteurs.example"}]}
    status, told = call(
        "POST /v3/send", json.dumps({"Messages": [{**old, "FromEmail": "zoe@boutique.example"}]}).encode()
    )
    assert status == 200 and told["Sent"][0]["Email"] == "luc@lecteurs.example"
    assert call("POST /v3/send", json.dumps(old).encode())[0] == 400 and len(queued()) == 2, (
        "its own test: no FromEmail"
    )


# ---- WordPress


def test_the_wordpress_plugin(server: Server, key: NewKey) -> None:
    call = Wire(server, key, "User-Agent: mailjet-apiv3-php/v1.5.8/7.4", "Content-Type: application/json")
    assert call.rows("GET /v3/REST/myprofile") and call.rows("GET /v3/REST/sender?Limit=0&Status=Active")
    for name, kind in (("wp_user_role", "str"), ("woo_orders_count", "int")):
        body = {"Datatype": kind, "Name": name, "NameSpace": "static"}
        assert call("POST /v3/REST/contactmetadata", json.dumps(body).encode())[0] == 201
        status, told = call("POST /v3/REST/contactmetadata", json.dumps(body).encode())
        assert status == 400 and told["ErrorMessage"].startswith("MJ18 "), "made once, asked for at every start"
    (club,) = call.rows("POST /v3/REST/contactslist", b'{"Name":"Wordpress"}', 201)
    assert call.rows(f"GET /v3/REST/contactslist?ID={club['ID']}&IsDeleted=false&Limit=0")[0]["Name"] == "Wordpress"
    people = [{"Email": f"p{n}@lecteurs.example", "Name": f"P {n}", "Properties": {"wp_user_role": "subscriber", "woo_orders_count": n}} for n in range(100)]  # fmt: skip
    many = f"/v3/REST/contactslist/{club['ID']}/managemanycontacts"
    (job,) = call.rows(f"POST {many}", json.dumps({"Action": "addnoforce", "Contacts": people}).encode(), 201)
    (told,) = call.rows(f"GET {many}/{job['JobID']}")
    assert (told["Status"], told["Count"], told["Error"]) == ("Completed", 100, "")
    (on,) = call.rows(f"GET /v3/REST/listrecipient?ContactEmail=p7@lecteurs.example&ContactsList={club['ID']}")
    assert (on["IsUnsubscribed"], on["ListName"]) == (False, "Wordpress")
    (data,) = call.rows("GET /v3/REST/contactdata/p7@lecteurs.example")
    assert {"Name": "woo_orders_count", "Value": "7"} in data["Data"]
    form = {"Action": "addforce", "Email": "p7@lecteurs.example", "Properties": {"wp_user_role": "author"}}
    assert call(f"POST /v3/REST/contactslist/{club['ID']}/managecontact", json.dumps(form).encode())[0] == 201
    made = {"Author": "Mailjet WC integration", "Categories": ["e-commerce"], "Copyright": "Mailjet", "Description": "Order confirmation", "EditMode": 1,
            "IsStarred": False, "IsTextPartGenerationEnabled": True, "Locale": "en_US", "Name": "WooCommerce Order confirmation", "OwnerType": "user",
            "Presets": '{"h1":{"fontFamily":"Arial"}}', "Purposes": ["transactional"]}  # fmt: skip
    (template,) = call.rows("POST /v3/REST/template", json.dumps(made).encode(), 201)
    (found,) = call.rows("GET /v3/REST/template/apikey%7CWooCommerce%20Order%20confirmation")
    assert found["ID"] == template["ID"] and found["Purposes"] == ["transactional"]
    content = {"Html-part": "<p>{{var:order_number:\"\"}}</p>", "Text-part": "", "Headers": {"Subject": "Order {{var:order_number:\"\"}}", "SenderName": "Zoé", "SenderEmail": "zoe@boutique.example", "From": "Zoé <zoe@boutique.example>"}}  # fmt: skip
    assert call(f"POST /v3/REST/template/{template['ID']}/detailcontent", json.dumps(content).encode())[0] in (200, 201)
    mail = {"Messages": [{"From": {"Email": "zoe@boutique.example", "Name": "Zoé"}, "To": [{"Email": "p7@lecteurs.example", "Name": "P 7"}], "TemplateID": template["ID"],
                          "TemplateLanguage": True, "Subject": "Order 17", "Variables": {"order_number": 17}}]}  # fmt: skip
    status, told = call("POST /v3.1/send", json.dumps(mail).encode())
    assert status == 200 and "<p>17</p>" in queued()[0][2].html, told


# ---- readers, and what sets an account up


def test_readers_page_until_a_short_page(server: Server, key: NewKey) -> None:
    """Airbyte, Singer and the like: Limit and Offset, and figures of a time."""
    call = Wire(server, key, "User-Agent: python-requests/2.32.3", "Accept-Encoding: gzip, deflate", "Accept: */*", "Connection: keep-alive")  # fmt: skip
    people = [f"p{n}@lecteurs.example" for n in range(5)]
    message = {"From": {"Email": "zoe@boutique.example"}, "To": [{"Email": one} for one in people], "Subject": "a", "TextPart": "b", "CustomCampaign": "soldes"}  # fmt: skip
    assert call("POST /v3.1/send", json.dumps({"Messages": [message]}).encode())[0] == 200
    for n in range(3):
        call.rows("POST /v3/REST/contactslist", json.dumps({"Name": f"Liste {n}"}).encode(), 201)
    for name, many in (("contact", 5), ("contactslist", 3), ("message", 5), ("messageinformation", 5), ("campaign", 1)):
        found: list[int] = []
        while len(page := call.rows(f"GET /v3/REST/{name}?Limit=2&Offset={len(found)}")) == 2:
            found += [one["ID"] for one in page]
        found += [one["ID"] for one in page]
        assert len(found) == len(set(found)) == many and found == sorted(found), name
    span = "FromTS=2020-01-01T00%3A00%3A00Z&ToTS=2100-01-01T00%3A00%3A00Z"
    figures = call.rows(f"GET /v3/REST/statcounters?CounterSource=APIKey&CounterTiming=Message&CounterResolution=Lifetime&{span}")  # fmt: skip
    assert figures[0]["Total"] == 5 and figures[0]["Timeslice"] == ""


def test_terraforms_provider_sets_a_sender_up(server: Server, key: NewKey) -> None:
    call = Wire(server, key, "User-Agent: Go-http-client/1.1", "Content-Type: application/json")
    body = b'{"Email":"*@nouveau.example","EmailType":"unknown","IsDefaultSender":false,"Name":"Nouveau"}'
    (made,) = call.rows("POST /v3/REST/sender", body, 201)
    assert made["Filename"].endswith(".txt") and made["ID"] in [
        one["ID"] for one in call.rows(f"GET /v3/REST/sender?Status={made['Status']}&Limit=0")
    ]
    (found,) = call.rows(f"GET /v3/REST/sender/{made['ID']}")
    assert (found["Email"], found["DNSID"]) == ("*@nouveau.example", made["DNSID"])
    (dns,) = call.rows(f"GET /v3/REST/dns/{made['DNSID']}")
    assert dns["Domain"] == "nouveau.example" and dns["DKIMRecordValue"].startswith("v=DKIM1")
    assert dns["DKIMRecordName"].endswith("._domainkey.nouveau.example.") and dns["OwnerShipTokenRecordName"] == ""
    assert call(f"DELETE /v3/REST/sender/{made['ID']}")[0] == 405, "a member takes a domain away"


# ---- what no client may do by mistake


def test_a_slash_too_many_and_a_list_that_stayed_there(server: Server, key: NewKey) -> None:
    call = Wire(server, key, "Content-Type: application/json")
    body = (
        b'{"Messages":[{"From":{"Email":"zoe@boutique.example"},"To":[{"Email":"%s"}],"Subject":"a","TextPart":"b"}]}'
    )
    assert call("POST //v3.1/send", body % b"luc@lecteurs.example")[0] == 200
    status, told = call("POST /v3.1/send", body % b"k3x91aq2z@lists.mailjet.com")
    error = told["Messages"][0]["Errors"][0]
    assert (status, error["ErrorCode"], error["ErrorRelatedTo"]) == (400, "mj-0013", ["To[0].Email"]) and len(
        queued()
    ) == 1


def test_what_a_body_is_said_to_be_does_not_matter_but_what_it_is(server: Server, key: NewKey) -> None:
    body = b'{"Messages":[{"From":{"Email":"zoe@boutique.example"},"To":[{"Email":"luc@lecteurs.example"}],"Subject":"a","TextPart":"b"}]}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert Wire(server, key, f"Content-Type: {kind}")("POST /v3.1/send", body)[0] == 200
        status, told = Wire(server, key, f"Content-Type: {kind}")("POST /v3.1/send", b"Messages=%5B%5D")
        assert (status, told["ErrorCode"]) == (400, "mj-0002")
        status, told = Wire(server, key, f"Content-Type: {kind}")("POST /v3/REST/contact", b"Email=a%40b.example")
        assert status == 400 and told["ErrorMessage"].startswith("Malformed JSON")


def test_a_large_body_that_asks_before_it_comes(server: Server, key: NewKey) -> None:
    """What curl does for PHP above a megabyte: it waits for 100 (RFC 9110 §10.1.1)."""
    call = Wire(server, key)
    file = base64.b64encode(b"x" * (2 << 20)).decode()
    message = {"From": {"Email": "zoe@boutique.example"}, "To": [{"Email": "luc@lecteurs.example"}], "Subject": "a", "TextPart": "b",
               "Attachments": [{"ContentType": "application/pdf", "Filename": "f.pdf", "Base64Content": file}]}  # fmt: skip
    body = json.dumps({"Messages": [message]}).encode()
    head = f"POST /v3.1/send HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {call.key.decode()}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as peer:
        peer.sendall(head.encode())
        assert peer.recv(1000).startswith(b"HTTP/1.1 100 ")
        peer.sendall(body)
        answer = http.client.HTTPResponse(peer, method="POST")
        answer.begin()
        assert answer.status == 200 and json.loads(answer.read())["Messages"][0]["Status"] == "success"
    assert len(queued()[0][2].attachments[0].content) == 2 << 20
