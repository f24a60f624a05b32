"""Nothing that people see requires a title or gender (GDPR art. 5(1)(c), CJEU C-394/23): every public page is read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern
from selectolax.lexbor import LexborHTMLParser

from envol.accounts.models import Workspace
from envol.collect import signup
from envol.collect.models import SignupForm
from envol.consent import requests
from envol.contacts import catalogue, fields, imports
from envol.contacts.models import Contact, List
from envol.content import links
from envol.db import execute
from envol.web.public import signup as pages
from envol.web.public.urls import urlpatterns
from tests.web.test_public import Reader
from tests.web.test_signup_public import early

TEMPLATES = Path(__file__).resolve().parents[2] / "envol" / "web" / "templates" / "public"
TITLE = re.compile(
    r"gender|civilit|genre|sexe|salutation|\bmme\b|madame|monsieur|\bm\.(?=\s|$)|\bmrs?\b|femme|homme|woman", re.I
)


def demanded(page: str) -> list[str]:
    """What each control says of itself (name, label, legend, options) that has to be filled in."""
    tree, found = LexborHTMLParser(page), []
    for control in tree.css("input[required], select[required], textarea[required], [aria-required=true]"):
        words = [control.attributes.get("name") or "", control.text()]
        mark = control.attributes.get("id")
        for label in tree.css(f'label[for="{mark}"]') if mark else ():
            words.append(label.text())
        above = control.parent
        while above is not None and above.tag not in ("form", "body", "html"):
            words += [above.text()] if above.tag == "label" else [one.text() for one in above.css("legend")]
            above = above.parent
        found.append(" ".join(" ".join(words).split()))
    return found


def nobody_demands(page: str) -> None:
    assert not [said for said in demanded(page) if TITLE.search(said)], demanded(page)


@pytest.fixture
def asking(workspace: Workspace) -> SignupForm:
    """A form that asks for the gender; its row is from a time when that could be required."""
    fields.adopt(workspace, "gender")
    form = signup.create(workspace, List.objects.create(workspace=workspace, name="Lettre"), "first_name")
    signup.switch(form, True)
    form.fields = [{"key": "first_name", "required": True}, {"key": "gender", "required": True}]
    form.save(update_fields=["fields"])
    execute("DELETE FROM collect_attempt")
    return SignupForm.objects.select_related("list", "workspace").get(pk=form.pk)


def test_no_public_page_demands_it(workspace: Workspace, asking: SignupForm) -> None:
    reader = Reader(workspace)
    mine = requests.receive(workspace, "access", "zoe.martin@lecteurs.example", channel="page", words="")
    token = asking.token
    person = links.person_token(workspace.pk, reader.contact)
    at = {
        "unsubscribe": reader.url("u"),
        "preferences": reader.url("p"),
        "web_version": reader.url("w"),
        "survey": f"/i/{links.survey_token(reader.sending.pk, reader.contact)}",
        "rights_form": f"/r/at/{workspace.name}",
        "signup": f"/s/{token}",
        "signup_sent": f"/s/{token}/sent",
        "signup_notice": f"/s/{token}/notice",
    }
    # A picture, pages of one button behind a mail, and archives, which ask for nothing (`no_field` below).
    elsewhere = {"picture", "moderation", "rights", "signup_confirm"}
    elsewhere |= {"archive", "archive_post", "members_archive", "members_post"}
    no_field = [
        one for one in TEMPLATES.glob("*archive*.html") if re.search(r"<select|<textarea|required", one.read_text())
    ]
    assert not no_field
    assert {one.name for one in urlpatterns if isinstance(one, URLPattern)} == at.keys() | elsewhere, "a new page"
    browser = Client(HTTP_HOST="localhost", HTTP_ACCEPT_LANGUAGE="fr")
    for name, path in {**at, "own": f"/p/{person}", "sign_in": "/login/"}.items():
        answer = browser.get(path)
        assert answer.status_code == 200, (name, path, answer.status_code)
        nobody_demands(answer.content.decode())
    page = browser.get(at["signup"]).content.decode()
    assert "field_gender" in page and any("email" in said for said in demanded(page)), "it is asked, and the address is"
    for language in asking.languages:
        nobody_demands(pages.pasted_html(asking, language))
    assert mine.pk
    execute("DELETE FROM consent_request_step WHERE request_id = %s", [mine.pk])


def test_a_demand_would_be_found() -> None:
    page = (
        '<form><fieldset><legend>Civilité</legend><label><input type="radio" name="c" required> Mme</label></fieldset>'
    )
    with pytest.raises(AssertionError):
        nobody_demands(page + "</form>")
    nobody_demands(page.replace(" required", "") + '<input name="email" required></form>')


def test_who_leaves_it_empty_joins(asking: SignupForm) -> None:
    text = next(t for t in signup.texts_of(asking, "fr") if t.purpose.kind == "marketing")
    given = {"email": "zoe@lecteurs.example", "agree": str(text.pk), "stamp": early(asking), "field_first_name": "Zoé"}
    token = asking.token
    assert Client(HTTP_HOST="localhost").post(f"/s/{token}", given).status_code in (302, 303)


@pytest.mark.parametrize("starter", [one.key for one in signup.STARTERS])
def test_no_model_of_a_form_asks_for_it(workspace: Workspace, starter: str) -> None:
    for one in fields.proposed(workspace):
        fields.adopt(workspace, one.key)
    form = signup.create(workspace, List.objects.create(workspace=workspace, name=starter), starter)
    known = catalogue.of(workspace)
    assert not [one for one in form.fields if signup.asks_title(known[one["key"]])]


def test_no_interface_of_programs_demands_it() -> None:
    told = json.loads(Client(HTTP_HOST="localhost").get("/api/openapi.json").content)

    def walk(node: Any) -> list[str]:
        if isinstance(node, dict):
            mine = [str(one) for one in node["required"]] if isinstance(node.get("required"), list) else []
            mine += [node["name"]] if node.get("required") is True and isinstance(node.get("name"), str) else []
            return mine + [one for value in node.values() for one in walk(value)]
        return [one for value in node for one in walk(value)] if isinstance(node, list) else []

    names = walk(told)
    assert len(names) > 5 and not [one for one in names if TITLE.search(one)]


def test_a_file_without_it_is_taken_in(workspace: Workspace, tmp_path: Any) -> None:
    fields.adopt(workspace, "gender")
    path = tmp_path / "salon.csv"
    path.write_text("email;prenom;civilite\nzoe@lecteurs.example;Zoé;\nlea@lecteurs.example;Léa;F\n")
    imp = imports.receive(workspace, path, path.name)
    imports.set_mapping(imp, {column.name: column.target for column in imports.propose(imp)})
    imports.set_origin(imp, imports.PEOPLE)
    counts = imports.run(imp)
    assert counts["new"] == 2 and not counts["refused"]
    zoe = Contact.objects.get(workspace_id=workspace.pk, email_key="zoe@lecteurs.example")
    assert "gender" not in zoe.props


@pytest.mark.parametrize(
    ("key", "french", "english", "choices", "warned"),
    [
        ("civilite", "Civilité", "Title", [], True),
        ("appel", "Comment vous appeler", "How to call you", ["Mme", "M."], True),
        ("salutation", "Formule", "Salutation", [], True),
        ("genre", "Genre lu", "Genre read", ["polar", "essai"], False),
        ("job_title", "Fonction", "Job title", [], False),
        ("essex", "Comté", "County", [], False),
    ],
)
def test_the_designer_warns_whoever_requires_it_by_another_name(
    workspace: Workspace, key: str, french: str, english: str, choices: list[str], warned: bool
) -> None:
    kind = "choice" if choices else "text"
    catalogue.declare(workspace, key, kind, french, english, choices)
    form = signup.create(workspace, List.objects.create(workspace=workspace, name="Club"), "letter")
    form.fields = [{"key": key, "required": True}]
    assert any("C-394/23" in said for said in signup.advice(form)) == warned
    form.fields = [{"key": key, "required": False}]
    assert not any("C-394/23" in said for said in signup.advice(form))
