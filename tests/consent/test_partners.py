"""Partners by name: who agreed to which list, who was given to whom, and what each of them is told."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from envol.accounts.models import JournalEntry, Role, User, Workspace
from envol.accounts.workspaces import add_member
from envol.collect import signup
from envol.consent import acts, desk, ledger, partners, purposes, recipients, requests
from envol.consent.models import Evidence, Handing, Partner, Processor, Purpose, PurposeText
from envol.contacts import export_files, people
from envol.contacts.filters import Filter
from envol.contacts.models import Contact, Export, List
from envol.content import links
from envol.events.models import MailRequest
from tests.consent.test_requests import asked, proved


@pytest.fixture
def offers(workspace: Workspace) -> Purpose:
    found = next(one for one in purposes.proposed(workspace) if one[0] == purposes.PARTNERS)
    return purposes.add(workspace, found[0], found[1], found[2], texts={"fr": found[4], "en": found[5]})


def reader(purpose: Purpose, name: str, version: int | None = None, *, basis: str = "consent") -> Contact:
    """Somebody who ticked the box under the words of that version."""
    workspace = purpose.workspace
    made = people.upsert(workspace, f"{name}@lecteurs.example", {}, source=people.source(workspace, "form", "Salon"))
    words = purposes.text(purpose, "fr", version)
    facts = {"job_role": "acheteuse", "relation_note": "fournitures"}
    proof = acts.evidence(workspace, "line", "salon", text=words, facts=facts)
    people.grant(made, purpose, basis=basis, proof_of=proof, proof="1", own_act=True)
    return made


def file_for(partner: Partner, member_id: int | None = None) -> tuple[Export, list[str]]:
    made = export_files.prepare(
        partner.workspace, Filter(), "csv", ["email"], partner=partner, reason="Contract of May", member_id=member_id
    )
    export_files.write(made)
    path = export_files.file_of(made)
    assert path is not None
    return made, sorted(
        row[0].partition("@")[0] for row in list(csv.reader(path.read_text("utf-8-sig").splitlines()))[1:]
    )


def test_the_words_name_each_partner_and_another_is_another_version(workspace: Workspace, offers: Purpose) -> None:
    bare = {code: purposes.text(offers, code).text for code in ("fr", "en")}
    acme = partners.add(offers, " Acme  SAS", "https://acme.example/", "FR", "DPO <dpo@acme.example>")
    assert purposes.text(offers, "fr").text == f"{bare['fr']} Partenaires\u202f: Acme SAS (France, acme.example)."
    assert purposes.text(offers, "en").text == f"{bare['en']} Partners: Acme SAS (France, acme.example)."
    beta = partners.add(offers, "Beta GmbH", "beta.example", "DE")
    assert [text.bare for text in PurposeText.objects.filter(purpose=offers, language="en")] == [bare["en"]] * 3
    assert "Beta GmbH (Germany, beta.example)" in purposes.text(offers, "en").text
    purposes.reword(offers, {"fr": "J’accepte.", "en": "I agree."})
    assert purposes.text(offers, "en").text.startswith("I agree. Partners: Acme SAS")
    partners.drop(acme)
    assert "Acme" not in purposes.text(offers, "en").text
    assert [[one.name for one in partners.named(offers, n)] for n in range(1, 6)] == [
        [], ["Acme SAS"], ["Acme SAS", "Beta GmbH"], ["Acme SAS", "Beta GmbH"], ["Beta GmbH"],
    ]  # fmt: skip
    entry = Processor.objects.get(workspace=workspace, name="Acme SAS")
    assert (entry.role, entry.kind, entry.contact) == ("recipient", "partner", "DPO <dpo@acme.example>")
    for name, site, country in (("beta gmbh", "x.example", "FR"), ("C", "no site", "FR"), ("C", "c.example", "")):
        with pytest.raises(partners.Refusal):
            partners.add(offers, name, site, country)
    with pytest.raises(partners.Refusal):
        partners.add(purposes.get(workspace, "transactional"), "C", "c.example", "FR")
    desk.end_processor(Processor.objects.get(pk=beta.processor_id))
    assert partners.drop_behind(Processor.objects.get(pk=beta.processor_id)) == 1 and not partners.named(offers)
    done = JournalEntry.objects.filter(workspace=workspace, action__startswith="partner.")
    done = list(done.order_by("pk").values_list("action"))
    assert done == [("partner.added",), ("partner.added",), ("partner.dropped",), ("partner.dropped",)]


def test_a_file_for_a_partner_holds_whose_words_name_it_and_nobody_else(workspace: Workspace, offers: Purpose) -> None:
    acme = partners.add(offers, "Acme", "acme.example", "FR")
    before = purposes.text(offers).version
    early = reader(offers, "early")
    beta = partners.add(offers, "Beta", "beta.example", "FR")
    for name, version in (("late", None), ("gone", None), ("loud", None), ("first", before - 1)):
        reader(offers, name, version)
    reader(offers, "trade", basis="business")
    wordless = people.upsert(workspace, "plain@lecteurs.example", {}, source=people.source(workspace, "form", "S"))
    people.grant(wordless, offers, proof_of=acts.evidence(workspace, "line", "salon"), proof="1")
    acts.withdraw(
        workspace.pk, Contact.objects.get(workspace_id=workspace.pk, email_key="gone@lecteurs.example").pk, [offers]
    )
    loud = Contact.objects.get(workspace_id=workspace.pk, email_key="loud@lecteurs.example")
    acts.object_to_marketing(workspace.pk, loud.pk, loud.email_key, "test")
    assert file_for(acme)[1] == ["early", "late"]
    assert file_for(beta)[1] == ["late"], "the newcomer gets nobody who agreed before it was named"
    with pytest.raises(export_files.ExportProblem, match="journal keeps it"):
        export_files.prepare(workspace, Filter(), "csv", ["email"], partner=acme, reason=" ")
    Processor.objects.filter(pk=beta.processor_id).update(country="US")
    with pytest.raises(export_files.ExportProblem, match="No data may go to Beta"):
        export_files.prepare(workspace, Filter(), "csv", ["email"], partner=beta, reason="x")
    waiting = export_files.prepare(workspace, Filter(), "csv", ["email"], partner=acme, reason="x")
    partners.drop(acme)
    with pytest.raises(export_files.ExportProblem, match="partner no more"):
        export_files.write(waiting)
    given = people.export(early)["rooms"]["consent"]["passed_on_to"]
    assert [(one["name"], one["owed"]) for one in given] == [("Acme", "")]
    assert offers not in export_files.purposes_for(workspace), "under this purpose only partners get a file"


def test_who_says_no_later_is_owed_to_each_partner_that_was_given_her(workspace: Workspace, offers: Purpose) -> None:
    me = add_member(workspace, User.objects.create_user(f"{workspace.name}@equipe.example", "x" * 20), Role.EDITOR).pk
    acme = partners.add(offers, "Acme", "acme.example", "FR", "dpo@acme.example")
    beta = partners.add(offers, "Beta", "beta.example", "FR")
    zoe, ana, leo = (reader(offers, name) for name in ("zoe", "ana", "leo"))
    export, _names = file_for(acme)
    assert partners.untold(workspace.pk) == []
    acts.withdraw(workspace.pk, zoe.pk, [offers])
    assert export_files.file_of(export) is None, "she does not leave with the others any more"
    assert partners.marks(acme) == [partners.mark_of(zoe.email_key)] and not partners.marks(beta)
    words = purposes.text(offers)
    people.grant(zoe, offers, proof_of=acts.evidence(workspace, "line", "page", text=words), proof="2", own_act=True)
    assert partners.marks(acme) == [], "she agreed again before it was told"
    acts.object_to_marketing(workspace.pk, zoe.pk, zoe.email_key, "test")
    acts.withdraw(workspace.pk, leo.pk, [purposes.get(workspace, "newsletter")])
    people.erase(ana, cause="test")
    found = partners.untold(workspace.pk)
    assert [(one.name, s.given, s.withdrawn, s.erased) for one, s in found] == [("Acme", 3, 1, 1)]
    expected = sorted(partners.mark_of(one.email_key) for one in (zoe, ana))
    assert partners.marks(acme) == expected
    assert partners.tell(acme, "", me) == 2
    mail = MailRequest.objects.get(workspace_id=workspace.pk, kind="recipient")
    assert mail.recipient == "dpo@acme.example" and all(mark in mail.facts["text"] for mark in expected)
    assert zoe.email_key not in mail.facts["text"] and leo.email_key not in mail.facts["text"]
    with pytest.raises(partners.Refusal, match="everybody already"):
        partners.tell(acme, "", me)
    kept = list(Handing.objects.filter(partner=acme).values_list("contact_id", flat=True).order_by("contact_id"))
    assert kept == sorted([zoe.pk, leo.pk]), "told: what named the erased person is gone"
    assert [entry.facts["people"] for entry in partners.tellings(acme)] == [2]
    acts.withdraw(workspace.pk, leo.pk, [offers])
    with pytest.raises(partners.Refusal, match="say how"):
        file_partner = Partner.objects.get(pk=acme.pk)
        Processor.objects.filter(pk=file_partner.processor_id).update(contact="by letter")
        partners.tell(file_partner, "", me)
    with pytest.raises(partners.Refusal, match="without an address"):
        partners.tell(acme, "to dpo@acme.example", me)
    assert partners.tell(acme, "by letter, 3 May", me) == 1 and partners.untold(workspace.pk) == []
    assert ledger.verify(workspace.pk).ok


def test_a_request_owes_a_partner_only_who_was_given_to_it(workspace: Workspace, offers: Purpose) -> None:
    me = add_member(workspace, User.objects.create_user(f"{workspace.name}@equipe.example", "x" * 20), Role.EDITOR).pk
    acme = partners.add(offers, "Acme", "acme.example", "FR")
    partners.add(offers, "Beta", "beta.example", "FR")
    zoe = reader(offers, "zoe")
    file_for(acme)
    mine = requests.prove(asked(workspace, "rectification", zoe.email_key, words="Zoë"), "called back", me)
    requests.carry_out(mine, me, "first_name is now Zoë")
    assert [duty.recipient.name for duty in recipients.open_of(mine)] == ["Acme"]
    gone = proved(workspace, "erasure", zoe.email_key)
    assert gone.state == "answered"
    assert [(one.name, s.erased) for one, s in partners.untold(workspace.pk)] == [("Acme", 1)]


def test_her_page_says_which_partners_came_since_and_one_button_agrees_to_them(
    workspace: Workspace, offers: Purpose
) -> None:
    partners.add(offers, "Acme", "acme.example", "FR")
    zoe = reader(offers, "zoe")
    client, page = Client(HTTP_HOST="localhost"), f"/p/{links.person_token(workspace.pk, zoe.pk)}?l=en"
    shown = client.get(page).content.decode()
    assert "Acme (France, acme.example)" in shown and f'value="keep_{offers.pk}"' not in shown
    beta = partners.add(offers, "Beta", "beta.example", "FR")
    shown = client.get(page).content.decode()
    assert "Since you agreed, named in addition: Beta" in shown and "get nothing about you" in shown
    assert file_for(beta)[1] == []
    seen = ",".join(
        str(pk) for pk in PurposeText.objects.filter(purpose=offers, language="en").values_list("pk", flat=True)
    )
    newest = seen.rpartition(",")[2]
    client.post(page, {"act": f"keep_{offers.pk}", "seen": newest})
    assert file_for(beta)[1] == ["zoe"]
    assert Evidence.objects.filter(workspace=workspace, text_id=int(newest)).exists()
    assert f'value="keep_{offers.pk}"' not in client.get(page).content.decode()


def test_no_form_asks_for_partners_that_nobody_named(workspace: Workspace, offers: Purpose) -> None:
    form = signup.create(workspace, List.objects.create(workspace=workspace, name="Club"))
    form.purposes = [*form.purposes, offers.pk]
    assert "names no partner" in signup.problems(form)["purposes"]
    partners.add(offers, "Acme", "acme.example", "FR")
    assert "purposes" not in signup.problems(form)
    assert any("Acme" in text.text for text in signup.texts_of(form, "fr"))


def test_many_are_handed_over_as_a_list(workspace: Workspace, offers: Purpose, monkeypatch: pytest.MonkeyPatch) -> None:
    me = add_member(workspace, User.objects.create_user(f"{workspace.name}@equipe.example", "x" * 20), Role.EDITOR).pk
    acme = partners.add(offers, "Acme", "acme.example", "FR", "dpo@acme.example")
    for n in range(3):
        reader(offers, f"r{n}")
    file_for(acme)
    for one in Contact.objects.filter(workspace_id=workspace.pk):
        acts.withdraw(workspace.pk, one.pk, [offers], since=datetime.now(UTC) + timedelta(seconds=1))
    monkeypatch.setattr(partners, "MOST_MARKS", 2)
    with pytest.raises(partners.Refusal, match="hand over the list"):
        partners.tell(acme, "", me)
    assert partners.tell(acme, "their portal", me) == 3
