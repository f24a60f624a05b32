"""What members do to people: many at once, one at her page; each with its way back; who may."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from envol.accounts.models import Job, Undo
from envol.consent.models import Evidence, Permission
from envol.contacts import bulk, people
from envol.contacts.models import BulkAct, Contact, Membership, Note, PropertyHistory, Source
from envol.contacts.tasks import apply_bulk, undo_bulk
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]


@pytest.fixture
def own(tmp_path: Path) -> Shop:
    return open_shop(readers=30, folder=tmp_path, furnished=False)


def take_back(client: Client, shop: Shop, page: str) -> None:
    assert "/undo/" in page, "the message offers the way back"
    number = page.split('action="/undo/')[1].split('"')[0]
    assert Undo.objects.filter(workspace=shop.workspace, pk=number).exists()
    assert client.post(f"/undo/{number}", {"next": "/contacts"}).status_code == 303


def test_a_tag_goes_to_those_ticked_and_comes_back(own: Shop, as_member: Sign) -> None:
    client = as_member("editor", own)
    some = [one.pk for one in own.people[2:5]]
    asked = client.get("/contacts/act", {"act": "tag", "id": some, "q": "x"}).content.decode()
    assert "Add a tag to 3 people" in asked and asked.count('name="id"') == 3
    answer = client.post("/contacts/act", {"act": "tag", "id": some, "tag_name": " Presse  locale ", "q": "martin"})
    assert answer.status_code == 303 and answer["Location"] == "/contacts?q=martin", "back to where she was"
    tagged = Contact.objects.filter(workspace_id=own.workspace.pk, tags__contains=["Presse locale"])
    assert sorted(tagged.values_list("id", flat=True)) == sorted(some)
    page = client.get("/contacts").content.decode()
    assert "was added to 3 people" in page
    take_back(client, own, page)
    assert not tagged.exists()
    assert "Taken back for 3 people" in client.get("/contacts").content.decode()


def test_everybody_of_a_filter_or_a_segment(own: Shop, as_member: Sign) -> None:
    client = as_member("editor", own)
    form = {"act": "set", "all": "1", "segment": own.segment.pk, "property": "birth_date", "value": "31/12/1999"}
    asked = client.get("/contacts/act", {**form, "value": ""}).content.decode()
    assert "Give 30 people a value" in asked and "In the segment “Fidèles”" in asked and 'type="date"' in asked
    client.post("/contacts/act", form)
    found = Contact.objects.filter(workspace_id=own.workspace.pk, props__birth_date="1999-12-31")
    assert found.count() == 30
    wrong = client.post("/contacts/act", {**form, "value": "31/02/1999"})
    assert wrong.status_code == 422 and "31/02/1999" in wrong.content.decode()
    assert found.count() == 30
    client.post("/contacts/act", {"act": "leave", "all": "1", "q": "martin", "list_id": own.list.pk})
    assert Membership.objects.filter(list_id=own.list.pk, until=None).count() == 25


def test_many_people_are_a_job_that_can_be_left_stopped_and_undone(
    own: Shop, as_member: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 10)
    client = as_member("editor", own)
    answer = client.post("/contacts/act", {"act": "tag", "all": "1", "tag_name": "vip"})
    act = BulkAct.objects.filter(workspace=own.workspace).latest("id")
    where = f"/contacts/acts/{act.pk}"
    assert answer["Location"] == where and act.state == "waiting"
    page = client.get(where).content.decode()
    assert 'hx-get="' + where in page and "can be left" in page and "Stop" in page
    act.refresh_from_db()
    apply_bulk(act.pk, act.job_id)
    part = client.get(where, HTTP_HX_REQUEST="true")
    assert part["HX-Refresh"] == "true"
    page = client.get(where).content.decode()
    assert "was added to 30 people" in page and "Undo" in page
    client.post(f"{where}/do", {"act": "undo"})
    act.refresh_from_db()
    undo_bulk(act.pk, act.job_id)
    assert not Contact.objects.filter(workspace_id=own.workspace.pk, tags__contains=["vip"]).exists()
    assert "Taken back for 30 people" in client.get(where).content.decode()
    client.post("/contacts/act", {"act": "tag", "all": "1", "tag_name": "autre"})
    act = BulkAct.objects.filter(workspace=own.workspace).latest("id")
    client.post(f"/contacts/acts/{act.pk}/do", {"act": "cancel"})
    apply_bulk(act.pk, act.job_id)
    assert Job.objects.get(pk=act.job_id).state == "cancelled"
    assert not Contact.objects.filter(workspace_id=own.workspace.pk, tags__contains=["autre"]).exists()


def test_taking_away_from_very_many_asks_for_the_number(
    own: Shop, as_member: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    from envol.web.views import bulk as view

    monkeypatch.setattr(view, "ASKS_NUMBER", 20)
    client = as_member("editor", own)
    form = {"act": "leave", "all": "1", "list_id": own.list.pk}
    assert "Type 30 to confirm" in client.get("/contacts/act", form).content.decode()
    for typed in ("", "29", "yes"):
        assert client.post("/contacts/act", {**form, "typed": typed}).status_code == 422
    assert Membership.objects.filter(list_id=own.list.pk, until=None).count() == 30
    assert client.post("/contacts/act", {**form, "typed": "30"}).status_code == 303
    assert "Type" not in client.get("/contacts/act", {"act": "tag", "all": "1"}).content.decode().split("<form")[1]


def test_three_people_try_an_act(own: Shop, other_shop: Shop, as_member: Sign) -> None:
    """The owner may; a colleague who only reads may not; a stranger reaches nobody here."""
    victim = own.people[4]
    form = {"act": "tag", "id": [victim.pk], "tag_name": "touché"}
    assert as_member("viewer", own).post("/contacts/act", form).status_code == 403
    stranger = as_member("owner", other_shop)
    assert stranger.post("/contacts/act", form).status_code == 303
    victim.refresh_from_db()
    assert victim.tags == []
    assert stranger.post("/contacts/act", {**form, "act": "join", "list_id": own.list.pk}).status_code == 422
    as_member("owner", own).post("/contacts/act", form)
    victim.refresh_from_db()
    assert victim.tags == ["touché"]


# -- one person --------------------------------------------------------------------------------


def test_a_value_is_changed_in_place_with_its_source_and_comes_back(own: Shop, as_member: Sign) -> None:
    client, one = as_member("editor", own), own.people[0]
    where, before = f"/contacts/{one.pk}", one.props["first_name"]
    source = one.sources["first_name"]
    answer = client.post(f"{where}/change", {"act": "set", "property": "first_name", "value": " Zoë "})
    assert answer["Location"] == f"{where}#value_first_name"
    one.refresh_from_db()
    assert one.props["first_name"] == "Zoë"
    assert "Ahmed" in Source.objects.get(pk=one.sources["first_name"]).label, "who wrote it"
    page = client.get(where).content.decode()
    assert "Carnet de la boutique" in page and before in page, "the earlier value and its source"
    take_back(client, own, page)
    one.refresh_from_db()
    assert one.props["first_name"] == before and one.sources["first_name"] == source
    assert not PropertyHistory.objects.filter(contact_id=one.pk, key="first_name").exists()


def test_a_wrong_value_loses_nothing_typed(own: Shop, as_member: Sign) -> None:
    client, one = as_member("editor", own), own.people[0]
    answer = client.post(f"/contacts/{one.pk}/change", {"act": "set", "property": "birth_date", "value": "hier"})
    page = answer.content.decode()
    assert answer.status_code == 422 and 'value="hier"' in page and 'role="alert"' in page
    long = "x" * 5001
    answer = client.post(f"/contacts/{one.pk}/notes", {"text": long})
    assert answer.status_code == 422 and long in answer.content.decode()
    assert Note.objects.filter(contact_id=one.pk).count() == 1


def test_an_address_is_corrected_and_what_she_refused_goes_with_her(own: Shop, as_member: Sign) -> None:
    from envol.consent import acts

    client, one, other = as_member("editor", own), own.people[0], own.people[1]
    acts.object_to_marketing(own.workspace.pk, one.pk, one.email_key, "by phone")
    where = f"/contacts/{one.pk}/rectify"
    for wrong in ("zoe", other.email, ""):
        answer = client.post(where, {"email": wrong, "language": "fr"})
        assert answer.status_code == 422 and 'role="alert"' in answer.content.decode(), wrong
    assert client.post(where, {"email": one.email, "language": "klingon"}).status_code == 422
    before = one.email
    assert client.post(where, {"email": "Zoe.Nouvelle@lecteurs.example", "language": "en"}).status_code == 303
    page = client.get(f"/contacts/{one.pk}").content.decode()
    assert f"the address was {before}" in page and "Zoe.Nouvelle@lecteurs.example" in page
    one.refresh_from_db()
    assert one.email_key == "zoe.nouvelle@lecteurs.example" and one.language == "en" and one.objected
    assert as_member("viewer", own).post(where, {"email": "x@lecteurs.example"}).status_code == 403


def test_a_place_that_was_not_touched_keeps_its_details(own: Shop, as_member: Sign) -> None:
    client, one = as_member("editor", own), own.people[0]
    client.post(f"/contacts/{one.pk}/change", {"act": "set", "property": "city", "value": "Nantes"})
    one.refresh_from_db()
    assert (one.props["city"]["label"], one.props["city"]["country"]) == ("Nantes", "FR")


def test_tags_and_lists_of_one_person(own: Shop, as_member: Sign) -> None:
    client, one = as_member("editor", own), own.people[1]
    where = f"/contacts/{one.pk}/change"
    client.post(where, {"act": "tag", "tag": "vip"})
    client.post(where, {"act": "leave", "list": own.list.pk})
    one.refresh_from_db()
    assert one.tags == ["vip"] and people.lists_of(one) == []
    client.post(where, {"act": "untag", "tag": "vip"})
    client.post(where, {"act": "join", "list": own.list.pk})
    one.refresh_from_db()
    assert one.tags == [] and len(people.lists_of(one)) == 1
    assert client.post(where, {"act": "tag", "tag": ""}).status_code == 422


def test_a_refusal_is_recorded_at_once_and_a_permission_never_without_proof(own: Shop, as_member: Sign) -> None:
    from envol.consent import gates, purposes

    client, one = as_member("editor", own), own.people[0]
    newsletter, offers = (purposes.get(own.workspace, key) for key in ("newsletter", "offers"))
    where = f"/contacts/{one.pk}"

    def may(purpose: object) -> bool:
        return gates.may_send(own.workspace.pk, one.pk, one.email_key, purpose.pk).allowed  # type: ignore[attr-defined]

    assert "Yes, for: Newsletter." in client.get(where).content.decode()
    assert client.post(f"{where}/withdraw", {"purpose": newsletter.pk, "how": ""}).status_code == 422 and may(
        newsletter
    )
    answer = client.post(f"{where}/withdraw", {"purpose": newsletter.pk, "how": "Au téléphone"})
    assert answer.status_code == 303 and not may(newsletter)
    assert Permission.objects.get(contact_id=one.pk, purpose_id=newsletter.pk, until=None).proof == "Au téléphone"
    full = {
        "purpose": offers.pk, "basis": "consent", "source": "Bulletin papier", "date": "2026-01-10",
        "statement": "Bulletin signé au comptoir.",
    }  # fmt: skip
    page = client.get(where).content.decode()
    assert f'href="?grant={offers.pk}#asked"' in page and 'name="statement"' not in page
    asked = client.get(f"{where}?grant={offers.pk}").content.decode()
    assert asked.count('name="statement"') == 1 and f'name="purpose" value="{offers.pk}"' in asked
    assert 'name="statement"' not in client.get(f"{where}?grant=nothing").content.decode()
    viewed = as_member("viewer", own).get(f"{where}?grant={offers.pk}").content.decode()
    assert "Record a permission" not in viewed and 'name="statement"' not in viewed
    for lacking in ("basis", "source", "date", "statement"):
        answer = client.post(f"{where}/grant", {**full, lacking: ""})
        assert answer.status_code == 422 and not may(offers), lacking
        if lacking != "statement":
            assert "Bulletin signé au comptoir." in answer.content.decode()
    assert client.post(f"{where}/grant", {**full, "date": "2126-01-10"}).status_code == 422
    kept = Evidence.objects.filter(workspace=own.workspace).count()
    assert client.post(f"{where}/grant", {**full, "basis": "business"}).status_code == 422
    assert Evidence.objects.filter(workspace=own.workspace).count() == kept, "what proves nothing is not kept"
    assert client.post(f"{where}/grant", full).status_code == 303 and may(offers)
    row = Permission.objects.get(contact_id=one.pk, purpose_id=offers.pk, until=None)
    proof = Evidence.objects.get(pk=row.evidence_id)
    assert proof.text and proof.text.purpose_id == offers.pk and proof.member_id == own.members["editor"].pk
    again = client.post(f"{where}/grant", {**full, "purpose": newsletter.pk})
    assert again.status_code == 422 and not may(newsletter), "who withdrew comes back by her own act only"


def test_a_document_proves_a_permission_too(own: Shop, as_member: Sign) -> None:
    from envol.consent import purposes

    client, one = as_member("owner", own), own.people[0]
    offers = purposes.get(own.workspace, "offers")
    form = {"purpose": offers.pk, "basis": "consent", "source": "Salon du livre", "date": "2026-01-10"}
    scan = SimpleUploadedFile("bulletin.pdf", b"%PDF-1.4 signed")
    assert client.post(f"/contacts/{one.pk}/grant", {**form, "document": scan}).status_code == 303
    row = Permission.objects.get(contact_id=one.pk, purpose_id=offers.pk, until=None)
    assert Evidence.objects.get(pk=row.evidence_id).strength == "document"


def test_three_people_try_the_page_of_one(own: Shop, other_shop: Shop, as_member: Sign) -> None:
    one = own.people[0]
    viewer, stranger = as_member("viewer", own), as_member("owner", other_shop)
    page = viewer.get(f"/contacts/{one.pk}").content.decode()
    assert one.email not in page and "Record a refusal" not in page and 'name="value"' not in page
    for act, form in (
        ("change", {"act": "tag", "tag": "x"}),
        ("withdraw", {"purpose": 1, "how": "x"}),
        ("grant", {"purpose": 1}),
        ("notes", {"text": "x"}),
    ):
        assert viewer.post(f"/contacts/{one.pk}/{act}", form).status_code == 403
        assert stranger.post(f"/contacts/{one.pk}/{act}", form).status_code == 404
    mine = as_member("owner", own)
    foreign = other_shop.workspace.purposes.get(key="newsletter")
    assert mine.post(f"/contacts/{one.pk}/withdraw", {"purpose": foreign.pk, "how": "x"}).status_code == 404


def test_the_story_goes_on_page_by_page(own: Shop, as_member: Sign) -> None:
    client, one = as_member("editor", own), own.people[0]
    for n in range(40):
        people.tag(one, f"t{n}")
        people.leave(own.list, one) if n % 2 else people.join(own.list, one)
    page = client.get(f"/contacts/{one.pk}").content.decode()
    assert "Show older ones" in page and page.split('class="timeline"')[1].split("</ol>")[0].count("<li>") == 30
    more = client.get(f"/contacts/{one.pk}?events=60").content.decode()
    assert more.split('class="timeline"')[1].split("</ol>")[0].count("<li>") > 30


# -- lists and fields ----------------------------------------------------------------------------


def test_a_list_is_made_renamed_removed_and_brought_back(own: Shop, as_member: Sign) -> None:
    from envol.contacts.models import List

    client = as_member("editor", own)
    assert client.post("/lists/new", {"name": "Abonnés FR"}).status_code == 422
    client.post("/lists/new", {"name": "Soirées"})
    made = List.objects.get(workspace=own.workspace, name="Soirées")
    people.join(made, own.people[0])
    page = client.get("/lists").content.decode()
    assert "Soirées" in page and f"/contacts?list={made.pk}" in page
    client.post(f"/lists/{made.pk}", {"act": "rename", "name": "Soirées d'hiver"})
    made.refresh_from_db()
    assert made.name == "Soirées d'hiver"
    answer = client.post(f"/lists/{own.list.pk}", {"act": "remove"})
    assert answer.status_code == 422 and "Fidèles" in answer.content.decode(), "a segment is built on it"
    client.post(f"/lists/{made.pk}", {"act": "remove"})
    assert client.get(f"/contacts?list={made.pk}").status_code == 404
    take_back(client, own, client.get("/lists").content.decode())
    assert [one.name for one, _ in people.lists_of(own.people[0])] == ["Abonnés FR", "Soirées d'hiver"]
    viewer = as_member("viewer", own)
    assert "Delete the list" not in viewer.get("/lists").content.decode()
    assert viewer.post("/lists/new", {"name": "X"}).status_code == 403


def test_the_catalogue_is_kept_without_losing_a_value(own: Shop, as_member: Sign) -> None:
    client, workspace = as_member("editor", own), own.workspace
    page = client.get("/fields").content.decode()
    assert "First name" in page and "100" in page.split("First name")[1][:1500]
    assert "Lettre" in page.split(">first_name<")[1].split("</tr>")[0], "the message that greets by it"
    assert "No property is called so" in client.get("/fields?q=zzz").content.decode()
    wrong = client.post("/fields/new", {"type": "choice", "label_fr": "Genre", "choices": ""})
    assert wrong.status_code == 422 and 'value="Genre"' in wrong.content.decode()
    form: dict[str, object] = {"type": "text", "label_fr": "Prénom usuel", "label_en": "Usual name"}
    serves = workspace.properties.get(key="last_name").purposes  # what it is to become part of
    form["purpose"] = [one.key for one in workspace.purposes.all() if serves >> one.bit & 1]
    answer = client.post("/fields/new", form)
    made = workspace.properties.get(key="usual_name")
    assert answer["Location"] == f"/fields/{made.pk}" and made.purposes
    for one in own.people[:3]:
        one.refresh_from_db()
        people.set_values(one, {"usual_name": f"U{one.pk}"}, people.source(workspace, "member", "x"))
    first = workspace.properties.get(key="last_name")
    where = f"/fields/{made.pk}"
    shown = client.get(f"{where}?into=last_name").content.decode()
    assert "differ: the other stays" in shown and "Merge “Usual name” into “Last name”" in shown
    assert client.post(f"{where}/act", {"act": "delete"})["Location"] == where, "people still have it"
    client.post(f"{where}/act", {"act": "merge", "into": "last_name"})
    assert not workspace.properties.filter(key="usual_name").exists() and first.pk
    take_back(client, own, client.get("/fields").content.decode())
    again = workspace.properties.get(key="usual_name")
    assert Contact.objects.filter(workspace_id=workspace.pk, props__has_key="usual_name").count() == 3
    client.post(f"/fields/{again.pk}/act", {"act": "empty"})
    assert "nothing uses it" in client.get(f"/fields/{again.pk}").content.decode()
    client.post(f"/fields/{again.pk}/act", {"act": "delete"})
    assert not workspace.properties.filter(key="usual_name").exists()
    take_back(client, own, client.get("/fields").content.decode())
    assert workspace.properties.filter(key="usual_name").exists()


def test_a_property_in_use_is_neither_merged_nor_deleted(own: Shop, as_member: Sign) -> None:
    client, used = as_member("owner", own), own.workspace.properties.get(key="first_name")
    for form in ({"act": "merge", "into": "last_name"}, {"act": "delete"}):
        client.post(f"/fields/{used.pk}/act", form)
        assert own.workspace.properties.filter(key="first_name").exists()
    assert "Lettre" in client.get(f"/fields/{used.pk}").content.decode()
    assert as_member("viewer", own).get(f"/fields/{used.pk}").status_code == 403
