# ruff: noqa: E501 -- calls are read better on one line
"""A newsletter from its first word to sending, as programs written for Mailjet make one."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from envol.accounts import api_keys
from envol.accounts.models import Member, Role, User, Workspace
from envol.accounts.workspaces import add_member, create_workspace
from envol.api import declared
from envol.campaigns import expand, tick
from envol.campaigns.models import Campaign
from envol.consent import acts, purposes
from envol.contacts import catalogue, people
from envol.contacts.models import List, PropertyType
from envol.db import rows
from envol.outbound import domains
from envol.outbound.models import Sending
from tests.api.program import Program

HTML = '<p>Bonjour {{data:first_name:"vous"}} {% if data:city:"" = "Nantes" %}du coin{% else %}de loin{% endif %} [[UNSUB_LINK_FR]]</p>'


@pytest.fixture
def program(workspace: Any) -> Program:
    Workspace.objects.filter(pk=workspace.pk).update(postal_address="3 rue des Livres, 44000 Nantes")
    domains.add(workspace, "boutique.example", trusted=True)
    return Program(workspace)


SAID = {"Locale": "fr_FR", "Sender": "Zoé", "SenderEmail": "zoe@boutique.example", "Subject": "Automne"}


def owner(workspace: Any) -> Member:
    return add_member(workspace, User.objects.create_user(f"zoe{workspace.pk}@equipe.example", "x"), Role.OWNER)


def draft(program: Program, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    club = program.made_one("contactslist", {"Name": "Club"})
    given = {
        "Locale": "fr_FR",
        "Sender": "La boutique",
        "SenderName": "Zoé",
        "SenderEmail": "zoe@boutique.example",
        "Subject": "Automne",
        "ContactsListID": str(club["ID"]),
        "Title": "Lettre d'automne",
        **more,
    }
    return program.made_one("campaigndraft", given), club


def test_from_the_first_word_to_sending(program: Program) -> None:
    newsletter = purposes.get(program.workspace, "newsletter")
    made, club = draft(program)
    assert (made["Status"], made["ContactsListID"], made["SenderEmail"], made["Subject"], made["CampaignID"]) == (
        0,
        club["ID"],
        "zoe@boutique.example",
        "Automne",
        0,
    )
    path = f"campaigndraft/{made['ID']}"
    status, told = program("POST", f"{path}/detailcontent", {"Html-part": HTML, "Text-part": "Bonjour"})
    assert (
        status == 200
        and told["Data"][0]["Html-part"] == HTML
        and program.rows(f"{path}/detailcontent")[0]["Text-part"] == "Bonjour"
    )
    version = Campaign.objects.get(pk=made["ID"]).template.versions.latest("no")  # type: ignore[union-attr]
    assert (
        '{{ (contact.first_name | default("vous")) }}' in version.source and "{{ unsubscribe_url }}" in version.source
    )
    assert (
        program("PUT", path, {"Subject": "Hiver"})[1]["Data"][0]["Subject"] == "Hiver"
        and program("PUT", path, {"Subject": "Hiver"})[0] == 304
    )
    status, told = program("POST", f"{path}/send", {})
    assert status == 400 and "Nothing is declared for this API key" in told["ErrorMessage"]
    declared.declare(program.key, newsletter, "Pied de page", "Case non cochée.", owner(program.workspace))
    assert program("POST", f"{path}/send", {})[0] == 400, "nobody is on the list"
    program.made_one(
        f"contactslist/{club['ID']}/managecontact", {"Email": "luc@lecteurs.example", "Action": "addforce"}
    )
    assert program.made_one(f"{path}/test", {"Recipients": [{"Email": "zoe@boutique.example"}]}) == {"Status": "Draft"}
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    assert program.made_one(f"{path}/schedule", {"Date": at.isoformat()}) == {
        "Date": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Status": "Programmed",
    }
    assert (
        program.rows(f"{path}/status") == [{"Status": "Programmed"}]
        and program.rows(f"{path}/schedule")[0]["Status"] == "Programmed"
    )
    later = (at + timedelta(days=1)).isoformat()
    assert program("PUT", f"{path}/schedule", {"Date": later})[0] == 200
    assert program("DELETE", f"{path}/schedule") == (204, None) and program.rows(f"{path}/status") == [
        {"Status": "Draft"}
    ]
    assert program.made_one(f"{path}/send", {}) == {"Status": "Programmed"}
    sending = Sending.objects.filter(campaign_id=made["ID"], kind="campaign").latest("pk")
    assert sending.purpose_id == newsletter.pk and program.rows("campaigndraft?Status=1")[0]["ID"] == made["ID"]
    assert program("PUT", path, {"Subject": "x"})[0] == 400, "on its way"


def test_a_programs_campaign_reaches_the_customers_of_what_its_key_is_about(program: Program) -> None:
    """From the draft to the sending: nobody opens its page. Customers of other products, or of another seller, are left
    out."""
    newsletter = purposes.get(program.workspace, "newsletter")
    declared.declare(program.key, newsletter, "Pied de page", "Case non cochée.", owner(program.workspace))
    api_keys.is_about(program.key, " Livres  ", "Papeterie Zoé")
    made, club = draft(program)
    source = people.source(program.workspace, "form", "Caisse")
    chosen = List.objects.get(pk=club["ID"])
    bought: dict[int, tuple[str, str]] = {}
    for family, seller in (
        ("livres", "papeterie Zoe"),
        ("livres", ""),
        ("disques", "Papeterie Zoé"),
        ("livres", "Autre"),
    ):
        name = secrets.token_hex(5)
        one = people.upsert(program.workspace, f"{name}@lecteurs.example", {}, source=source, lists=[chosen])
        facts = {"sale_ref": "F-12", "sale_date": "2026-02-01", "optout_offered": True, "product_family": family,
                 **({"entity_id": seller} if seller else {})}  # fmt: skip
        proof = acts.evidence(program.workspace, "document", "caisse", document=b"tickets", facts=facts)
        people.grant(one, newsletter, basis="customer", proof_of=proof)
        bought[one.pk] = (family, seller)
    path = f"campaigndraft/{made['ID']}"
    assert program("POST", f"{path}/detailcontent", {"Html-part": HTML, "Text-part": "Bonjour"})[0] == 200
    assert program.made_one(f"{path}/send", {}) == {"Status": "Programmed"}
    sending = Sending.objects.filter(campaign_id=made["ID"], kind="campaign").latest("pk")
    assert (sending.product_family, sending.seller) == ("Livres", "Papeterie Zoé")
    Sending.objects.filter(pk=sending.pk).update(not_before=Now())  # the minute in which it can be taken back is over
    tick.run()
    expand.run(sending.pk)
    gone = [no for (no,) in rows("SELECT no FROM outbound_send WHERE sending_id = %s", [sending.pk])]
    assert [bought[no] for no in gone] == [("livres", "papeterie Zoe")]
    api_keys.is_about(program.key, "")
    later = program.made_one("campaigndraft", {**SAID, "ContactsListID": str(club["ID"]), "SenderName": "Zoé"})
    assert Campaign.objects.get(pk=later["ID"]).product_family == "", "what is said later holds of later drafts"
    assert Campaign.objects.get(pk=made["ID"]).product_family == "Livres"


def test_loops_go_over_what_the_catalogue_calls_several(program: Program) -> None:
    catalogue.declare(program.workspace, "genres", PropertyType.LIST, "Genres", "Genres")
    made, _ = draft(program)
    html = "<p>{% for g in data:genres %}{{g}} {% endfor %}[[UNSUB_LINK_FR]]</p>"
    assert program("POST", f"campaigndraft/{made['ID']}/detailcontent", {"Html-part": html})[0] == 200
    template = Campaign.objects.get(pk=made["ID"]).template
    assert template is not None
    version = template.versions.latest("no")
    assert "{% for g in contact.genres %}" in version.source and "contact.genres" in version.variables


def test_the_older_twin_of_a_draft(program: Program) -> None:
    made, _ = draft(program)
    (older,) = program.rows("newsletter")
    assert older.items() >= made.items() and older["EditType"] == "full" and older["Permalink"] == "default"
    path = f"newsletter/{made['ID']}"
    assert program("PUT", path, {**older, "Subject": "Hiver"})[1]["Data"][0]["Subject"] == "Hiver"
    assert program("POST", f"{path}/detailcontent", {"Html-part": HTML})[0] == 200
    assert program.rows(f"{path}/status") == [{"Status": "Draft"}]
    assert program.rows(f"campaigndraft/{made['ID']}")[0]["Subject"] == "Hiver"


def test_a_draft_takes_its_words_from_a_template(program: Program) -> None:
    kept = [program.made_one("template", {"Name": f"Modèle {n}"})["ID"] for n in (1, 2)]
    for n, number in enumerate(kept, 1):
        program("POST", f"template/{number}/detailcontent", {"Html-part": f"<p>Bonjour {n} [[UNSUB_LINK_FR]]</p>"})
    made, _ = draft(program, Template=str(kept[0]))
    path = f"campaigndraft/{made['ID']}"
    assert made["TemplateID"] == kept[0] and "Bonjour 1" in program.rows(f"{path}/detailcontent")[0]["Html-part"]
    written = Campaign.objects.get(pk=made["ID"]).template
    assert written is not None and "Bonjour 1 {{ unsubscribe_url }}" in written.versions.latest("no").source
    program("POST", f"{path}/detailcontent", {"Html-part": "<p>Autre [[UNSUB_LINK_FR]]</p>"})
    assert program("PUT", path, {"TemplateID": kept[0]})[0] == 304, "the words written since stay"
    assert program("PUT", path, {"TemplateID": kept[1]})[0] == 200
    assert "Bonjour 2" in written.versions.latest("no").source
    foreign = Program(create_workspace(f"t{program.workspace.pk}", title="Autre")).made_one("template", {"Name": "X"})
    for number in (foreign["ID"], 10**15):
        status, told = program("PUT", path, {"TemplateID": number})
        assert status == 400 and 'Property "Template"' in told["ErrorMessage"]
        assert program("POST", "campaigndraft", {**SAID, "TemplateID": number})[0] == 400
    program("POST", f"template/{kept[0]}/detailcontent", {"Html-part": "<p>{% if %}</p>"})
    status, told = program("POST", "campaigndraft", {**SAID, "TemplateID": kept[0]})
    assert status == 400 and "Html-part, line 1" in told["ErrorMessage"]
    assert program.rows("campaigndraft") == [program.rows(path)[0]], "what cannot be made leaves nothing"


@pytest.mark.parametrize(
    ("act", "body", "said"),
    [
        ("send", {}, "has no ContactsListID"), ("schedule", {"Date": "x"}, "MJ08 Property Date is invalid"), ("schedule", {}, "MJ03 A non-empty value"),
        ("test", {}, "MJ08 Property Recipients is invalid"), ("detailcontent", {"Html-part": "a\n{{var:x}}"}, "Html-part, line 2: a campaign does not know var:x: give it a default"),
        ("detailcontent", {"Html-part": "{{data:unknown_thing}}"}, "unknown_thing"), ("detailcontent", {"Html-part": "\n{% for x in data:first_name %}{% endfor %}"}, 'Html-part, line 2: "data:first_name" is not an array value'), ("detailcontent", {"MJMLContent": "<mjml><mj-body>"}, "MJMLContent"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(program: Program, act: str, body: dict[str, Any], said: str) -> None:
    made, _ = draft(program, ContactsListID=None)
    status, told = program("POST", f"campaigndraft/{made['ID']}/{act}", body)
    assert status == 400 and said in told["ErrorMessage"], told
    other = Program(create_workspace(f"brouillon{program.workspace.pk}"))
    assert other("POST", f"campaigndraft/{made['ID']}/{act}", body)[0] == 404
    assert program("PUT", f"campaigndraft/{made['ID']}", {"Status": -2})[0] in (200, 204)
    assert program("GET", f"campaigndraft/{made['ID']}")[0] == 404
    assert (
        program("POST", "campaigndraft", {"Locale": "fr_FR", "Sender": "x", "SenderEmail": "no at", "Subject": "a"})[0]
        == 400
    )
