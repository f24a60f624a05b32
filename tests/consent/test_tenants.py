"""Whoever runs Envol for others tells all of them, beforehand where the law says so; who was told when is kept."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from envol.accounts.models import JournalEntry, Role, User, Workspace
from envol.accounts.workspaces import add_member, create_workspace
from envol.consent import tenants
from envol.events.models import MailRequest

TODAY = date(2026, 11, 26)


def test_every_workspace_is_told_and_the_journal_of_each_keeps_it(workspace: Workspace) -> None:
    other = create_workspace("voisin")
    people = {}
    for n, (place, role, language, dpo) in enumerate(
        [(workspace, Role.OWNER, "fr", False), (workspace, Role.VIEWER, "en", True), (workspace, Role.EDITOR, "fr", 0)]
    ):
        user = User.objects.create_user(f"n{n}-{place.pk}@equipe.example", "x", language=language)
        add_member(place, user, role, dpo=bool(dpo))
        people[user.email] = user
    made = tenants.tell("breach", "Une clé a fui", "Une clé d’accès a été publiée.")
    assert {one.workspace.pk: one.people for one in made} | {workspace.pk: 2, other.pk: 0} == {
        one.workspace.pk: one.people for one in made
    }
    mails = MailRequest.objects.filter(workspace_id=workspace.pk, kind="notice")
    texts = {mail.recipient.partition("-")[0]: mail.facts["text"] for mail in mails}
    assert set(texts) == {"n0", "n1"} and "violation" in texts["n0"] and "breach" in texts["n1"]
    assert all("a été publiée" in text for text in texts.values())
    (told,) = tenants.told(workspace)
    assert (told.kind, told.people, told.on) == ("breach", 2, None)

    client = Client(HTTP_HOST="localhost")
    dpo_user = people[f"n1-{workspace.pk}@equipe.example"]
    client.force_login(dpo_user, "allauth.account.auth_backends.AuthenticationBackend")
    page = client.get("/consent/processors").content.decode()
    assert "Une clé a fui" in page and "told 2 people" in page


def test_a_change_of_processors_is_told_beforehand(workspace: Workspace) -> None:
    for on in (None, date(2026, 12, 25)):
        with pytest.raises(tenants.Refused, match="30 days before: name a day from 2026-12-26"):
            tenants.tell("processor", "Nouvel hébergeur", "x", on=on, among=[workspace], today=TODAY)
    with pytest.raises(tenants.Refused, match="breach or processor"):
        tenants.tell("rumour", "x", "x")
    (made,) = tenants.tell("processor", "Hébergeur", "x", on=date(2026, 12, 26), among=[workspace], today=TODAY)
    assert made.on == date(2026, 12, 26) and tenants.told(workspace) == [made]


def test_a_planned_change_is_told_by_itself_in_time_and_a_workspace_may_object(workspace: Workspace) -> None:
    owner = User.objects.create_user(f"o-{workspace.pk}@equipe.example", "x", language="en")
    member = add_member(workspace, owner, Role.OWNER)
    today = timezone.localdate()
    with pytest.raises(tenants.Refused, match="30 days before, and 3 more"):
        tenants.plan("Nouvel hébergeur", "x", today + timedelta(days=32), today=today)
    later = tenants.plan("Plus tard", "x", today + timedelta(days=200), today=today)
    made = tenants.plan("Nouvel hébergeur", "Beta remplace Alpha.", today + timedelta(days=60), today=today)
    assert [one.no for one in tenants.planned(today) if one.no in (made.no, later.no)] == [made.no, later.no]
    assert tenants.cancel(later.no) == later and later.no not in {one.no for one in tenants.planned(today)}
    with pytest.raises(tenants.Refused, match="waits to be told"):
        tenants.cancel(later.no)
    due = made.tell_on
    assert due == today + timedelta(days=27)
    tenants.tell_due(due - timedelta(days=1))
    assert tenants.told(workspace) == []
    assert tenants.tell_due(due + timedelta(days=2)) >= 1, "two nights on which nothing ran cost nobody her delay"
    (told,) = tenants.told(workspace)
    assert (told.subject, told.on, told.people) == ("Nouvel hébergeur", made.on, 1)
    tenants.tell_due(due + timedelta(days=3))
    assert len(tenants.told(workspace)) == 1, "told once"
    mail = MailRequest.objects.get(workspace_id=workspace.pk, kind="notice")
    assert mail.recipient == owner.email and made.on.isoformat() in mail.facts["text"]

    client = Client(HTTP_HOST="localhost")
    client.force_login(owner, "allauth.account.auth_backends.AuthenticationBackend")
    where = f"/consent/processors/object/{told.no}"
    assert where in client.get("/consent/processors").content.decode()
    client.post(where, {"said": " "})
    assert tenants.told(workspace)[0].objected == ""
    client.post(where, {"said": "Beta keeps data outside the Union."})
    client.post(where, {"said": "Again"})
    assert tenants.told(workspace)[0].objected == "Beta keeps data outside the Union."
    page = client.get("/consent/processors").content.decode()
    assert "you objected" in page and where not in page
    other = create_workspace(f"{workspace.name}-2")
    with pytest.raises(tenants.Refused):
        tenants.object_to(other, told.no, "not ours", member.pk)


def test_a_change_that_was_missed_is_not_told_late(workspace: Workspace) -> None:
    today = timezone.localdate()
    made = tenants.plan("Manqué", "x", today + timedelta(days=40), today=today)
    tenants.tell_due(made.on - timedelta(days=29))
    assert tenants.told(workspace) == []
    assert next(one for one in tenants.planned(made.on - timedelta(days=29)) if one.no == made.no).missed
    tenants.cancel(made.no)


def test_whoever_set_the_installation_up_plans_changes_on_a_page(workspace: Workspace) -> None:
    first = Workspace.objects.earliest("pk")
    host = User.objects.create_user(f"{workspace.name}-host@boutique.example", "correct horse battery staple 3")
    member = add_member(first, host, Role.OWNER)
    other = User.objects.create_user(f"{workspace.name}@boutique.example", "correct horse battery staple 3")
    add_member(create_workspace(f"{workspace.name}-guest"), other, Role.OWNER)  # never the first
    where = "/consent/processors/planned"
    day = tenants.earliest(tenants.DAYS)
    given = {"subject": "Nouvel hébergeur", "text": "Beta remplace Alpha.", "on": day.isoformat()}
    try:
        client = Client(HTTP_HOST="localhost")
        client.force_login(other, "allauth.account.auth_backends.AuthenticationBackend")
        assert where not in client.get("/consent/processors").content.decode()
        assert client.get(where)["Location"] == client.post(where, given)["Location"] == "/consent/processors"
        assert not [one for one in tenants.planned() if one.subject == given["subject"] and one.on == day]
        client.force_login(host, "allauth.account.auth_backends.AuthenticationBackend")
        assert where in client.get("/consent/processors").content.decode()
        early = client.post(where, given | {"on": (day - timedelta(days=1)).isoformat()})
        assert early.status_code == 422 and "Beta remplace Alpha." in early.content.decode(), "nothing typed is lost"
        assert client.post(where, given | {"on": "soon"}).status_code == 422
        assert client.post(where, given).status_code == 303
        planned = next(one for one in tenants.planned() if one.subject == given["subject"] and one.on == day)
        noted = JournalEntry.objects.get(pk=planned.no)
        assert (noted.actor_kind, noted.actor_id, noted.workspace_id) == ("member", member.pk, None)
        page = client.get(where).content.decode()
        cancel = f"{where}/{planned.no}/cancel"
        assert "Nouvel hébergeur" in page and cancel in page
        client.force_login(other, "allauth.account.auth_backends.AuthenticationBackend")
        assert client.post(cancel).status_code == 404
        assert planned.no in {one.no for one in tenants.planned()}
        client.force_login(host, "allauth.account.auth_backends.AuthenticationBackend")
        assert client.post(cancel).status_code == 303
        assert planned.no not in {one.no for one in tenants.planned()}
        assert client.post(cancel).status_code == 404, "it does not wait any more"
    finally:
        member.delete()
