"""What people do on the pages, by form, without a script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from envol.accounts.models import ApiKey, JournalEntry, Member, User
from envol.campaigns.models import Campaign
from envol.contacts.models import Import, Note
from envol.contacts.tasks import dry_run_import, run_import
from envol.outbound.models import Sending
from tests.web.shop import PASSWORD, Shop, open_shop

Sign = Callable[..., Client]


@pytest.fixture
def own(tmp_path: Path) -> Shop:
    """A shop that a test may change."""
    return open_shop(readers=30, folder=tmp_path, furnished=False)


def test_a_campaign_goes_from_nothing_to_sent_and_back(own: Shop, as_member: Sign) -> None:
    client = as_member("editor", own)
    assert client.post("/campaigns/new", {"name": "", "start": "letter"}).status_code == 422
    answer = client.post("/campaigns/new", {"name": "Noël", "start": "letter"})
    assert answer.status_code == 303
    made = Campaign.objects.get(workspace=own.workspace, name="Noël")
    page = client.get(answer["Location"]).content.decode()
    assert "still has the words of the model" in page and 'value="audience"' in page
    where = f"/campaigns/{made.pk}"
    source = "<p>Bonjour {{ contact.first_name | default('vous') }} <a href='https://boutique.example/'>ici</a></p>"
    saved = client.post(
        f"{where}/content",
        {"do": "save", "revision": made.revision, "mode": "html", "source": source, "subject": "Noël"},
    )
    assert saved.status_code == 303
    assert "Bonjour vous" in client.get(f"{where}/preview").content.decode()
    look = client.get(f"{where}/send").content.decode()
    assert "<strong>24</strong> people" in look and "show=excluded:no_permission" in look
    made.refresh_from_db()
    assert made.state == "draft", "looking sends nothing"
    assert client.post(f"{where}/send", {"people": "23", "when": "now"}).status_code == 422, "it grew since"
    assert client.post(f"{where}/send", {"people": "24", "when": "now"}).status_code == 303
    live = client.get(f"{where}/live")
    assert "Take it back" in live.content.decode() and "<live-region" in live.content.decode()
    assert client.post(f"{where}/act", {"act": "take_back"}).status_code == 303
    made.refresh_from_db()
    assert made.state == "draft" and not Sending.objects.filter(campaign_id=made.pk, started_at__isnull=False).exists()


def test_a_mistake_in_the_content_loses_no_word(own: Shop, as_member: Sign) -> None:
    client, draft = as_member("editor", own), own.draft
    typed = "<p>{{ contact.prenom_inconnu }}</p>"
    answer = client.post(
        f"/campaigns/{draft.pk}/content",
        {"do": "save", "revision": draft.revision, "mode": "html", "source": typed, "subject": "Un objet"},
    )
    page = answer.content.decode()
    assert answer.status_code == 422 and "{{ contact.prenom_inconnu }}" in page and 'value="Un objet"' in page
    assert "line 1" in page and "There is no value called contact.prenom_inconnu" in page


def test_two_people_cannot_save_over_one_another(own: Shop, as_member: Sign) -> None:
    client, draft = as_member("editor", own), own.draft
    form = {"card": "name", "revision": draft.revision, "name": "Une"}
    assert client.post(f"/campaigns/{draft.pk}/save", form).status_code == 303
    second = client.post(f"/campaigns/{draft.pk}/save", {**form, "name": "Deux"})
    assert second.status_code == 409
    draft.refresh_from_db()
    assert draft.name == "Une"


def test_far_more_people_than_usual_ask_for_the_number() -> None:
    from envol.campaigns.planning import Usual

    usual = Usual(100, None)
    assert not usual.must_type(1000) and usual.must_type(1001)
    first = Usual(None, None)
    assert not first.must_type(1000) and first.must_type(1001), "without a habit a thousand is many"


def test_a_note_is_kept_and_an_empty_one_refused(own: Shop, as_member: Sign) -> None:
    client, person = as_member("editor", own), own.people[2]
    assert client.post(f"/contacts/{person.pk}/notes", {"text": " "}).status_code == 303
    assert not Note.objects.filter(contact_id=person.pk).exists()
    client.post(f"/contacts/{person.pk}/notes", {"text": "Préfère le <b>soir</b>"})
    assert "Préfère le &lt;b&gt;soir&lt;/b&gt;" in client.get(f"/contacts/{person.pk}").content.decode()


def test_a_file_is_tried_before_anything_is_written(own: Shop, as_member: Sign) -> None:
    client = as_member("editor", own)
    file = SimpleUploadedFile("noms.csv", "email,prénom\nlou@lecteurs.example,Lou\nrien,X\n".encode())
    where = client.post("/imports", {"file": file})["Location"]
    imp = Import.objects.filter(workspace=own.workspace).latest("id")
    refused = client.post(f"{where}/act", {"act": "run"})
    assert refused.status_code == 303 and imp.job_id is None, "not before the dry run"
    assert client.post(f"{where}/mapping", {"column.0": "email", "column.1": "property:first_name"}).status_code == 303
    client.post(f"{where}/act", {"act": "dry_run"})
    imp.refresh_from_db()
    assert "hx-get" in client.get(where).content.decode()
    tried = imp.job_id
    dry_run_import(imp.pk, imp.job_id)
    client.post(f"{where}/act", {"act": "run"})
    imp.refresh_from_db()
    assert imp.job_id == tried and not imp.origin, "not before somebody said who gave it"
    client.post(f"{where}/permission", {"nothing": "1", "given_by": "people"})
    imp.refresh_from_db()
    dry_run_import(imp.pk, imp.job_id)
    page = client.get(where).content.decode()
    assert "What this file will do" in page and "Write 2 lines" in page
    client.post(f"{where}/act", {"act": "run"})
    imp.refresh_from_db()
    run_import(imp.pk, imp.job_id)
    assert "What this file did" in client.get(where).content.decode()
    assert "lou@lecteurs.example" in client.get("/contacts?q=lou").content.decode()
    assert b"rien" in b"".join(client.get(f"{where}/refused.csv").streaming_content)


def test_a_key_is_shown_once(own: Shop, as_member: Sign) -> None:
    client = as_member("owner", own)
    assert client.post("/settings/keys", {"name": "Site"}).status_code == 422, "a key that may do nothing"
    answer = client.post("/settings/keys", {"name": "Site", "scopes": ["smtp", "orders"]})
    key = ApiKey.objects.get(workspace=own.workspace, name="Site")
    assert answer.status_code == 201 and key.public_id in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert key.public_id not in client.get("/settings/keys").content.decode()
    client.post(f"/settings/keys/{key.pk}/revoke")
    key.refresh_from_db()
    assert key.revoked_at is not None and key.scopes == ["smtp", "orders"]
    assert client.post(f"/settings/keys/{key.pk}", {"scopes": ["read"]}).status_code == 303
    key.refresh_from_db()
    assert key.scopes == ["smtp", "orders"], "what is revoked stays as it was"


def test_when_programs_hear_of_a_sender_that_is_not_ours(own: Shop, as_member: Sign) -> None:
    from envol.accounts.models import JournalEntry

    client = as_member("owner", own)
    for when, late in (("later", True), ("never", True), ("later", True), ("at_once", False)):
        assert client.post("/settings/keys/late", {"when": when}).status_code == 303
        own.workspace.refresh_from_db()
        assert own.workspace.late_refusal is late
        assert ('value="later" checked' in client.get("/settings/keys").content.decode()) is late
    said = JournalEntry.objects.filter(workspace=own.workspace, action="workspace.late_refusal").order_by("id")
    assert [entry.facts for entry in said] == [{"late": True}, {"late": False}]
    assert as_member("editor", own).post("/settings/keys/late", {"when": "later"}).status_code == 403
    first, last = (entry.undo for entry in said)
    answer = client.post(f"/undo/{first.pk}", follow=True)
    own.workspace.refresh_from_db()
    assert "changed again since" in answer.content.decode() and not own.workspace.late_refusal
    for _ in range(2):  # once is enough
        client.post(f"/undo/{last.pk}")
        own.workspace.refresh_from_db()
        assert own.workspace.late_refusal


def test_whether_single_messages_are_measured_is_an_owners_choice(own: Shop, as_member: Sign) -> None:
    from envol.accounts.models import JournalEntry

    client = as_member("owner", own)
    for typed, opens, clicks in (({"clicks": "on"}, False, True), ({"clicks": "on"}, False, True), ({}, False, False)):
        assert client.post("/settings/keys/singles", typed).status_code == 303
        own.workspace.refresh_from_db()
        assert (own.workspace.single_opens, own.workspace.single_clicks) == (opens, clicks)
        assert ('name="clicks" checked' in client.get("/settings/keys").content.decode()) is clicks
    said = JournalEntry.objects.filter(workspace=own.workspace, action="workspace.single_messages").order_by("id")
    assert [entry.facts for entry in said] == [{"opens": False, "clicks": True}, {"opens": False, "clicks": False}]
    assert as_member("editor", own).post("/settings/keys/singles", {"opens": "on"}).status_code == 403
    first, last = (entry.undo for entry in said)
    assert "changed again since" in client.post(f"/undo/{first.pk}", follow=True).content.decode()
    client.post(f"/undo/{last.pk}")
    own.workspace.refresh_from_db()
    assert own.workspace.single_clicks and not own.workspace.single_opens


def test_a_key_is_limited_paused_and_resumed_on_its_page(own: Shop, as_member: Sign) -> None:
    client = as_member("owner", own)
    key = ApiKey.objects.get(workspace=own.workspace)
    page = f"/settings/keys/{key.pk}"
    typed = {"scopes": ["smtp"], "senders": "Boutique.example\norders@other.example", "per_hour": "500",
             "per_day": "", "most_recipients": "3", "ends_on": "2099-12-31"}  # fmt: skip
    wrong = client.post(page, {**typed, "senders": "boutique.example\nnot@an@address"})
    assert wrong.status_code == 422 and "neither a domain nor an address" in wrong.content.decode()
    assert "not@an@address" in wrong.content.decode(), "nothing typed is lost"
    assert client.post(page, typed).status_code == 303
    key.refresh_from_db()
    assert (key.senders, key.per_hour, key.per_day) == (["boutique.example", "orders@other.example"], 500, None)
    shown = client.get(page).content.decode()
    assert "0 of 500 messages" in shown and 'value="2099-12-31"' in shown
    client.post(f"{page}/pause", {"reason": " "})
    key.refresh_from_db()
    assert key.paused_at is None, "not without a reason"
    client.post(f"{page}/pause", {"reason": "The till was stolen"})
    assert "The till was stolen" in client.get(page).content.decode()
    client.post(f"{page}/resume")
    key.refresh_from_db()
    assert key.paused_at is None
    done = JournalEntry.objects.filter(workspace=own.workspace, object_kind="apikey", actor_kind="member")
    words = list(done.order_by("id").values_list("action", flat=True))
    assert words == ["api_key.limited", "api_key.paused", "api_key.resumed"]


def test_who_is_invited_chooses_a_password_and_signs_in(own: Shop, as_member: Sign) -> None:
    answer = as_member("owner", own).post("/settings/team/invite", {"email": "Lou@equipe.example", "role": "editor"})
    page = answer.content.decode()
    link = page[page.index("/password/reset/key/") :].partition("<")[0]
    User.objects.get(email="lou@equipe.example")
    guest = Client(HTTP_HOST="localhost")
    form = guest.get(link, follow=True)
    done = guest.post(form.redirect_chain[-1][0], {"password1": PASSWORD, "password2": PASSWORD})
    assert done.status_code == 302
    assert guest.post("/login/", {"login": "lou@equipe.example", "password": PASSWORD}).status_code == 302
    assert guest.get("/campaigns").status_code == 200 and guest.get("/settings/team").status_code == 403
    User.objects.filter(email="lou@equipe.example").delete()


def test_a_workspace_keeps_an_owner(own: Shop, as_member: Sign) -> None:
    client, owner = as_member("owner", own), own.members["owner"]
    for role in ("viewer", "remove"):
        client.post(f"/settings/team/{owner.pk}", {"role": role})
        assert Member.objects.get(pk=owner.pk).role == "owner"
    client.post(f"/settings/team/{own.members['viewer'].pk}", {"role": "remove"})
    assert not Member.objects.filter(pk=own.members["viewer"].pk).exists()


def test_settings_take_only_what_their_form_has(own: Shop, as_member: Sign) -> None:
    client, before = as_member("owner", own), own.workspace
    form = {
        "title": "Nouvelle", "language": "fr", "time_zone": "Europe/Paris", "take_back_seconds": "30",
        "opens_mode": "aggregate", "clicks_mode": "individual", "opens_unknown": "none", "clicks_unknown": "aggregate",
        "name": "vole", "digest_key": "x",
    }  # fmt: skip
    assert client.post("/settings", {**form, "time_zone": "Nulle/Part"}).status_code == 422
    assert client.post("/settings", form).status_code == 303
    name = before.name
    before.refresh_from_db()
    assert (before.title, before.take_back_seconds, before.name) == ("Nouvelle", 30, name)


def test_the_language_follows_the_person(own: Shop, as_member: Sign) -> None:
    client = as_member("viewer", own)
    assert 'lang="en"' in client.get("/").content.decode()
    client.post("/language", {"language": "fr", "next": "//evil.example/"})
    assert 'lang="fr"' in client.get("/").content.decode()
    user = own.members["viewer"].user
    user.refresh_from_db()
    assert user.language == "fr"
    assert client.post("/language", {"language": "fr", "next": "//evil.example/"})["Location"] == "/"
