"""Which version of a notice or of terms applied to whom on which day; a form opens only with a notice."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.test import Client

from envol.accounts.models import Workspace
from envol.collect import signup
from envol.consent import desk, notices, policies, registry
from envol.contacts import people
from envol.contacts.models import Contact, List
from envol.events.models import MailRequest

FIRST, SECOND = {"fr": "Un", "en": "One"}, {"fr": "Deux", "en": "Two"}


def person(workspace: Workspace, name: str) -> Contact:
    return people.upsert(workspace, f"{name}@lecteurs.example", {}, source=people.source(workspace, "member", "Carnet"))


def test_who_was_there_before_is_bound_after_thirty_days_and_who_comes_at_once(workspace: Workspace) -> None:
    today = workspace.today()
    before = person(workspace, "zoe")
    assert policies.applied(workspace, before.pk, "terms", today) is None
    first = policies.publish(workspace, "terms", FIRST)
    second = policies.publish(workspace, "terms", SECOND)
    later = person(workspace, "ana")
    policies.accept(workspace.pk, later.pk)
    policies.accept(workspace.pk, later.pk)

    def on(one: Contact, days: int) -> int | None:
        found = policies.applied(workspace, one.pk, "terms", today + timedelta(days=days))
        return found.no if found else None

    assert (on(before, -1), on(before, 0), on(before, 29), on(before, 30)) == (None, first.no, first.no, second.no)
    assert (on(later, -1), on(later, 0)) == (None, second.no)
    assert policies.applied(workspace, later.pk, "terms", date.max) == second


def test_people_are_told_once_of_a_new_version_but_not_who_took_it(workspace: Workspace) -> None:
    old = [person(workspace, f"p{n}") for n in range(3)]
    policies.publish(workspace, "privacy", FIRST)
    version = policies.publish(workspace, "privacy", SECOND)
    policies.accept(workspace.pk, person(workspace, "new").pk)
    assert policies.to_tell(version) == 3
    assert sum(policies.tell(version, "Ce qui change", "Dans trente jours…")) == 3
    list(policies.tell(version, "Ce qui change", "Dans trente jours…"))
    asked = MailRequest.objects.filter(workspace_id=workspace.pk, kind="policy")
    assert sorted(asked.values_list("recipient", flat=True)) == sorted(one.email for one in old)
    assert policies.to_tell(version) == 0
    told = registry.export_person(workspace.pk, old[0].pk)["rooms"]["consent"]["texts"]
    assert [(one["kind"], one["no"], one["how"]) for one in told] == [("privacy", 2, "told")]
    people.erase(old[0], cause="asked")
    assert not policies.Acceptance.objects.filter(contact_id=old[0].pk).exists()


def test_a_version_is_never_the_same_twice_and_a_short_notice_is_short(workspace: Workspace) -> None:
    policies.publish(workspace, "terms", FIRST)
    for kind, texts, short, said in (
        ("terms", FIRST, {}, "in force already"),
        ("terms", {"fr": "Un", "en": " "}, {}, "both languages"),
        ("notice", FIRST, {"fr": "mot " * 61}, "60 words"),
        ("other", FIRST, {}, "kind"),
    ):
        with pytest.raises(policies.Problem, match=said):
            policies.publish(workspace, kind, texts, short)


def test_no_form_opens_without_a_notice_and_its_page_shows_it_whole(workspace: Workspace) -> None:
    desk.save(workspace, {"legal_name": "Deux Rives SARL", "dpo_contact": "dpo@rives.example", "authority": "CNIL"})
    desk.save_processor(workspace, {"name": "Hôte du Ponant", "country": "FR"})
    form = signup.create(workspace, List.objects.create(workspace=workspace, name="Lettre"))
    assert policies.newest(workspace, policies.NOTICE) is None
    signup.switch(form, True)
    made = policies.newest(workspace, policies.NOTICE)
    assert made is not None and made.no == 1
    assert all(len(text.split()) <= policies.SHORT_WORDS for text in made.short.values())
    client = Client(HTTP_HOST="localhost")
    assert f"/s/{form.token}/notice?l=fr" in client.get(f"/s/{form.token}?l=fr").content.decode()
    page = client.get(f"/s/{form.token}/notice?l=fr")
    text = page.content.decode()
    for said in ("Deux Rives SARL", "Hôte du Ponant", "CNIL", "art. 21", "Lettre d’information"):
        assert said in text, said
    assert len(page.content) < 15_000 and "Set-Cookie" not in page.headers
    signup.switch(form, False)
    signup.switch(form, True)
    assert policies.newest(workspace, policies.NOTICE) == made, "made once"
    assert client.get("/s/nowhere/notice").status_code == 404


def test_who_decides_jointly_and_who_answers_for_what_stands_in_the_notice(workspace: Workspace) -> None:
    """The essence of the arrangement is there for the person in both languages, and nothing where there is none."""
    written = "Salon du livre, Nantes; requests: we answer"
    before, _short = notices.draft(workspace)
    assert not [words for words in before.values() if "art. 26" in words]
    desk.save(workspace, {"joint": written})
    after, _short = notices.draft(workspace)
    assert {"fr", "en"} == {code for code, words in after.items() if written in words and "art. 26" in words}
