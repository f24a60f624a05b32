# ruff: noqa: E501 -- calls are read better on one line
"""Stored templates and the template language in what the send API hands on."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from envol import db
from envol.accounts.models import Member
from envol.accounts.workspaces import create_workspace, refuse_late
from envol.api.accepting import Request, serve
from envol.audience import segments
from envol.consent import purposes
from envol.contacts import catalogue, people
from envol.contacts.models import Contact
from envol.content import links
from envol.outbound import domains
from envol.wire.message.read import read
from tests.api.program import Program

FROM, TO = {"Email": "zoe@boutique.example", "Name": "Zoé"}, [{"Email": "luc@lecteurs.example", "Name": "Luc"}]


@pytest.fixture
def program(workspace: Any) -> Program:
    domains.add(workspace, "boutique.example", trusted=True)
    return Program(workspace)


def send(program: Program, *messages: dict[str, Any], **root: Any) -> tuple[int, Any]:
    body = json.dumps({"Messages": [{"From": FROM, "To": TO, "Subject": "Bonjour", **one} for one in messages], **root})
    (answer,) = serve([Request(program.authorization, body.encode())])
    return answer.status, json.loads(answer.body)


def sent(program: Program) -> list[tuple[str, Any]]:
    rows = db.rows(
        "SELECT s.address, m.raw FROM outbound_send s JOIN outbound_message m ON m.id = s.message_id"
        " WHERE m.workspace_id = %s ORDER BY s.no",
        [program.workspace.pk],
    )
    return [(address, read(bytes(raw))) for address, raw in rows]


def test_a_stored_template_says_what_the_message_does_not(program: Program) -> None:
    made = program.made_one(
        "template", {"Name": "Commande", "Purposes": ["transactional"], "Locale": "fr_FR", "EditMode": "html"}
    )
    assert made["OwnerType"] == "apikey" and made["EditMode"] == 2 and made["Purposes"] == ["transactional"]
    content = {"Html-part": "<p>{{var:n}} {{var:what:\"livres\"}}</p>", "Text-part": "{{var:n}}", "Headers": {"From": '"La boutique" <boutique@boutique.example>', "Subject": "Commande {{var:n}}", "Reply-To": "sav@boutique.example"}}  # fmt: skip
    path = f"template/{made['ID']}/detailcontent"
    status, told = program("POST", path, content)
    assert status == 200 and told["Data"] == [{**content, "MJMLContent": None}]
    status, told = send(
        program,
        {
            "TemplateID": str(made["ID"]),
            "TemplateLanguage": True,
            "Variables": {"n": 17},
            "From": None,
            "Subject": None,
        },
    )
    assert status == 200, told
    ((address, mail),) = sent(program)
    assert (address, mail.get("Subject"), mail.get("From"), mail.get("Reply-To")) == (
        "luc@lecteurs.example",
        "Commande 17",
        "La boutique <boutique@boutique.example>",
        "sav@boutique.example",
    )
    assert "<p>17 livres</p>" in mail.html and mail.text.strip() == "17"
    assert program("PUT", path, {"Text-part": None, "Headers": {"subject": "Autre"}})[1]["Data"][0]["Headers"] == {
        "From": '"La boutique" <boutique@boutique.example>', "Reply-To": "sav@boutique.example", "subject": "Autre"}  # fmt: skip
    assert program("POST", path, {"Text-part": "seul"})[1]["Data"][0] == {
        "Html-part": None,
        "Text-part": "seul",
        "MJMLContent": None,
        "Headers": {},
    }
    assert program("POST", "template", {"Name": "Commande"})[1]["ErrorMessage"].startswith("MJ18 A Template resource")
    assert program.rows("template/apikey|Commande")[0]["ID"] == made["ID"]
    assert (
        program("GET", "template/999999/detailcontent")[1]["ErrorMessage"]
        == "The resource with the specified ID you are trying to reach does not exist."
    )


@pytest.mark.parametrize(
    ("message", "status", "code"),
    [
        ({"TemplateID": 999999}, 400, "send-0010"), ({"TextPart": "{{var:x}}", "TemplateLanguage": True}, 400, "mj-0005"),
        ({"TextPart": "a", "Subject": "{{x", "TemplateLanguage": True}, 400, "mj-0005"), ({"TextPart": "{{var:x}}"}, 200, ""),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_once(program: Program, message: dict[str, Any], status: int, code: str) -> None:
    got, told = send(program, message)
    assert got == status and (not code or told["Messages"][0]["Errors"][0]["ErrorCode"] == code), told
    assert len(sent(program)) == (1 if status == 200 else 0)


def test_errors_are_told_to_whom_the_program_names_and_the_source_is_delivered_where_it_asks(program: Program) -> None:
    bad = {
        "HTMLPart": "<p>a</p>\n<p>{{var:day}}</p>",
        "TemplateLanguage": True,
        "TemplateErrorReporting": {"Email": "dev@equipe.example"},
    }
    status, told = send(program, bad)
    assert status == 400 and "line 2" in told["ErrorMessage"] and "Unknown identifier: var:day" in told["ErrorMessage"]
    ((address, mail),) = sent(program)
    assert (
        address == "dev@equipe.example"
        and mail.get("Subject") == 'Error while evaluating Mailjet Templating language for message "Bonjour"'
    )
    assert b"{{var:day}}" in mail.attachments[0].content
    assert send(program, {**bad, "TemplateErrorDeliver": True})[0] == 200
    assert "{{var:day}}" in sent(program)[-1][1].html
    before = len(sent(program))
    assert send(program, bad, SandboxMode=True)[0] == 400 and len(sent(program)) == before, "a sandbox tells nobody"


def test_a_template_in_error_is_blocked_later_where_an_owner_wants_it(program: Program) -> None:
    refuse_late(program.workspace, True, Member(pk=1))
    bad = {
        "TextPart": "{{var:day}}",
        "TemplateLanguage": True,
        "CustomCampaign": "automne",
        "DeduplicateCampaign": True,
    }
    assert send(program, bad, AdvanceErrorHandling=True)[0] == 400, "who asks for it hears of it at once"
    status, told = send(program, bad | {"TemplateErrorReporting": {"Email": "dev@equipe.example"}}, {"TextPart": "un"})
    assert (status, [one["Status"] for one in told["Messages"]]) == (200, ["success", "success"])
    (number, good) = (one["To"][0]["MessageID"] for one in told["Messages"])
    (row,) = program.rows(f"messagehistory/{number}")
    assert (row["EventType"], row["State"]) == ("blocked", "error in template language")
    assert program.rows(f"message/{number}")[0]["StateID"] == 18 and program.rows(f"messagehistory/{good}") == []
    assert "dev@equipe.example" in [address for address, _ in sent(program)]
    status, told = send(program, bad | {"Variables": {"day": "lundi"}})
    assert program.rows(f"message/{told['Messages'][0]['To'][0]['MessageID']}")[0]["Status"] == "queued", (
        "what never left took nobody's turn"
    )
    assert send(program, bad | {"TemplateErrorDeliver": True, "DeduplicateCampaign": False})[0] == 200
    assert sent(program)[-1][1].text.strip() == "{{var:day}}"


def test_what_shows_the_recipient_is_a_message_of_its_own_for_each(program: Program) -> None:
    workspace = program.workspace
    catalogue.declare(
        workspace, "firstname", "text", "firstName", "firstName", purposes=purposes.mask(workspace, "transactional")
    )
    catalogue.declare(workspace, "taste", "text", "taste", "taste", purposes=purposes.mask(workspace, "offers"))
    source = people.source(workspace, "form", "x")
    people.upsert(workspace, "luc@lecteurs.example", {"firstname": "L<uc", "taste": "polars"}, source=source)
    html = '<p>{{data:firstname:"vous"}} {{data:taste:"tout"}} {{mj:contact.email}} {{mj:unsub_link:""}}</p>'
    both = [*TO, {"Email": "eva@lecteurs.example"}]
    status, told = send(
        program,
        {"To": both, "HTMLPart": html, "TemplateLanguage": True, "CustomID": "c"},
        {"TextPart": "un", "To": both},
    )
    assert (
        status == 200
        and [len(one["To"]) for one in told["Messages"]] == [2, 2]
        and told["Messages"][0]["CustomID"] == "c"
    )
    (_, luc), (_, eva), *shared = sent(program)
    assert "<p>L&lt;uc tout luc@lecteurs.example http" in luc.html, "what she did not allow to be shown is not"
    assert (
        "<p>vous tout eva@lecteurs.example" in eva.html
        and luc.get("To") == eva.get("To")
        and "eva@" in str(luc.get("To"))
    )
    assert len({mail.get("Message-ID") for _, mail in shared}) == 1
    ids = [one["MessageID"] for message in told["Messages"] for one in message["To"]]
    assert len(set(ids)) == 4 and [one["Email"] for one in told["Messages"][0]["To"]] == [
        "luc@lecteurs.example",
        "eva@lecteurs.example",
    ]


def test_a_link_to_leave_is_hers_from_the_first_message_on(program: Program) -> None:
    """Whoever is written to for the first time is no contact yet, and has a page of her own all the same."""
    made = program.made_one("template", {"Name": "Reçu", "Copyright": "La boutique"})
    html = (
        "<p>{{mj:template.name}} {{mj:template.copyright}} {{mj:share_twitter}}<a href='{{mj:unsub_link_fr}}'>x</a></p>"
    )
    program("POST", f"template/{made['ID']}/detailcontent", {"Html-part": html})
    mail = {"TemplateID": made["ID"], "TemplateLanguage": True, "To": [{"Email": "neuf@lecteurs.example"}]}
    assert send(program, mail, SandboxMode=True)[0] == 200
    assert program("GET", "contact/neuf@lecteurs.example")[0] == 404, "a sandbox meets nobody"
    assert send(program, mail)[0] == 200
    ((_, seen),) = sent(program)
    (contact,) = program.rows("contact/neuf@lecteurs.example")
    found = re.search(r"<p>Reçu La boutique <a href='(http[^']+/p/[^']+)'>", seen.html)
    assert found and found[1].endswith(f"/p/{links.person_token(program.workspace.pk, contact['ID'])}")
    assert send(program, {"TextPart": "[[UNSUB_LINK_FR]]", "To": [{"Email": "autre@lecteurs.example"}]})[0] == 200
    assert "/p/" in sent(program)[-1][1].text


def test_who_is_in_a_segment_reads_what_is_for_it(program: Program) -> None:
    workspace = program.workspace
    for name, purpose in (("house", "transactional"), ("taste", "offers")):
        catalogue.declare(workspace, name, "text", name, name, purposes=purposes.mask(workspace, purpose))
    source = people.source(workspace, "form", "x")
    people.upsert(workspace, "luc@lecteurs.example", {"house": "Lyon", "taste": "polars"}, source=source)
    people.upsert(workspace, "eva@lecteurs.example", {"house": "Nancy", "taste": "polars"}, source=source)

    def segment(name: str, *rules: dict[str, Any]) -> int:
        return int(segments.save(workspace, name, {"v": 1, "match": "all", "rules": list(rules)}).pk)

    lyon = segment("Lyonnais", {"field": "prop.house", "op": "is", "value": "Lyon"})
    segment("Polars", {"field": "prop.taste", "op": "is", "value": "polars"})
    segment("Deux", {"field": "segment", "op": "in", "value": lyon})
    html = "".join(f"{{% if segment:{name} %}}{name} {{% endif %}}" for name in ("lyonnais", lyon, "Deux", "Polars"))
    both = [*TO, {"Email": "eva@lecteurs.example"}, {"Email": "inconnue@lecteurs.example"}]
    status, told = send(program, {"To": both, "HTMLPart": f"<p>{html}</p>", "TemplateLanguage": True})
    assert status == 200, told
    read_by = {address: mail.html for address, mail in sent(program)}
    assert f"<p>lyonnais {lyon} Deux </p>" in read_by["luc@lecteurs.example"], "a taste is not for such a message"
    assert "<p></p>" in read_by["eva@lecteurs.example"] and "<p></p>" in read_by["inconnue@lecteurs.example"]
    foreign = Program(create_workspace(f"z{workspace.pk}"))
    domains.add(foreign.workspace, "boutique.example", trusted=True)
    status, told = send(foreign, {"TextPart": f"{{% if segment:{lyon} %}}x{{% endif %}}", "TemplateLanguage": True})
    assert status == 400 and f"segment:{lyon}" in told["ErrorMessage"], "of another workspace it is unknown"


def test_older_tags_need_no_language_and_links_get_the_callers_query(program: Program) -> None:
    html = '<a href="https://boutique.example/a#x">[[var:n:"?"]]</a> <a href=\'https://boutique.example/b?c=1\'>[[EMAIL_TO]]</a> <a href="mailto:a@b.example">m</a>'
    assert (
        send(program, {"HTMLPart": html, "Variables": {"n": "<b>3</b>"}, "URLTags": "utm_source=x&utm_medium=y"})[0]
        == 200
    )
    ((_, mail),) = sent(program)
    assert '<a href="https://boutique.example/a?utm_source=x&amp;utm_medium=y#x"><b>3</b></a>' in mail.html
    assert (
        "<a href='https://boutique.example/b?c=1&amp;utm_source=x&amp;utm_medium=y'>luc@lecteurs.example</a>"
        in mail.html
    )
    assert '<a href="mailto:a@b.example">' in mail.html
    assert send(program, {"HTMLPart": "<a " * 200_000, "URLTags": "a=b"})[0] == 200, "looked at once, not once a place"


def test_whoever_is_written_to_becomes_a_contact_without_any_permission(program: Program) -> None:
    workspace = program.workspace
    gone = people.upsert(workspace, "partie@lecteurs.example", source=people.source(workspace, "form", "x"))
    people.erase(gone, cause="letter 7")
    people_ = [*TO, {"Email": "LUC@lecteurs.example"}, {"Email": "partie@lecteurs.example"}]
    assert send(program, {"TextPart": "un", "To": people_}, {"TextPart": "deux"})[0] == 200
    (luc,) = Contact.objects.filter(workspace_id=workspace.pk)
    assert luc.email == "luc@lecteurs.example" and luc.allowed == 0
    assert not any(line["allowed"] for line in people.permissions(luc) if line["kind"] == "marketing")
    ids = db.rows("SELECT address, contact_id FROM outbound_send WHERE contact_id IS NOT NULL")
    assert ("luc@lecteurs.example", luc.pk) in ids and not any("partie" in address for address, _ in ids)
    message = program.rows("message?ShowSubject=true&ShowContactAlt=1&ContactAlt=luc@lecteurs.example")
    assert [(one["Status"], one["Subject"], one["ContactAlt"], one["ContactID"]) for one in message] == [
        ("queued", "Bonjour", "luc@lecteurs.example", luc.pk)
    ] * 2
    for query, many in (("From=Boutique@boutique.example", 0), ("FromDomain=boutique.example", 3), ("FromDomain=x.example", 0), ("CampaignID=0", 3),
                        ("CampaignID=7", 0), ("MessageState=0", 3), ("MessageState=1", 0)):  # fmt: skip
        assert len(program.rows(f"message?{query}")) == many, query
    (one,) = program.rows(f"message/{message[0]['ID']}")
    assert one["UUID"] == message[0]["UUID"] and one["MessageSize"] > 200
    assert (one["IsTextPartIncluded"], one["IsHTMLPartIncluded"]) == (True, False)
    assert program.rows(f"messageinformation/{message[0]['ID']}")[0]["MessageSize"] == one["MessageSize"]
    assert program.rows(f"messagehistory/{message[0]['ID']}") == [] and program.rows("messagehistory/7") == []
    assert Program(create_workspace(f"autre{workspace.pk}"))("GET", f"message/{message[0]['ID']}")[0] == 404


def test_the_probes_of_plugins(program: Program) -> None:
    (key,) = program.rows("apikey")
    assert key["APIKey"] == program.made.key and key["SecretKey"] == "" and key["IsActive"] is True
    assert program.rows("myprofile")[0]["CompanyName"] == program.workspace.title and program.rows("user")[0]["ID"] == 0
    (sender,) = program.rows("sender?Status=Active")
    assert sender["Email"] == "*@boutique.example" and program.rows("sender?Status=Inactive") == []
    made = program.made_one("sender", {"Email": "sav@boutique.example", "Name": "SAV"})
    assert (made["Status"], made["Email"], made["ID"]) == ("Active", "sav@boutique.example", sender["ID"])
    assert program("POST", "sender", {"Email": "*@boutique.example"})[1]["ErrorMessage"].startswith(
        "MJ18 A Sender resource"
    )
    assert program("POST", f"sender/{sender['ID']}/validate")[0] == 400
    other = program.made_one("sender", {"Email": "a@autre.example"})
    assert other["Status"] in ("Active", "Inactive")
    whole, *_ = program.rows("metasender?Status=Active")
    assert (whole["Email"], whole["IsEnabled"], whole["ID"]) == ("*@boutique.example", True, sender["ID"])
    assert program.made_one("metasender", {"Email": "x@nouveau.example"})["Email"] == "*@nouveau.example"
    assert program("POST", "metasender", {})[0] == 400
    (dns,) = program.rows("dns/autre.example")
    assert (
        dns["DKIMRecordName"].endswith("._domainkey.autre.example.")
        and dns["SPFRecordValue"].startswith("v=spf1")
        and dns["DKIMStatus"] == "Not checked"
    )
    assert program("POST", "dns/autre.example", {})[0] == 405


def test_a_campaign_of_a_program_reaches_a_person_once_where_it_asks(program: Program) -> None:
    from envol.api import once
    from envol.consent import registry

    mail = {"TextPart": "un", "CustomCampaign": "automne", "DeduplicateCampaign": True}
    eva = {"Email": "eva@lecteurs.example"}
    assert send(program, mail)[0] == 200
    status, told = send(
        program,
        {**mail, "To": [*TO, eva]},
        {**mail, "To": TO},
        {**mail, "CustomCampaign": "hiver"},
        {"TextPart": "deux"},
    )
    ids = [[one["MessageID"] for one in message["To"]] for message in told["Messages"]]
    assert status == 200 and all(n for some in ids for n in some), "each has its number"
    blocked = [[program.rows(f"message/{n}")[0]["Status"] == "blocked" for n in some] for some in ids]
    assert blocked == [[True, False], [True], [False], [False]], "and who had something of it is told as blocked"
    (row,) = program.rows(f"messagehistory/{ids[1][0]}")
    assert (row["EventType"], row["State"]) == ("blocked", "duplicate in campaign")
    waiting = db.rows(
        "SELECT s.address FROM outbound_send s JOIN outbound_message m ON m.id = s.message_id AND m.workspace_id = %s"
        " JOIN outbound_chunk c ON c.sending_id = s.sending_id AND c.no = s.chunk AND NOT c.done ORDER BY s.no",
        [program.workspace.pk],
    )
    assert [address.partition("@")[0] for (address,) in waiting] == ["luc", "eva", "luc", "luc"]
    assert send(program, {**mail, "To": [eva]}, SandboxMode=True)[0] == 200, "a sandbox takes nobody's turn"
    luc = Contact.objects.get(workspace_id=program.workspace.pk, email_key="luc@lecteurs.example")
    exported = registry.export_person(program.workspace.pk, luc.pk)["rooms"]["api"]["campaigns_of_programs"]
    assert {one["campaign"] for one in exported} == {"automne", "hiver"}
    db.execute("UPDATE api_once SET at = now() - interval '14 months' WHERE campaign = 'hiver'")
    assert once.forget() == 1 and people.erase(luc, cause="letter 8")["api_once"] == 1


# What no text holds, as JSON can write it, and what a header must not; each in every property and in what fills a template.
_ODD = ("\\u0000", "\\ud800", "\\r\\nBcc: eve@lecteurs.example")
_PLACES: tuple[dict[str, Any], ...] = (
    *({name: "a%s"} for name in ("Subject", "TextPart", "HTMLPart", "CustomID", "EventPayload", "CustomCampaign", "URLTags", "TemplateID", "X%s")),
    *({"TemplateLanguage": True, name: "{{var:a}}", "Variables": {"a": "a%s"}} for name in ("Subject", "TextPart", "HTMLPart")),
    {"Headers": {"X-A": "a%s"}}, {"Headers": {"X-A%s": "a"}}, {"Variables": {"a%s": "a"}}, {"From": {"Email": "z%s@boutique.example"}},
    {"From": {**FROM, "Name": "Z%s"}}, {"To": [{"Email": "luc@lecteurs.example", "Name": "L%s"}]}, {"ReplyTo": {"Email": "a%s@b.example"}},
    {"Attachments": [{"ContentType": "text/plain", "Filename": "a%s.txt", "Base64Content": "YQ=="}]},
    {"TemplateLanguage": True, "TextPart": "{{var:b%s}}", "TemplateErrorReporting": {"Email": "dev@equipe.example"}, "TemplateErrorDeliver": True},
)  # fmt: skip


@pytest.mark.parametrize("odd", _ODD)
def test_no_odd_character_stops_a_call_or_leaves_in_a_header(program: Program, odd: str) -> None:
    """Each beside a good message, which is sent whatever the other holds: calls of many programs share a transaction."""
    for place in _PLACES:
        body = json.dumps({"Messages": [{"From": FROM, "To": TO, "Subject": "s", "TextPart": "t", **place}]})
        bad = Request(program.authorization, body.replace("%s", odd).encode())
        good = Request(
            program.authorization, json.dumps({"Messages": [{"From": FROM, "To": TO, "TextPart": "t"}]}).encode()
        )
        answers = serve([bad, good])
        assert answers[0].status in (200, 400) and answers[1].status == 200, (place, answers[0].body)
        told = json.loads(answers[0].body)["Messages"][0]
        assert (told["Status"] == "success") == (answers[0].status == 200)
        assert told["Status"] == "success" or all(one["ErrorRelatedTo"] for one in told["Errors"]), place
    for address, mail in sent(program):
        assert address != "eve@lecteurs.example" and mail.get("Bcc") is None
