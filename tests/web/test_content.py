"""The content of a campaign in the hands of people: a form without code, pictures, drafts, two windows, code."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image
from selectolax.lexbor import LexborHTMLParser

from envol.campaigns import actions, content
from envol.campaigns.models import Campaign, ContentDraft
from envol.content import gallery, media
from envol.content.models import Media, Version
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]


@pytest.fixture
def own(tmp_path: Any) -> Shop:
    return open_shop(readers=30, folder=tmp_path, furnished=False)


@pytest.fixture
def client(own: Shop, as_member: Sign) -> Client:
    return as_member("editor", own)


def made(client: Client, own: Shop, model: str = "letter") -> Campaign:
    assert client.post("/campaigns/new", {"name": f"Noël {model}", "start": model}).status_code == 303
    return Campaign.objects.get(workspace=own.workspace, name=f"Noël {model}")


def form_of(page: str) -> dict[str, Any]:
    """What a browser would send for the form of this page, without any script."""
    found: dict[str, Any] = {}
    form = LexborHTMLParser(page).css_first("form#form")
    assert form is not None
    for node in form.css("input, textarea, select"):
        name, kind = node.attributes.get("name"), node.attributes.get("type")
        if not name or kind in ("file", "submit"):
            continue
        if kind in ("radio", "checkbox") and "checked" not in node.attributes:
            continue
        if node.tag == "select":
            chosen = node.css_first("option[selected]") or node.css_first("option")
            found[name] = (chosen.attributes.get("value") or "") if chosen else ""
        else:
            found[name] = (node.text() if node.tag == "textarea" else node.attributes.get("value")) or ""
    return found


def look(client: Client, where: str) -> tuple[str, dict[str, Any]]:
    answer = client.get(where)
    assert answer.status_code == 200, answer.status_code
    page = answer.content.decode()
    return page, form_of(page)


def picture(size: tuple[int, int] = (700, 400)) -> SimpleUploadedFile:
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, "JPEG")
    return SimpleUploadedFile("Vitrine d'hiver.jpg", out.getvalue(), "text/html")


@pytest.mark.parametrize("model", [model.key for model in gallery.MODELS])
def test_every_model_is_written_without_script(model: str, client: Client, own: Shop) -> None:
    campaign = made(client, own, model)
    where = f"/campaigns/{campaign.pk}/content"
    _page, form = look(client, where)
    for name in form:
        if name.endswith(".url") and "picture" not in name:
            form[name] = "boutique.example/noel"
        elif name == "day":
            form[name] = "2027-01-05"
        elif name.rpartition(".")[2] in ("text", "closing") and name != "part.text":
            form[name] = "Bonjour {Prénom|vous},\n\nvoici **Noël**."
    answer = client.post(where, {**form, "do": "save", "subject": "Pour {First name|vous}"})
    assert answer.status_code == 303, re.findall(r'class="error[^<]*<|role="alert">[^<]*', answer.content.decode())
    version = Version.objects.filter(template__campaign=campaign).latest("no")
    assert version.design["model"] == model and version.subject == 'Pour {{ contact.first_name | default("vous") }}'
    shown = client.get(f"/campaigns/{campaign.pk}/preview?contact={own.people[0].pk}").content.decode()
    assert (
        ("<strong>Noël</strong>" in shown)
        # The button of one model leads to the reader's own choices, and asks for no address.
        and ("https://boutique.example/noel" in shown or not any(name.endswith(".url") for name in form))
        and "{" not in re.sub(r"(?s)<style.*?</style>", "", shown)
    )
    assert not ContentDraft.objects.filter(campaign=campaign).exists()
    _page, again = look(client, where)
    assert again["subject"] == "Pour {First name|vous}"
    blocks = {c.code for c in actions.check(Campaign.objects.get(pk=campaign.pk)) if c.level == "block"}
    assert blocks <= {"no_sender"}, blocks


def test_typed_words_are_kept_as_a_draft_and_shown(client: Client, own: Shop) -> None:
    campaign = made(client, own)
    where = f"/campaigns/{campaign.pk}/content"
    _page, form = look(client, where)
    before = Version.objects.filter(workspace=own.workspace).count()
    answer = client.post(f"{where}/draft", {**form, "title": "Tout <b>neuf</b>", "subject": "Bonjour {Prénom|vous}"})
    assert answer.status_code == 200
    state = answer.content.decode()
    seen = re.search(r'data-seen="(\d+)"', state)
    assert seen and seen[1] == "1" and "Kept as a draft at" in state and "Bonjour vous" in state
    assert "has no address" in state  # the button of the model
    shown = client.get(f"/campaigns/{campaign.pk}/preview?draft=1").content.decode()
    assert "Tout &lt;b&gt;neuf&lt;/b&gt;" in shown
    assert Version.objects.filter(workspace=own.workspace).count() == before, "typing makes no version"
    assert "unsaved_draft" in {c.code for c in actions.check(campaign)}
    page, form = look(client, where)
    assert form["title"] == "Tout <b>neuf</b>" and form["seen"] == "1"
    assert client.post(where, {**form, "do": "drop"}).status_code == 303
    assert look(client, where)[1]["title"] != "Tout <b>neuf</b>"


def test_the_button_without_script_shows_what_is_typed(client: Client, own: Shop) -> None:
    campaign = made(client, own)
    _page, form = look(client, f"/campaigns/{campaign.pk}/content")
    given = {**form, "title": "Tapé {Prénom|vous}", "see.as": own.people[0].email}
    shown = client.post(f"/campaigns/{campaign.pk}/content/preview", given)
    assert shown.status_code == 200 and "script-src 'none'" in shown["Content-Security-Policy"]
    assert f"Tapé {own.people[0].props['first_name']}" in shown.content.decode()
    assert not ContentDraft.objects.filter(campaign=campaign).exists()
    text = client.post(f"/campaigns/{campaign.pk}/content/preview", {**given, "see.part": "text"}).content.decode()
    assert "<pre" in text and "Tapé" in text
    dark = client.post(f"/campaigns/{campaign.pk}/content/preview", {**given, "see.dark": "1"}).content.decode()
    assert "color-scheme:dark" in dark and "prefers-color-scheme" not in dark
    assert "prefers-color-scheme" not in shown.content.decode(), "light, whatever the screen of who looks prefers"
    bare = client.post(f"/campaigns/{campaign.pk}/content/preview", {**given, "see.no_images": "1"})
    assert "img-src 'none'" in bare["Content-Security-Policy"]


def test_looking_as_a_person_is_remembered(client: Client, own: Shop) -> None:
    campaign = made(client, own)
    where = f"/campaigns/{campaign.pk}/content"
    page, form = look(client, where)
    assert '<option value="' in page, "people of the audience are offered"
    someone = own.people[3]
    client.post(f"{where}/draft", {**form, "see.as": f"{someone.props['first_name']} <{someone.email}>"})
    page, form = look(client, where)
    assert someone.email in form["see.as"] and f"contact={someone.pk}" in page
    client.post(f"{where}/draft", {**form, "see.as": ""})
    assert look(client, where)[1]["see.as"] == ""


def test_blocks_are_added_moved_and_removed_without_losing_a_word(client: Client, own: Shop) -> None:
    campaign = made(client, own, "newsletter")
    where = f"/campaigns/{campaign.pk}/content"
    _page, form = look(client, where)
    form["articles.0.title"] = "Premier, à moi"
    assert client.post(where, {**form, "do": "down:articles.0"}).status_code == 303
    _page, form = look(client, where)
    assert form["articles.1.title"] == "Premier, à moi" and form["articles.n"] == "3"
    client.post(where, {**form, "do": "add:articles"})
    _page, form = look(client, where)
    assert form["articles.n"] == "4" and form["articles.3.title"] == ""
    client.post(where, {**form, "do": "remove:articles.0"})
    _page, form = look(client, where)
    assert form["articles.n"] == "3" and form["articles.0.title"] == "Premier, à moi"
    for _ in range(12):
        client.post(where, {**look(client, where)[1], "do": "add:articles"})
    assert look(client, where)[1]["articles.n"] == "8", "there is a most"
    assert client.post(where, {**look(client, where)[1], "do": "up:nothing.9999"}).status_code == 303


def test_a_picture_comes_with_the_form(client: Client, own: Shop) -> None:
    campaign = made(client, own)
    where = f"/campaigns/{campaign.pk}/content"
    _page, form = look(client, where)
    answer = client.post(where, {**form, "do": "upload:picture", "title": "Gardé", "picture.file": picture()})
    assert answer.status_code == 303 and answer["Location"].endswith("#f_picture")
    page, form = look(client, where)
    one = Media.objects.filter(workspace=own.workspace).latest("pk")
    assert form["picture.media"] == str(one.pk) and form["title"] == "Gardé" and one.name == "Vitrine d'hiver.jpg"
    assert "Describe the picture" in page
    form |= {"picture.alt": "La vitrine", "picture.size": "half", "button.url": "https://boutique.example/"}
    assert client.post(where, {**form, "do": "save"}).status_code == 303
    version = Version.objects.filter(template__campaign=campaign).latest("no")
    assert 'alt="La vitrine"' in version.html and one.token in version.html
    found = re.search(r'src="(/m/[^"]+)"', client.get(f"/campaigns/{campaign.pk}/preview").content.decode())
    assert found, "its own frame shows it by this very host"
    served = Client(HTTP_HOST="localhost").get(found[1])
    assert served.status_code == 200 and served["Content-Type"] == "image/jpeg"
    assert "immutable" in served["Cache-Control"] and served["X-Content-Type-Options"] == "nosniff"


def test_a_file_that_is_no_picture_is_refused_at_its_place(client: Client, own: Shop) -> None:
    campaign = made(client, own)
    where = f"/campaigns/{campaign.pk}/content"
    _page, form = look(client, where)
    bad = SimpleUploadedFile("a.png", b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "image/png")
    answer = client.post(where, {**form, "do": "save", "title": "Gardé quand même", "picture.file": bad})
    page = answer.content.decode()
    assert answer.status_code == 422 and "This is no picture" in page and 'value="Gardé quand même"' in page


def test_a_wrong_address_comes_back_with_what_was_typed(client: Client, own: Shop) -> None:
    campaign = made(client, own)
    where = f"/campaigns/{campaign.pk}/content"
    _page, form = look(client, where)
    form |= {"button.url": "javascript:alert(1)", "title": "Rien de perdu", "colour": "own", "colour.own": "#ffee00"}
    answer = client.post(where, {**form, "do": "save"})
    page = answer.content.decode()
    assert answer.status_code == 422 and "Write the whole address" in page and "too light" in page
    assert form_of(page)["title"] == "Rien de perdu" and form_of(page)["button.url"] == "javascript:alert(1)"


def test_foreign_pictures_do_not_enter_by_number(client: Client, own: Shop, other_shop: Shop) -> None:
    campaign = made(client, own)
    where = f"/campaigns/{campaign.pk}/content"
    page, form = look(client, where)
    answer = client.post(f"{where}/draft", {**form, "picture.media": str(other_shop.picture.pk), "picture.alt": "x"})
    assert answer.status_code == 200
    shown = client.get(f"/campaigns/{campaign.pk}/preview?draft=1").content.decode()
    assert other_shop.picture.token not in shown and other_shop.picture.token not in look(client, where)[0]


def test_two_windows_do_not_write_over_one_another(client: Client, own: Shop, as_member: Sign) -> None:
    campaign = made(client, own)
    where, other = f"/campaigns/{campaign.pk}/content", as_member("owner", own)
    _page, mine = look(client, where)
    _page, theirs = look(other, where)
    assert client.post(f"{where}/draft", {**mine, "title": "La mienne"}).status_code == 200
    answer = other.post(f"{where}/draft", {**theirs, "title": "La leur"})
    said = answer.content.decode()
    assert answer.status_code == 409 and "Ahmed wrote here meanwhile" in said
    assert ContentDraft.objects.get(campaign=campaign).design["values"]["title"] == "La mienne"
    whole = other.post(where, {**theirs, "do": "save", "title": "La leur"})
    assert whole.status_code == 409 and 'value="La leur"' in whole.content.decode(), "nothing typed is lost"
    assert other.post(f"{where}/draft", {**theirs, "title": "La leur", "take": "1"}).status_code == 200
    assert ContentDraft.objects.get(campaign=campaign).design["values"]["title"] == "La leur"
    # The same window goes on without asking, whatever came in between of its own.
    assert other.post(f"{where}/draft", {**theirs, "title": "Encore"}).status_code == 200


def test_a_saved_content_is_not_written_over_by_an_old_page(client: Client, own: Shop, as_member: Sign) -> None:
    campaign = made(client, own)
    where, other = f"/campaigns/{campaign.pk}/content", as_member("owner", own)
    _page, mine = look(client, where)
    _page, theirs = look(other, where)
    assert other.post(where, {**theirs, "do": "save", "title": "Enregistrée"}).status_code == 303
    answer = client.post(where, {**mine, "do": "save", "title": "Trop tard"})
    page = answer.content.decode()
    assert answer.status_code == 409 and "Zoe changed this campaign" in page and 'value="Trop tard"' in page
    assert client.post(where, {**form_of(page), "do": "save"}).status_code == 303, "she saw it, and decides"


def test_code_is_a_choice_and_says_its_lines(client: Client, own: Shop) -> None:
    campaign = made(client, own)
    where = f"/campaigns/{campaign.pk}/content"
    assert "Stay with the form" in client.get(f"{where}?code").content.decode()
    assert client.post(where, {"do": "code"}).status_code == 303
    _page, form = look(client, where)
    assert form["mode"] == "mjml" and form["source"].startswith("<mjml")
    wrong = form["source"].replace("<mj-button ", "<mj-buton ").replace("</mj-button>", "</mj-buton>")
    line = next(n for n, text in enumerate(wrong.split("\n"), 1) if "<mj-buton" in text) if "mj-buton" in wrong else 0
    if not line:
        wrong, line = "<mjml>\n<mj-body>\n<mj-tekst>x</mj-tekst>\n</mj-body></mjml>", 3
    state = client.post(f"{where}/draft", {**form, "source": wrong}).content.decode()
    assert f'data-line="{line}"' in state and "Did you mean" in state
    answer = client.post(where, {**form, "source": wrong, "do": "save"})
    assert answer.status_code == 422 and f"line {line}" in answer.content.decode()
    assert client.post(where, {**form, "do": "save"}).status_code == 303
    version = Version.objects.filter(template__campaign=campaign).latest("no")
    assert version.mode == "mjml" and version.design is None
    versions = Version.objects.filter(template__campaign=campaign)
    first = versions.earliest("no").no
    assert f'value="restore:{first}"' in client.get(where).content.decode()
    assert client.post(where, {"do": f"restore:{first}"}).status_code == 303
    assert look(client, where)[1]["model"] == "letter", "the model comes back from its version"


def test_another_model_keeps_own_words_where_it_has_the_place(client: Client, own: Shop) -> None:
    campaign = made(client, own)
    where = f"/campaigns/{campaign.pk}/content"
    _page, form = look(client, where)
    client.post(f"{where}/draft", {**form, "title": "Mon titre", "subject": "Mon objet", "colour": "#5b3a8c"})
    assert client.get(f"{where}?models").status_code == 200
    assert client.post(where, {"do": "model:offer"}).status_code == 303
    _page, form = look(client, where)
    assert (form["model"], form["title"], form["subject"]) == ("offer", "Mon titre", "Mon objet")
    assert form["text"] != "" and form["colour"] == "#5b3a8c"
    assert client.post(where, {"do": "model:nothing"}).status_code == 422


def test_values_of_people_are_text_in_previews(client: Client, own: Shop) -> None:
    from envol.contacts import people

    attack = "<img src=x onerror=alert(1)>{{ 7*7 }}"
    source = people.source(own.workspace, "member", "Essai")
    someone = people.upsert(own.workspace, own.people[0].email, {"first_name": attack}, source=source)
    campaign = made(client, own)
    _page, form = look(client, f"/campaigns/{campaign.pk}/content")
    given = {**form, "title": "Bonjour {Prénom|vous}", "subject": "Bonjour {Prénom|vous}", "see.as": someone.email}
    state = client.post(f"/campaigns/{campaign.pk}/content/draft", given).content.decode()
    shown = client.get(f"/campaigns/{campaign.pk}/preview?draft=1&contact={someone.pk}").content.decode()
    for text in (state, shown):
        assert "&lt;img src=x onerror=alert(1)&gt;{{ 7*7 }}" in text and "<img src=x" not in text


def test_a_viewer_and_a_sent_campaign_are_left_alone(own: Shop, as_member: Sign) -> None:
    viewer, client = as_member("viewer", own), as_member("editor", own)
    where = f"/campaigns/{own.draft.pk}"
    assert viewer.get(f"{where}/content").status_code == 403
    for path in ("/content", "/content/draft", "/content/preview"):
        assert viewer.post(f"{where}{path}", {"do": "save"}).status_code == 403
    assert viewer.post("/media", {"file": picture()}).status_code == 403
    assert viewer.get(f"{where}/checks").status_code == 200 and viewer.get(f"{where}/preview").status_code == 200
    sent = f"/campaigns/{own.sent.pk}/content"
    assert client.get(sent).status_code == 303 and client.post(sent, {"do": "save"}).status_code == 303
    assert client.post(f"{sent}/draft", {"mode": "html", "source": "x"}).status_code == 422
    assert not ContentDraft.objects.filter(campaign=own.sent).exists()


def test_people_without_a_value_are_counted_beside_the_form(client: Client, own: Shop) -> None:
    campaign = made(client, own)
    where = f"/campaigns/{campaign.pk}/content"
    from envol.consent import purposes
    from envol.contacts import catalogue

    mask = purposes.mask(own.workspace, "newsletter")
    catalogue.declare(own.workspace, "nickname", "text", "Surnom", "Nickname", purposes=mask)
    _page, form = look(client, where)
    state = client.post(f"{where}/draft", {**form, "title": "Salut {Nickname}"}).content.decode()
    assert "“Nickname” has no words" in state and "24 of your audience" in state
    fine = client.post(f"{where}/draft", {**form, "title": "Salut {Nickname|toi} {Rien|x}"}).content.decode()
    assert "has no words" not in fine and "{Rien} is no value we know" in fine


def test_the_subject_of_the_card_and_of_the_content_are_one(client: Client, own: Shop) -> None:
    campaign = made(client, own)
    form = {"card": "sender", "revision": campaign.revision, "from_name": "Zoé", "from_address": "zoe@boutique.example"}
    answer = client.post(f"/campaigns/{campaign.pk}/save", {**form, "subject": "Pour {Prénom|vous}", "preheader": ""})
    assert answer.status_code == 303
    assert look(client, f"/campaigns/{campaign.pk}/content")[1]["subject"] == "Pour {First name|vous}"
    assert "Pour {First name|vous}" in client.get(f"/campaigns/{campaign.pk}").content.decode()


def test_a_card_saved_by_somebody_else_is_told_and_nothing_typed_is_lost(
    client: Client, own: Shop, as_member: Sign
) -> None:
    campaign = own.draft
    form = {
        "card": "sender",
        "revision": campaign.revision,
        "from_name": "Zoé M.",
        "from_address": "zoe@boutique.example",
    }
    audience = {"card": "audience", "revision": campaign.revision, "purpose": campaign.purpose_id, "segment": ""}
    assert as_member("owner", own).post(f"/campaigns/{campaign.pk}/save", audience | {"segment": own.segment.pk})
    answer = client.post(f"/campaigns/{campaign.pk}/save", form | {"from_name": "Ma frappe"})
    page = answer.content.decode()
    assert answer.status_code == 409 and 'value="Ma frappe"' in page
    assert re.search(r"At \d\d:\d\d Zoe changed: the segment", page)
    campaign.refresh_from_db()
    assert campaign.segment == own.segment and campaign.from_name == "Zoé", "one card at a time"


# ---- pictures


def test_pictures_are_brought_described_and_deleted_when_nothing_shows_them(client: Client, own: Shop) -> None:
    answer = client.post("/media", {"file": picture((300, 200)), "alt": "Un dégradé"})
    assert answer.status_code == 303
    one = Media.objects.filter(workspace=own.workspace).latest("pk")
    page = client.get("/media").content.decode()
    assert "Un dégradé" in page and "300 × 200" in page and "Shown nowhere yet" in page
    client.post(f"/media/{one.pk}", {"act": "describe", "alt": "Du gris au noir"})
    one.refresh_from_db()
    assert one.alt == "Du gris au noir"
    campaign = made(client, own)
    where = f"/campaigns/{campaign.pk}/content"
    form = look(client, where)[1] | {"picture.media": str(one.pk), "picture.decorative": "1"}
    client.post(f"{where}/draft", form)
    assert "Noël letter" in client.get("/media").content.decode(), "a draft shows it"
    client.post(f"/media/{one.pk}", {"act": "delete"})
    assert Media.objects.filter(pk=one.pk).exists()
    client.post(where, {"do": "drop"})
    client.post(f"/media/{one.pk}", {"act": "delete"})
    assert not Media.objects.filter(pk=one.pk).exists() and not (media.folder() / one.token).exists()


def test_what_is_no_picture_is_refused_with_what_to_do(client: Client) -> None:
    for file in (SimpleUploadedFile("x.png", b"GIF89a<script>", "image/png"), SimpleUploadedFile("y.jpg", b"")):
        answer = client.post("/media", {"file": file, "alt": "Gardé"})
        assert answer.status_code == 422 and 'value="Gardé"' in answer.content.decode()
    assert client.post("/media", {}).status_code == 422


# ---- checks


def test_the_checks_say_where_and_what_to_do(client: Client, own: Shop) -> None:
    campaign = made(client, own)
    page = client.get(f"/campaigns/{campaign.pk}/checks").content.decode()
    assert "has no address" in page and f"/campaigns/{campaign.pk}/content" in page
    assert "Everybody can leave with one click." in page, "what is well is said too"


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ('<a href="https://www.example.org/">x</a>', "link_example"),
        ('<a href="http://localhost/x">x</a>', "link_inside"),
        ('<a href="http://10.0.0.5/x">x</a>', "link_inside"),
        ('<a href="http://boutique.example/">x</a>', "link_plain"),
        ('<a href="https://boutique.example/?e=zoe@lecteurs.example">x</a>', "link_personal"),
        ('<a href="https://a.example/1">Ici</a><a href="https://a.example/2">Ici</a>', "link_same_words"),
        ("<p>x</p>", "no_link"),
        ('<img src="https://ailleurs.example/a.png" alt="x">', "image_elsewhere"),
        ('<img src="https://ailleurs.example/a.png">', "image_no_words"),
        ('<img src="/a.png" alt="x">', "image_nowhere"),
        ('<img src="data:image/png;base64,AA" alt="x">', "image_inside"),
        ('<a href="https://a.example/"><img src="https://b.example/a.png" alt=""></a>', "image_no_words"),
        (f"<p>{'x' * 85_000}</p>", "rather_heavy"),
        (f"<p>{'x' * 101_000}</p>", "heavy"),
    ],
)  # fmt: skip
def test_each_mistake_is_found(source: str, code: str, own: Shop) -> None:
    words = content.Words("html", source=f"<body>{source}</body>", subject="Objet")
    content.save(own.draft, own.draft.revision, words, base_url="http://localhost:8025")
    found = actions.check(Campaign.objects.get(pk=own.draft.pk))
    assert code in {c.code for c in found}
    for check in found:
        assert check.sentence("fr").endswith(".") and check.sentence("en").endswith("."), check


def test_a_good_message_has_nothing_to_mend(own: Shop) -> None:
    source = '<body><p>x</p><a href="https://boutique.example/">Voir la boutique</a></body>'
    words = content.Words("html", source=source, subject="Objet")
    content.save(own.draft, own.draft.revision, words, base_url="http://localhost:8025")
    assert [c.code for c in actions.check(Campaign.objects.get(pk=own.draft.pk))] == []
