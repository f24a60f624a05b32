# ruff: noqa: E501 -- calls are read better on one line
"""The older call: what its programs write, in their names; whole or not at all."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from envol import db
from envol.accounts import api_keys
from envol.accounts.api_keys import Limits
from envol.api.accepting import Request, serve
from envol.outbound import domains
from envol.wire.message.read import read
from tests.api.program import Program

GOOD = {"FromEmail": "zoe@boutique.example", "FromName": "Zoé", "Subject": "Bonjour", "Text-part": "Elle est partie."}
TO = {"To": "Luc <luc@lecteurs.example>, lea@lecteurs.example"}


@pytest.fixture
def program(workspace: Any) -> Program:
    domains.add(workspace, "boutique.example", trusted=True)
    return Program(workspace)


def send(program: Program, body: Any) -> tuple[int, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    (answer,) = serve([Request(program.authorization, raw, older=True)])
    return answer.status, json.loads(answer.body)


def sent(program: Program) -> list[tuple[str, Any]]:
    rows = db.rows("SELECT s.address, m.raw FROM outbound_send s JOIN outbound_message m ON m.id = s.message_id"
                   " WHERE m.workspace_id = %s ORDER BY s.no", [program.workspace.pk])  # fmt: skip
    return [(address, read(bytes(raw))) for address, raw in rows]


def test_one_mail_for_all_who_stand_in_to_and_cc(program: Program) -> None:
    file = {"Content-type": "text/plain", "Filename": "a.txt", "content": base64.b64encode(b"abc").decode()}
    status, told = send(program, {**GOOD, **TO, "cc": "eva@lecteurs.example", "Mj-CustomID": "c", "Attachments": [file], "Headers": {"Reply-To": "sav@boutique.example"},
                                  "Mj-trackopen": 1, "Html-part": "<p>a</p>", "Inline_attachments": [{**file, "Filename": "b.txt"}]})  # fmt: skip
    assert status == 200 and [one["Email"] for one in told["Sent"]] == [
        "luc@lecteurs.example",
        "lea@lecteurs.example",
        "eva@lecteurs.example",
    ]
    assert all(one["MessageID"] > 0 and len(one["MessageUUID"]) == 36 for one in told["Sent"])
    mails = sent(program)
    assert (
        mails[0][1].get("To") == "Luc <luc@lecteurs.example>, lea@lecteurs.example"
        and mails[0][1].get("Reply-To") == "sav@boutique.example"
    )
    assert [one.content for one in mails[0][1].attachments if one.filename == "a.txt"] == [b"abc"]


def test_recipients_get_mails_of_their_own_with_their_own_vars(program: Program) -> None:
    people = [{"Email": "luc@lecteurs.example", "Vars": {"n": 1}}, {"Email": "lea@lecteurs.example", "Name": "Léa"}]
    status, told = send(
        program,
        {
            "Messages": [
                {
                    **GOOD,
                    "Recipients": people,
                    "Vars": {"n": 0},
                    "Text-part": "{{var:n}} [[var:n]]",
                    "Mj-TemplateLanguage": True,
                }
            ]
        },
    )
    assert status == 200 and len(told["Sent"]) == 2
    assert [mail.text.strip() for _, mail in sent(program)] == ["1 1", "0 0"]
    assert all("," not in str(mail.get("To")) for _, mail in sent(program)), "nobody sees the others"


def test_a_template_by_name_or_number(program: Program) -> None:
    made = program.made_one("template", {"Name": "Reçu"})
    content = {"Text-part": "n° {{var:n}}", "Headers": {"From": "zoe@boutique.example", "Subject": "Reçu"}}
    assert program("POST", f"template/{made['ID']}/detailcontent", content)[0] == 200
    for named in ("Reçu", made["ID"], str(made["ID"])):
        assert (
            send(
                program,
                {
                    "Recipients": [{"Email": "luc@lecteurs.example"}],
                    "Mj-TemplateID": named,
                    "Mj-TemplateLanguage": True,
                    "Vars": {"n": 7},
                },
            )[0]
            == 200
        )
    assert {mail.text.strip() for _, mail in sent(program)} == {"n° 7"}
    assert send(program, {**GOOD, **TO, "Mj-TemplateID": "autre"})[0] == 400


WRONG: tuple[tuple[Any, str], ...] = (
        (b"{", "Malformed JSON, please review the syntax and properties types."), (b"[]", "Malformed JSON: an object is expected."), ({}, "Missing mandatory property. (FromEmail)"),
        (GOOD, 'Missing "To" or "Recipients" property'), ({**GOOD, **TO, "Headers": "x"}, '"Headers" is not JSON object type'), ({**GOOD, "To": "a@b.example\nBcc: x"}, "Invalid characters detected"),
        ({**GOOD, "To": ", ".join(f"p{n}@b.example" for n in range(51))}, "Too many recipients in To"), ({**GOOD, **TO, "Recipients": [{"Email": "a@b.example"}]}, '"Recipients" cannot be used with "To", "Cc" or "Bcc".'),
        ({**GOOD, "To": "noat"}, '"noat" is an invalid email address. (To[0].Email)'), ({**GOOD, **TO, "Text-part": ""}, 'At least "HTMLPart", "TextPart" or "TemplateID" must be provided. (Text-part, Html-part, Mj-TemplateID)'),
        ({**GOOD, **TO, "FromEmail": "x@autre.example"}, '"x@autre.example" is not an authorized sender email address for your account. (FromEmail)'),
        ({"Messages": [{**GOOD, **TO}, {**GOOD, "To": "x"}]}, '"x" is an invalid email address. (To[0].Email)'), ({"Messages": []}, '"Messages" is a list of messages.'),
)  # fmt: skip


def test_what_is_wrong_is_told_and_nothing_is_sent(program: Program) -> None:
    api_keys.limit(program.key, Limits(senders=("boutique.example",)))
    for body, said in WRONG:
        status, told = send(program, body)
        assert (told["ErrorMessage"], status) == (said, told["StatusCode"]) and status in (400, 403)
        assert sent(program) == []
