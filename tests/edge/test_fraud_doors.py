"""Outgoing control from outside: each sign of fraud by real SMTP, and by the send API, until the page that holds it."""

from __future__ import annotations

import base64
import io
import smtplib
import zipfile
from collections import Counter
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest
from django.test import Client

from envol import db
from envol.accounts.models import ApiKey, Role, User
from envol.accounts.workspaces import NewKey, add_member
from envol.events.models import MailRequest
from envol.outbound import control, habits
from envol.outbound.models import Held
from tests.api.test_sending import post, server  # noqa: F401 -- a fixture
from tests.edge.test_http import Server
from tests.edge.test_submission import Running, keep, kept, key, letter, relay_of, signed_in  # noqa: F401 -- fixtures

pytestmark = pytest.mark.usefixtures("empty_database")
HINT = '<p>Tout est là : <a href="https://bit.ly/3xYz">voir</a>'


def macros() -> bytes:
    """A document of Word with a program inside, under the name of one without."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("[Content_Types].xml", "<Types/>")
        file.writestr("word/document.xml", "<w:document/>")
        file.writestr("word/vbaProject.bin", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    return made.getvalue()


CASES = {
    # sign: (name of the sender, HTML, attached file, words of the reason)
    "brand": ("PayPal", '<p>Vérifiez votre compte : <a href="https://autre.example/">ici</a>', None, "PayPal"),
    "host": ("La Boutique", '<p>Votre compte : <a href="https://paypa1-secure.example/login">ici</a>', None, "PayPal"),
    "credentials": ("La Boutique", '<form action="https://x.example"><input type="password"></form>', None, "password"),
    "pressure": (
        "La Boutique",
        "<p>Votre compte est suspendu. Confirmez votre identité sous 24 heures :"
        ' <a href="https://autre.example/">ici</a>',
        None,
        "account is in danger",
    ),
    "blocked": ("La Boutique", '<p><a href="https://cdn.mauvais.example/x">Voir</a>', None, "mauvais.example"),
    "mismatch": (
        "La Boutique",
        '<p>Connectez-vous : <a href="https://autre.example/">https://www.credit-agricole.fr/</a>',
        None,
        "credit-agricole.fr",
    ),
    "program": ("La Boutique", "<p>Votre facture.", ("facture.pdf.exe", b"MZ\x90\x00" + bytes(60)), "facture.pdf.exe"),
    "macros": ("La Boutique", "<p>Votre facture.", ("facture.docx", macros()), "facture.docx"),
}


def message(name: str, html: str, file: tuple[str, bytes] | None) -> EmailMessage:
    made = letter(f"{name} <zoe@boutique.example>")
    made.set_content(html, subtype="html")
    if file:
        made.add_attachment(file[1], maintype="application", subtype="octet-stream", filename=file[0])
    return made


@pytest.fixture(autouse=True)
def _fresh(empty_database: None) -> Iterator[None]:
    control._forget()
    habits._forget()
    yield
    habits._forget()  # the next key of this number, in another test, is another's


@pytest.fixture
def page(key: NewKey) -> Client:  # noqa: F811
    """Somebody who may decide on what is held."""
    row = ApiKey.objects.get(public_id=key.key)
    user = User.objects.create_user("rose@equipe.example", "a long pass phrase", language="en")
    add_member(row.workspace, user, Role.OWNER)
    client = Client(HTTP_HOST="localhost", headers={"accept-language": "en"})
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    return client


def by_api(server: Server, key: NewKey, name: str, html: str, file: tuple[str, bytes] | None) -> str:  # noqa: F811
    """Hand it in; the reason of a refusal, or nothing."""
    one: dict[str, Any] = {
        "From": {"Email": "zoe@boutique.example", "Name": name},
        "To": [{"Email": "luc@lecteurs.example"}],
        "Subject": "Votre commande",
        "HTMLPart": html,
    }
    if file:
        content = base64.b64encode(file[1]).decode()
        one["Attachments"] = [
            {"ContentType": "application/octet-stream", "Filename": file[0], "Base64Content": content}
        ]
    status, said = post(server, key, {"Messages": [one]})
    assert status in (200, 403)
    said = said["Messages"][0]
    return "" if said["Status"] == "success" else str(said["Errors"][0]["ErrorMessage"])


@pytest.mark.parametrize("sign", CASES)
def test_each_sign_is_stopped_by_both_doors(
    relay_of: Running,  # noqa: F811
    server: Server,  # noqa: F811
    key: NewKey,  # noqa: F811
    page: Client,
    sign: str,
) -> None:
    name, html, file, why = CASES[sign]
    control.block(["mauvais.example"], "list")
    refused = ""
    with signed_in(relay_of, key) as client:
        try:
            client.send_message(message(name, html, file))
        except smtplib.SMTPDataError as error:
            assert error.smtp_code == 550
            refused = bytes(error.smtp_error).decode()
    also = by_api(server, key, name, html, file)
    assert bool(refused) == bool(also), "both doors decide alike"
    if refused:
        assert "looks like fraud" in refused and why in refused and why in also
        assert not db.value("SELECT count(*) FROM outbound_send"), "nothing of it stays"
        return
    assert Held.objects.count() == 2 and set(db.rows("SELECT state FROM outbound_sending")) == {("held",)}
    for row in Held.objects.all():
        assert why in page.get(f"/mail/held/{row.pk}").content.decode()
    assert page.get("/mail/held").content.decode().count("/mail/held/") >= 2


def test_a_shortened_link_alone_leaves_and_is_held_of_a_key_that_behaves_strangely(
    relay_of: Running,  # noqa: F811
    key: NewKey,  # noqa: F811
    page: Client,
) -> None:
    row = ApiKey.objects.get(public_id=key.key)
    with signed_in(relay_of, key) as client:
        client.send_message(message("La Boutique", HINT, None))
        assert not Held.objects.exists()
        habits._add(Counter({(row.pk, "unknown", ""): 30, (row.pk, "copies", ""): 100}))
        habits._forget()
        client.send_message(message("La Boutique", HINT, None))
        client.send_message(letter())
    said = page.get(f"/mail/held/{Held.objects.get().pk}").content.decode()
    assert "bit.ly" in said and db.value("SELECT count(*) FROM outbound_send") == 3


def test_a_key_that_hands_in_fraud_after_fraud_is_paused_at_both_doors(
    relay_of: Running,  # noqa: F811
    server: Server,  # noqa: F811
    key: NewKey,  # noqa: F811
    page: Client,
) -> None:
    name, html, file, _why = CASES["credentials"]
    with signed_in(relay_of, key) as client:
        for _ in range(5):
            with pytest.raises(smtplib.SMTPDataError, match="looks like fraud"):
                client.send_message(message(name, html, file))
        habits._looked = float("-inf")  # it is looked after every minute
        assert habits.look_after() == 1
        with pytest.raises(smtplib.SMTPDataError, match="paused"):
            client.send_message(letter())
    with relay_of.client() as client, pytest.raises(smtplib.SMTPAuthenticationError, match="paused"):
        client.login(key.key, key.secret)
    call = {
        "Messages": [{"From": {"Email": "zoe@boutique.example"}, "To": [{"Email": "l@x.example"}], "TextPart": "x"}]
    }
    assert post(server, key, call)[0] in (401, 403)
    assert MailRequest.objects.get(kind="key_paused").recipient == "rose@equipe.example"
    assert not db.value("SELECT count(*) FROM outbound_send")
    number = ApiKey.objects.get(public_id=key.key).pk
    assert "paused" in page.get(f"/settings/keys/{number}").content.decode().lower()
