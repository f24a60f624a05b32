# ruff: noqa: F811 -- fixtures are imported
"""Mail that comes in for a program: its route, and what it is posted."""

from __future__ import annotations

from anymail.webhooks.mailjet import MailjetInboundWebhookView

from envol import db
from envol.api.hooks import runner
from envol.outbound import domains, returned
from tests.api.listening import Server, listening, server  # noqa: F401 -- fixtures
from tests.api.program import Program
from tests.api.test_webhooks import program  # noqa: F401 -- a fixture

MAIL = b"""From: Luc <luc@lecteurs.example>\r
To: aide@boutique.example\r
Subject: =?utf-8?q?Une_id=C3=A9e?=\r
Date: Fri, 10 Apr 2026 18:06:38 +0200\r
X-Route: one\r
X-Route: two\r
MIME-Version: 1.0\r
Content-Type: multipart/mixed; boundary=b\r
\r
--b\r
Content-Type: text/plain; charset=iso-8859-1\r
\r
Caf\xe9\r
--b\r
Content-Type: image/png; name="a.png"\r
Content-ID: <a@x>\r
Content-Disposition: inline; filename="a.png"\r
Content-Transfer-Encoding: base64\r
\r
AAEC\r
--b\r
Content-Type: application/pdf\r
Content-Disposition: attachment; filename*=UTF-8''re%C3%A7u.pdf\r
Content-Transfer-Encoding: base64\r
\r
JVBERg==\r
--b--\r
"""


def test_mail_for_a_program(program: Program, server: Server) -> None:
    domains.add(program.workspace, "courrier.example", trusted=True)
    address = "aide@courrier.example"
    assert not returned.is_ours(address)
    made = program.made_one("parseroute", {"Url": server.url("/mail"), "Email": address.upper()})
    assert made == {"APIKeyID": program.key.pk, "Email": address, "ID": made["ID"], "Url": server.url("/mail")}
    assert returned.is_ours("Aide@courrier.example")
    for given, why in (
        ({"Url": server.url("/"), "Email": "b@courrier.example"}, "names a path"),
        ({"Url": server.url("/x"), "Email": address}, "MJ18 A ParseRoute resource"),
        ({"Url": server.url("/x"), "Email": "a@elsewhere.example"}, "no domain of this workspace"),
        ({"Url": server.url("/x"), "Email": "fbl@courrier.example"}, "read here already"),
        ({"Url": server.url("/x")}, "Mail of none of your domains comes here yet"),
    ):
        status, told = program("POST", "parseroute", given)
        assert status == 400 and why in told["ErrorMessage"], (given, told)
    assert returned.take([returned.Returned(address, MAIL, "luc@lecteurs.example")]) == ["for a program"]
    assert runner.run_due() == 1
    (said,) = server.said()
    assert (said["Sender"], said["Recipient"], said["Date"]) == ("luc@lecteurs.example", address, "20260410T160638")
    assert said["From"] == "Luc <luc@lecteurs.example>" and said["Subject"] == "Une idée"
    assert said["Headers"]["Subject"] == "Une idée" and said["Headers"]["X-Route"] == ["one", "two"]
    assert said["Text-part"] == "Café" and "Html-part" not in said
    assert [part["ContentRef"] for part in said["Parts"]] == ["Text-part", "InlineAttachment1", "Attachment1"]
    assert (said["InlineAttachment1"], said["Attachment1"]) == ("AAEC", "JVBERg==")
    heard = MailjetInboundWebhookView().esp_to_anymail_event(said).message
    assert heard.subject == "Une idée" and heard.text.strip() == "Café"
    assert [one.get_filename() for one in heard.attachments] == ["reçu.pdf"]
    assert heard.content_id_map["a@x"].get_content_bytes() == b"\x00\x01\x02"
    assert db.value("SELECT raw FROM events_outbox WHERE workspace_id = %s", [program.workspace.pk]) is None
    assert program("PUT", f"parseroute/{address}", {"Url": server.url("/autre")})[0] == 200
    assert program("DELETE", f"parseroute/{made['ID']}")[0] == 204 and not returned.is_ours(address)
