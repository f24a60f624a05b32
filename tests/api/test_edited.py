"""Templates that members wrote in the editor, as a program lists, reads and sends them."""

from __future__ import annotations

from typing import Any

import pytest

from envol.accounts.workspaces import create_workspace
from envol.api import edited
from envol.content import templates
from envol.content.models import Template
from tests.api.program import Program
from tests.api.test_filling import program, send, sent

__all__ = ["program"]  # the fixture
MJML = """<mjml><mj-body><mj-section><mj-column><mj-text>Bonjour {{ contact.first_name | default("vous") }} de
{{ contact.city }}</mj-text><mj-text><a href="{{ unsubscribe_url }}">Non merci</a></mj-text></mj-column></mj-section>
</mj-body></mjml>"""


@pytest.fixture
def letter(program: Program) -> int:
    templates.save(
        program.workspace, "Bienvenue", "mjml", MJML, 'Pour {{ contact.first_name | default("vous") }}',
        preheader="À lire", fallbacks={"city": "partout"},
    )  # fmt: skip
    return edited.BASE | Template.objects.get(workspace=program.workspace, name="Bienvenue").pk


def test_it_is_listed_and_read_in_tags_of_the_dialect(program: Program, letter: int) -> None:
    mine = program.made_one("template", {"Name": "Commande"})
    assert [one["ID"] for one in program.rows("template")] == [mine["ID"], letter]
    assert [one["ID"] for one in program.rows("template?Sort=ID+DESC&Limit=1")] == [letter]
    for query, found in (
        ("EditMode=4", [letter]), ("EditMode=1", []), ("EditMode=2", [mine["ID"]]), ("Name=Bienvenue", [letter]),
        ("Purposes=marketing", [letter]), ("Purposes=transactional", []), ("OwnerType=global", []),
        ("Categories=x", []), ("Categories=x&CategoriesSelectionMethod=isSubset", [mine["ID"], letter]),
        ("Purposes=marketing,transactional", []),
        ("Purposes=marketing,automation&PurposesSelectionMethod=containsAny", [letter]),
    ):  # fmt: skip
        assert [one["ID"] for one in program.rows(f"template?{query}")] == found, query
    (row,) = program.rows("template/apikey|Bienvenue")
    assert (row["ID"], row["Name"], row["EditMode"], row["Locale"]) == (letter, "Bienvenue", 4, "fr_FR")
    assert row["LastUpdatedAt"].endswith("Z") and letter < 1 << 53
    (parts,) = program.rows(f"template/{letter}/detailcontent")
    assert parts["Headers"] == {"Subject": 'Pour [[data:first_name:"vous"]]'}
    assert 'Bonjour [[data:first_name:"vous"]] de\n[[data:city:"partout"]]' in parts["MJMLContent"]
    assert 'href="[[UNSUB_LINK_FR]]"' in parts["Html-part"] and "À lire" in parts["Html-part"]
    assert "{{" not in parts["Html-part"] + parts["Text-part"] and "Bonjour [[data" in parts["Text-part"]
    stranger = Program(create_workspace(f"edited{program.workspace.pk}"))
    assert stranger.rows("template") == [] and stranger("GET", f"template/{letter}")[0] == 404


def test_it_is_sent_by_its_number_and_filled_in(program: Program, letter: int) -> None:
    status, told = send(program, {"TemplateID": letter, "Subject": None})
    assert status == 200, told
    ((_, mail),) = sent(program)
    assert mail.get("Subject") == "Pour vous" and "Bonjour vous de" in mail.html and "partout" in mail.text
    assert "[[" not in mail.html + mail.text and "Non merci" in mail.html


def test_nobody_writes_over_it(program: Program, letter: int) -> None:
    before = Template.objects.get(pk=letter ^ edited.BASE).versions.count()
    for method, path, body in (
        ("PUT", f"template/{letter}", {"Name": "Autre"}),
        ("DELETE", f"template/{letter}", None),
        ("POST", f"template/{letter}/detailcontent", {"Html-part": "<p>x</p>"}),
        ("PUT", f"template/{letter}/detailcontent", {"Text-part": "x"}),
    ):
        status, told = program(method, path, body)
        assert status == 400 and "Envol's editor" in told["ErrorMessage"] and told["StatusCode"] == 400, (method, path)
    assert Template.objects.get(pk=letter ^ edited.BASE).versions.count() == before


def test_what_no_tag_can_say_is_shown_and_refused_in_a_message(program: Program) -> None:
    source = "<p>{% if contact.city %}{{ contact.city }}{% endif %}</p>"
    templates.save(program.workspace, "Conditions", "html", source, "Bonjour")
    number = program.rows("template/apikey|Conditions")[0]["ID"]
    assert "{% if contact.city %}" in program.rows(f"template/{number}/detailcontent")[0]["Html-part"]
    status, told = send(program, {"TemplateID": number})
    error: dict[str, Any] = told["Messages"][0]["Errors"][0]
    assert status == 400 and error["ErrorRelatedTo"] == ["TemplateID"] and "Conditions" in error["ErrorMessage"]
    assert not sent(program)


def test_a_campaign_takes_its_words(program: Program, letter: int) -> None:
    words = {"Locale": "fr_FR", "Sender": "Zoé", "SenderEmail": "zoe@boutique.example", "Subject": "Automne"}
    draft = program.made_one("campaigndraft", {**words, "TemplateID": letter})["ID"]
    (parts,) = program.rows(f"campaigndraft/{draft}/detailcontent")
    assert 'data:first_name:"vous"' in parts["Html-part"]
    assert [one["ID"] for one in program.rows("template")] == [letter], "the words of the draft are no template"
