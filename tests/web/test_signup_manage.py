"""Making and keeping a sign-up form: words, order, preview, switch; by whom, and what a viewer or stranger gets."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from envol.accounts.models import Undo
from envol.audience import segments
from envol.collect import signup, visibility
from envol.collect.models import SignupForm
from envol.consent import purposes
from envol.contacts.models import List
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]
ODD = '"><script>alert(1)</script>'


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop that these tests may change."""
    return open_shop("Librairie des formulaires", readers=30, folder=tmp_path_factory.mktemp("forms"))


@pytest.fixture
def form(own: Shop) -> SignupForm:
    """A form of its own, closed, for a new list."""
    name = f"Liste {List.objects.count()}"
    return signup.create(own.workspace, List.objects.create(workspace=own.workspace, name=name), "first_name")


def fields_of(page: str) -> dict[str, list[str]]:
    """What the editor's form would send as it stands."""
    part = page[page.index('<form method="post" class="stack wide-form"') :]
    part = part[: part.index("</form>")]
    sent: dict[str, list[str]] = {}
    for tag in re.findall(r"<input[^>]*>", part):
        kind = re.search(r'type="(\w+)"', tag)
        name = re.search(r'name="([^"]+)"', tag)
        value = re.search(r'value="([^"]*)"', tag)
        if name and (kind is None or kind[1] != "checkbox" or " checked" in tag):
            sent.setdefault(name[1], []).append(_plain(value[1]) if value else "")
    for name, text in re.findall(r'<textarea[^>]* name="(\w+)"[^>]*>([^<]*)</textarea>', part):
        sent.setdefault(name, []).append(_plain(text))
    return sent


def _plain(text: str) -> str:
    import html

    return html.unescape(text)


def test_a_form_is_made_from_a_model_and_opened(own: Shop, as_member: Sign) -> None:
    editor = as_member("editor", own)
    page = editor.get("/forms").content.decode()
    assert page.count('name="starter"') == 4 and "Abonnés FR" in page
    made = editor.post("/forms/new", {"starter": "birthday", "name": " Le  club "})
    assert made.status_code == 303
    form = SignupForm.objects.get(workspace=own.workspace, list__name="Le club")
    assert [f["key"] for f in form.fields] == ["first_name", "city", "birth_date"] and not form.active
    stranger = Client(HTTP_HOST="localhost")
    assert stranger.get(f"/s/{form.token}").status_code == 410, "closed until somebody has read it"
    where = f"/lists/{form.list.pk}/signup"
    assert editor.post(f"{where}/switch", {"act": "open"}).status_code == 303
    assert stranger.get(f"/s/{form.token}").status_code == 200
    editor.post(f"{where}/switch", {"act": "close"})
    assert stranger.get(f"/s/{form.token}").status_code == 410
    undo = Undo.objects.filter(workspace=own.workspace, kind=signup.SWITCHED).latest("id")
    assert "Undo" in editor.get(where).content.decode()
    editor.post(f"/undo/{undo.pk}", {"next": where})
    assert stranger.get(f"/s/{form.token}").status_code == 200, "taken back"


@pytest.mark.parametrize("sent", [{}, {"name": "  "}, {"name": "Abonnés FR"}])
def test_making_says_what_is_missing(own: Shop, as_member: Sign, sent: dict[str, str]) -> None:
    answer = as_member("editor", own).post("/forms/new", {"starter": "first_name", **sent})
    assert answer.status_code == 422 and 'role="alert"' in answer.content.decode()
    assert re.search(r'value="first_name" checked', answer.content.decode()), "the choice is kept"


def test_saving_what_is_shown_changes_nothing(own: Shop, form: SignupForm, as_member: Sign) -> None:
    """A round through the browser keeps order, words and boxes."""
    before = SignupForm.objects.filter(pk=form.pk).values("words", "fields", "purposes", "languages").get()
    where = f"/lists/{form.list.pk}/signup"
    editor = as_member("editor", own)
    sent = fields_of(editor.get(where).content.decode())
    assert editor.post(where, sent).status_code == 303
    assert SignupForm.objects.filter(pk=form.pk).values("words", "fields", "purposes", "languages").get() == before


def test_words_fields_and_purposes_are_kept_in_their_order(own: Shop, form: SignupForm, as_member: Sign) -> None:
    where = f"/lists/{form.list.pk}/signup"
    editor = as_member("editor", own)
    sent = fields_of(editor.get(where).content.decode())
    sent["ask"] = ["first_name", "city"]
    sent["must"] = ["city"]
    sent["title_fr"] = ["Rejoignez-nous"]
    moved = editor.post(where, {**sent, "up": "field:city"})
    page = moved.content.decode()
    assert moved.status_code == 200 and "Rejoignez-nous" in page, "what was typed is not lost"
    assert fields_of(page)["field"][:2] == ["city", "first_name"]
    assert SignupForm.objects.get(pk=form.pk).words["fr"]["title"] != "Rejoignez-nous", "not kept before saving"
    sent = fields_of(page)
    assert sent["must"] == ["city"]
    sent = fields_of(editor.post(where, {**sent, "down": f"purpose:{sent['offer'][0]}"}).content.decode())
    editor.post(where, sent)
    kept = SignupForm.objects.get(pk=form.pk)
    assert kept.fields == [{"key": "city", "required": True}, {"key": "first_name", "required": False}]
    assert kept.purposes == [purposes.get(own.workspace, key).pk for key in ("offers", "newsletter")]
    assert kept.words["fr"]["title"] == "Rejoignez-nous"


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"title_fr": ""}, "title_fr"),
        ({"notice_en": ""}, "notice_en"),
        ({"title_fr": "x" * 121}, "title_fr"),
        ({"languages": []}, "languages"),
        ({"offer": []}, "purposes"),
        ({"redirect_url": "http://site.example/merci"}, "redirect_url"),
        ({"redirect_url": "javascript:alert(1)"}, "redirect_url"),
        ({"redirect_url": "https://evil@site.example"}, "redirect_url"),
        ({"redirect_url": "https://site.example/a;b c"}, "redirect_url"),
        ({"notice_url": "//site.example"}, "notice_url"),
        ({"per_hour": "0"}, "per_hour"),
        ({"per_hour": "many"}, "per_hour"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_lost(
    own: Shop, form: SignupForm, as_member: Sign, change: dict[str, Any], at: str
) -> None:
    where = f"/lists/{form.list.pk}/signup"
    editor = as_member("editor", own)
    sent = fields_of(editor.get(where).content.decode()) | {"intro_fr": ["Des mots à ne pas perdre"]} | change
    answer = editor.post(where, sent)
    page = answer.content.decode()
    assert answer.status_code == 422 and "Des mots à ne pas perdre" in page
    assert f'href="#{at}"' in page and f'id="{at}"' in page
    assert SignupForm.objects.get(pk=form.pk).revision == form.revision


def test_two_people_do_not_overwrite_one_another(own: Shop, form: SignupForm, as_member: Sign) -> None:
    where = f"/lists/{form.list.pk}/signup"
    editor, owner = as_member("editor", own), as_member("owner", own)
    first = fields_of(editor.get(where).content.decode())
    second = fields_of(owner.get(where).content.decode()) | {"title_fr": ["Le mien"]}
    assert editor.post(where, first).status_code == 303
    late = owner.post(where, second)
    assert late.status_code == 409 and "Le mien" in late.content.decode()
    assert owner.post(where, fields_of(late.content.decode())).status_code == 303, "she has seen it and saves again"
    assert SignupForm.objects.get(pk=form.pk).words["fr"]["title"] == "Le mien"


@pytest.mark.parametrize("method", ["get", "post"])
def test_the_preview_shows_what_is_typed_and_can_send_nothing(
    own: Shop, form: SignupForm, as_member: Sign, method: str
) -> None:
    editor = as_member("editor", own)
    sent = fields_of(editor.get(f"/lists/{form.list.pk}/signup").content.decode())
    sent |= {"title_en": [f"Join {ODD}"], "l": ["en"]}
    answer = getattr(editor, method)(f"/lists/{form.list.pk}/signup/preview", sent)
    page = answer.content.decode()
    assert "Join &quot;&gt;&lt;script" in page and "<script" not in page and 'lang="en"' in page
    policy = answer["Content-Security-Policy"]
    assert "form-action 'none'" in policy and "sandbox" in policy and "frame-ancestors 'self'" in policy
    assert "X-Frame-Options" not in answer
    assert SignupForm.objects.get(pk=form.pk).revision == form.revision


def test_the_code_to_paste_is_shown_as_text(own: Shop, form: SignupForm, as_member: Sign) -> None:
    page = as_member("editor", own).get(f"/lists/{form.list.pk}/signup").content.decode()
    assert "&lt;form method=" in page and f"/s/{form.token}" in page and page.count("<iframe") == 1


def test_ids_of_others_cannot_be_put_into_a_form(
    own: Shop, other_shop: Shop, form: SignupForm, as_member: Sign
) -> None:
    where = f"/lists/{form.list.pk}/signup"
    editor = as_member("editor", own)
    foreign = str(purposes.get(other_shop.workspace, "newsletter").pk)
    sent = fields_of(editor.get(where).content.decode())
    sent["purpose"].append(foreign)
    sent["offer"].append(foreign)
    sent["field"].append("no_such_field")
    sent["ask"] = [*sent.get("ask", []), "no_such_field"]
    editor.post(where, sent)
    kept = SignupForm.objects.get(pk=form.pk)
    assert int(foreign) not in kept.purposes and {f["key"] for f in kept.fields} == {"first_name"}
    assert editor.post("/forms/new", {"list": str(other_shop.list.pk)}).status_code == 404


def test_a_viewer_sees_figures_and_no_editor(own: Shop, form: SignupForm, as_member: Sign) -> None:
    viewer = as_member("viewer", own)
    page = viewer.get("/forms").content.decode()
    assert form.list.name in page and "/signup" not in page and 'action="/forms/new"' not in page
    assert viewer.get(f"/lists/{form.list.pk}/signup").status_code == 403
    assert viewer.post(f"/lists/{form.list.pk}/signup/switch", {"act": "open"}).status_code == 403


def test_required_birthdays_are_advised_against(own: Shop, form: SignupForm, as_member: Sign) -> None:
    SignupForm.objects.filter(pk=form.pk).update(fields=[{"key": "birth_date", "required": True}])
    page = as_member("editor", own).get(f"/lists/{form.list.pk}/signup").content.decode()
    assert "“Birth date” is required" in page


def test_older_words_on_somebodys_site_are_told(own: Shop, form: SignupForm, as_member: Sign) -> None:
    from envol.collect import joining
    from envol.db import execute

    execute("DELETE FROM collect_attempt")
    text = signup.texts_of(form, "fr")[0]
    written = joining.Written("vieux@un.example", "vieux@un.example", {}, [text], {})
    joining.ask(form, written, joining.Shown((text.pk,), None), client="192.0.2.7", language="fr")
    where = f"/lists/{form.list.pk}/signup"
    editor = as_member("editor", own)
    assert "older words" not in editor.get(where).content.decode()
    purposes.reword(text.purpose, {"fr": text.text + " Bis.", "en": "I agree, bis."})
    assert "1 request of the last 7 days came by a pasted form with older words" in editor.get(where).content.decode()


def test_it_is_said_when_confirmations_cannot_leave(own: Shop, form: SignupForm, as_member: Sign) -> None:
    import dataclasses

    from django.conf import settings
    from django.test import override_settings

    from envol.outbound.models import Domain

    where = f"/lists/{form.list.pk}/signup"
    editor = as_member("editor", own)
    assert "cannot leave yet" not in editor.get(where).content.decode()
    Domain.objects.filter(pk=own.domain.pk).update(trusted=False)
    with override_settings(ENVOL=dataclasses.replace(settings.ENVOL, route="direct")):
        page = editor.get(where).content.decode()
    Domain.objects.filter(pk=own.domain.pk).update(trusted=True)
    assert "cannot leave yet" in page and "/settings/domains" in page


def test_a_field_is_shown_to_a_segment_alone(own: Shop, form: SignupForm, as_member: Sign) -> None:
    mine = segments.save(own.workspace, f"Fidèles {form.pk}", {"v": 1, "match": "all", "rules": []})
    editor, where = as_member("editor", own), f"/lists/{form.list.pk}/signup"
    page = editor.get(where).content.decode()
    sent = fields_of(page)
    assert sent["shown"][0] == "form" and "field:first_name" in sent["shown"]
    foreign = str(mine.pk + 10**6)
    sent["shown_to"] = [{"form": foreign, "field:first_name": str(mine.pk)}.get(what, "") for what in sent["shown"]]
    sent["strangers"] = ["field:first_name"]
    assert editor.post(where, sent).status_code == 303
    kept = SignupForm.objects.get(pk=form.pk)
    assert visibility.of(kept) == {"field:first_name": visibility.Shown(mine.pk, strangers=True)}
    page = editor.get(where).content.decode()
    assert f'<option value="{mine.pk}" selected>' in page and 'value="field:first_name" checked' in page
    assert form.list.name in editor.get(f"/segments/{mine.pk}").content.decode(), "its page says where it is used"
