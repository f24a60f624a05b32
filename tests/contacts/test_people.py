from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from envol.accounts.models import User, Workspace
from envol.accounts.workspaces import create_workspace
from envol.consent import acts, suppression
from envol.consent import purposes as consent_purposes
from envol.contacts import catalogue, people
from envol.contacts.models import Contact, List, Membership, PropertyHistory, Source
from envol.contacts.orders import NewLine, NewOrder, add_bulk
from envol.events import NewEvent, record
from envol.events.models import Event, Kind

T0 = datetime(2026, 1, 5, tzinfo=UTC)


def test_one_address_is_one_contact_however_it_is_written(workspace: Workspace, page: Source) -> None:
    first = people.upsert(workspace, " Zoe.Martin@LECTEURS.example ", source=page)
    again = people.upsert(workspace, "zoe.martin@lecteurs.example", source=page)
    assert first.pk == again.pk
    assert (first.email, first.email_key) == ("Zoe.Martin@lecteurs.example", "zoe.martin@lecteurs.example")
    other = create_workspace(workspace.name + "-other")
    assert people.find(other, "zoe.martin@lecteurs.example") is None
    assert people.upsert(other, first.email, source=people.source(other, "api", "x")).pk != first.pk


def test_a_changed_value_leaves_its_former_self_and_source_in_the_history(
    workspace: Workspace, zoe: Contact, page: Source
) -> None:
    form = people.source(workspace, "form", "Inscription")
    zoe = people.upsert(workspace, zoe.email, {"first_name": "Zo", "city": "Lyon"}, source=form)
    assert zoe.props == {"first_name": "Zo", "last_name": "Martin", "city": {"label": "Lyon"}}
    assert zoe.sources == {"first_name": form.pk, "last_name": page.pk, "city": form.pk}
    former = PropertyHistory.objects.get(contact_id=zoe.pk)
    assert (former.key, former.value, former.source_id) == ("first_name", "Zoé", page.pk)


def test_saying_the_same_again_changes_nothing(workspace: Workspace, zoe: Contact) -> None:
    form = people.source(workspace, "form", "Inscription")
    before = Contact.objects.values("props", "sources", "updated_at").get(pk=zoe.pk)
    people.upsert(workspace, zoe.email, {"first_name": " Zoé "}, source=form)
    assert Contact.objects.values("props", "sources", "updated_at").get(pk=zoe.pk) == before
    assert not PropertyHistory.objects.filter(contact_id=zoe.pk).exists()


@pytest.mark.parametrize(
    ("policy", "after"),
    [
        ("merge", {"first_name": "Z", "city": {"label": "Lyon"}}),
        ("keep", {"first_name": "Zoé", "last_name": "Martin", "city": {"label": "Lyon"}}),
        ("replace", {"first_name": "Z", "city": {"label": "Lyon"}}),
    ],
)
def test_the_policy_decides_who_wins(
    workspace: Workspace, zoe: Contact, page: Source, policy: str, after: dict
) -> None:
    given = {"first_name": "Z", "city": "Lyon"} | ({} if policy == "replace" else {"last_name": ""})
    zoe = people.upsert(workspace, zoe.email, given, source=page, policy=policy)
    assert zoe.props == after and set(zoe.sources) == set(after)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"address": "zoe@"}, "after the @"),
        ({"props": {"shoe_size": 39}}, "shoe_size is declared"),
        ({"props": {"birth_date": "yesterday"}}, "birth_date"),
        ({"language": "french"}, "like fr"),
        ({"time_zone": "Paris"}, "Europe/Paris"),
        ({"policy": "mix"}, "A policy is"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    workspace: Workspace, page: Source, arguments: dict, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        people.upsert(workspace, **({"address": "zoe@lecteurs.example", "source": page} | arguments))
    assert not Contact.objects.filter(workspace_id=workspace.id).exists()


def test_one_source_row_serves_all_values_of_a_day(workspace: Workspace, page: Source) -> None:
    assert people.source(workspace, "member", "Fiche contact").pk == page.pk
    assert people.source(workspace, "member", "Autre fiche").pk != page.pk
    assert people.source(workspace, "import", "Fiche contact", import_id=3).pk != page.pk


def test_stays_on_a_list_are_intervals_that_are_never_overwritten(workspace: Workspace, zoe: Contact) -> None:
    club = List.objects.create(workspace=workspace, name="Club")
    assert people.join(club, zoe, at=T0) and not people.join(club, zoe)
    assert people.leave(club, zoe, at=T0 + timedelta(days=9)) and not people.leave(club, zoe)
    assert people.lists_of(zoe) == []
    assert people.join(club, zoe, at=T0 + timedelta(days=20))
    stays = Membership.objects.filter(contact_id=zoe.pk).order_by("since").values_list("since", "until")
    assert list(stays) == [(T0, T0 + timedelta(days=9)), (T0 + timedelta(days=20), None)]
    assert people.lists_of(zoe) == [(club, T0 + timedelta(days=20))]
    kinds = Event.objects.filter(contact_id=zoe.pk).order_by("at").values_list("kind", flat=True)
    assert list(kinds) == [Kind.LIST_JOINED, Kind.LIST_LEFT, Kind.LIST_JOINED]
    other = List.objects.create(workspace=create_workspace(workspace.name + "-other"), name="Club")
    with pytest.raises(ValueError, match="another workspace"):
        people.join(other, zoe)


def test_tags_are_sorted_and_kept_once(zoe: Contact) -> None:
    people.tag(zoe, "vip", "  jazz   fan ", "vip")
    people.untag(zoe, "absent")
    assert Contact.objects.get(pk=zoe.pk).tags == ["jazz fan", "vip"]
    people.untag(zoe, "vip")
    assert Contact.objects.get(pk=zoe.pk).tags == ["jazz fan"]
    with pytest.raises(ValueError, match="60"):
        people.tag(zoe, " ")


def test_another_name_of_a_person_names_her_alone(workspace: Workspace, zoe: Contact, add: Callable) -> None:
    people.identify(zoe, "customer", "C-17")
    people.identify(zoe, "customer", "C-17")
    assert people.by_identifier(workspace, "customer", "C-17") == zoe
    with pytest.raises(ValueError, match="another contact"):
        people.identify(add("ali"), "customer", "C-17")


def test_a_viewer_sees_neither_name_nor_length_of_a_local_part() -> None:
    assert people.masked("zoe.martin@lecteurs.example") == "z•••@lecteurs.example"
    assert people.masked("z@lecteurs.example") == "z•••@lecteurs.example"


def test_an_objection_moves_with_a_new_address_and_a_dead_mailbox_does_not(
    workspace: Workspace, zoe: Contact, add: Callable
) -> None:
    acts.object_to_marketing(workspace.id, zoe.pk, zoe.email_key, "preference page")
    suppression.add(workspace.id, zoe.email_key, "all", "hard_bounce", "outcome 1/2")
    zoe.refresh_from_db()
    assert zoe.objected and zoe.suppressed
    people.change_address(zoe, "Zoe@nouvelle.example")
    assert (zoe.email_key, zoe.objected, zoe.suppressed) == ("zoe@nouvelle.example", True, False)
    add("ali")
    with pytest.raises(ValueError, match="Another contact"):
        people.change_address(zoe, "ali@lecteurs.example")


# -- permissions ---------------------------------------------------------------------------------


def by_purpose(contact: Contact) -> dict[str, people.Permitted]:
    return {line["purpose"]: line for line in people.permissions(contact)}


def test_may_i_write_to_her_is_one_line_per_purpose_with_its_ground(workspace: Workspace, zoe: Contact) -> None:
    newsletter = consent_purposes.get(workspace, "newsletter")
    proof = acts.evidence(
        workspace, "line", "Salon du livre", text=consent_purposes.text(newsletter), facts={"stand": "B12"}
    )
    people.grant(zoe, newsletter, proof_of=proof, proof="bulletin 114", since=T0)
    lines = by_purpose(zoe)
    assert [key for key, line in lines.items() if line["allowed"]] == ["newsletter", "transactional"]
    assert lines["newsletter"]["strength"] == "line" and lines["newsletter"]["source"] == "Salon du livre"
    assert lines["newsletter"]["text"].startswith("J’accepte") and lines["newsletter"]["since"] == T0
    assert lines["offers"]["reason"] == "no_permission" and "Aucune autorisation" in lines["offers"]["sentence_fr"]


def test_without_any_proof_a_person_is_stored_and_not_mailable(workspace: Workspace, zoe: Contact) -> None:
    newsletter = consent_purposes.get(workspace, "newsletter")
    for proof in (None, acts.evidence(workspace, "none", "vieux fichier")):
        with pytest.raises(acts.Refusal, match="not mailable") as refusal:
            people.grant(zoe, newsletter, proof_of=proof)
        assert refusal.value.code == "no_evidence"
    assert not by_purpose(zoe)["newsletter"]["allowed"] and not Contact.objects.get(pk=zoe.pk).allowed


def test_who_withdrew_comes_back_by_her_own_act_only(workspace: Workspace, zoe: Contact) -> None:
    newsletter = consent_purposes.get(workspace, "newsletter")
    proof = acts.evidence(workspace, "line", "formulaire")
    people.grant(zoe, newsletter, proof_of=proof, proof="1", since=T0)
    acts.withdraw(workspace.id, zoe.pk, [newsletter])
    with pytest.raises(acts.Refusal, match="only she herself"):
        people.grant(zoe, newsletter, proof_of=proof, proof="2")
    acts.object_to_marketing(workspace.id, zoe.pk, zoe.email_key, "preference page")
    with pytest.raises(acts.Refusal):
        people.grant(zoe, consent_purposes.get(workspace, "offers"), proof_of=proof, proof="2")
    people.grant(zoe, newsletter, proof_of=proof, proof="3", own_act=True)
    assert by_purpose(zoe)["newsletter"]["allowed"] and not zoe.objected


def test_a_refusal_given_before_any_permission_is_remembered(workspace: Workspace, zoe: Contact) -> None:
    offers = consent_purposes.get(workspace, "offers")
    assert acts.withdraw(workspace.id, zoe.pk, [offers], state="refused")
    assert acts.withdraw(workspace.id, zoe.pk, [offers]) is None
    assert by_purpose(zoe)["offers"]["reason"] == "withdrawn"


# -- what happened -------------------------------------------------------------------------------


def test_the_timeline_tells_everything_newest_first(workspace: Workspace, zoe: Contact, page: Source) -> None:
    user = User.objects.create_user(f"{workspace.name}@maison.example", "x", name="Inès")
    newsletter = consent_purposes.get(workspace, "newsletter")
    club = List.objects.create(workspace=workspace, name="Club")
    people.grant(
        zoe, newsletter, proof_of=acts.evidence(workspace, "line", "salon"), proof="1", since=T0 + timedelta(days=1)
    )
    people.join(club, zoe, at=T0 + timedelta(days=2))
    people.leave(club, zoe, at=T0 + timedelta(days=3))
    add_bulk(workspace, [NewOrder(f"{workspace.name}-1", T0 + timedelta(days=4), 1999, contact_id=zoe.pk)])
    record([NewEvent(workspace.id, Kind.DELIVERED, zoe.pk, 7, at=T0 + timedelta(days=5))])
    people.upsert(workspace, zoe.email, {"first_name": "Zo"}, source=page)
    people.add_note(zoe, "Préfère le jazz", user.pk)
    told = people.timeline(zoe)
    assert [entry.at for entry in told] == sorted((entry.at for entry in told), reverse=True)
    assert [entry.kind for entry in told[:2]] == ["noted", "changed"] and told[2].kind == "arrived"
    assert [entry.kind for entry in told[3:]] == ["delivered", "ordered", "left", "joined", "granted"]
    assert told[0].facts == {"text": "Préfère le jazz", "author": "Inès"}
    assert told[1].facts == {"property": "first_name", "before": "Zoé", "source_before": "Fiche contact"}
    assert people.timeline(zoe, most=2) == told[:2]


# -- erasure and export --------------------------------------------------------------------------


@pytest.fixture
def full(workspace: Workspace, zoe: Contact, page: Source) -> Contact:
    """A person with a trace in every table."""
    newsletter = consent_purposes.get(workspace, "newsletter")
    people.grant(
        zoe,
        newsletter,
        proof_of=acts.evidence(workspace, "line", "salon"),
        proof=f"bulletin {workspace.name}",
        since=T0,
    )
    people.join(List.objects.create(workspace=workspace, name="Club"), zoe)
    add_bulk(
        workspace,
        [NewOrder(f"{workspace.name}-1", T0, 1999, contact_id=zoe.pk, lines=[NewLine(f"Blue {workspace.name}")])],
    )
    people.upsert(workspace, zoe.email, {"first_name": "Zo"}, source=page)
    people.add_note(zoe, "Préfère le jazz")
    people.identify(zoe, "customer", f"{workspace.name}-17")
    return zoe


def everything(word: str) -> list[str]:
    """Tables with a row in which ``word`` occurs, whatever the column."""
    from envol.db import rows, value

    tables = [
        name
        for (name,) in rows(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = 'public'::regnamespace"
        )
    ]
    return [t for t in tables if value(f'SELECT 1 FROM "{t}" t WHERE strpos(t::text, %s) > 0 LIMIT 1', [word])]


def test_after_erasure_no_table_of_the_database_knows_her(workspace: Workspace, full: Contact) -> None:
    from envol.consent import ledger

    full.email = f"{workspace.name}-zoe@lecteurs.example"
    people.change_address(full, full.email)
    assert "contacts_contact" in everything(full.email) and "contacts_order_line" in everything(
        f"Blue {workspace.name}"
    )
    gone = people.erase(full, cause="request 12", actor="person")
    assert gone["contacts_contact"] == gone["consent_permission"] == gone["contacts_order_line"] == 1
    assert (
        everything(full.email) == []
        and everything(f"Blue {workspace.name}") == []
        and everything(f"bulletin {workspace.name}") == []
    )
    report = ledger.verify(workspace.id)
    assert report.ok and (report.lines, report.readable) == (1, 0)


def test_an_erased_person_is_not_taken_in_again_but_may_come_back_herself(workspace: Workspace, full: Contact) -> None:
    people.erase(full, cause="request 12")
    for kind in ("import", "api", "member"):
        with pytest.raises(people.Refused, match="erased"):
            people.upsert(workspace, full.email, source=people.source(workspace, kind, "fichier"))
    own = people.source(workspace, "form", "Inscription")
    back = people.upsert(workspace, full.email, source=own)
    assert back.objected and back.props == {}
    newsletter = consent_purposes.get(workspace, "newsletter")
    people.grant(back, newsletter, proof_of=acts.evidence(workspace, "line", "form"), proof="2", own_act=True)
    assert by_purpose(back)["newsletter"]["allowed"] and not back.objected


def test_an_objection_outlives_erasure(workspace: Workspace, full: Contact) -> None:
    acts.object_to_marketing(workspace.id, full.pk, full.email_key, "preference page")
    people.erase(full, cause="request 12")
    assert suppression.lookup(workspace.id, [full.email_key])[full.email_key].objected


def test_her_clicks_stay_in_the_sums_and_name_nobody(workspace: Workspace, full: Contact) -> None:
    record([NewEvent(workspace.id, Kind.CLICKED, full.pk, 7000 + workspace.id, 1, facts={"ip": "x"})])
    assert people.export(full)["rooms"]["events"]["events"][-1]["kind"] == "clicked"
    people.erase(full, cause="request 12")
    assert not Event.objects.filter(contact_id=full.pk).exists()
    (event,) = Event.objects.filter(workspace_id=workspace.id)
    assert (event.kind, event.contact_id, event.facts, event.sending_id) == (6, None, None, 7000 + workspace.id)


def test_a_person_is_handed_all_that_is_kept_about_her(workspace: Workspace, full: Contact) -> None:
    import json

    data = json.loads(json.dumps(people.export(full)))
    mine, consent = data["rooms"]["contacts"], data["rooms"]["consent"]
    assert mine["contact"]["email"] == full.email
    assert {p["property"]: (p["value"], p["source"]["label"]) for p in mine["properties"]} == {
        "first_name": ("Zo", "Fiche contact"),
        "last_name": ("Martin", "Fiche contact"),
    }
    assert mine["earlier_values"][0]["value"] == "Zoé"
    assert mine["orders"][0]["lines"] == [
        {"product": f"Blue {workspace.name}", "category": "", "quantity": 1, "amount": 0}
    ]
    assert mine["identifiers"] and mine["lists"] and mine["notes"][0]["text"] == "Préfère le jazz"
    assert (
        consent["permissions"][0]["purpose"] == "newsletter"
        and consent["permissions"][0]["proof"] == f"bulletin {workspace.name}"
    )


def test_every_declared_value_survives_the_way_to_the_database(workspace: Workspace, page: Source) -> None:
    catalogue.declare(workspace, "genres", "list", "Genres", "Genres")
    catalogue.declare(workspace, "spent", "money", "Dépensé", "Spent")
    catalogue.declare(workspace, "vip", "boolean", "VIP", "VIP")
    given = {"genres": "jazz;polar", "spent": "12,50", "vip": "oui", "birth_date": "31/12/1999", "city": "Lyon"}
    contact = people.upsert(workspace, "zoe@lecteurs.example", given, source=page)
    assert Contact.objects.get(pk=contact.pk).props == {
        "genres": ["jazz", "polar"],
        "spent": 1250,
        "vip": True,
        "birth_date": "1999-12-31",
        "city": {"label": "Lyon"},
    }
