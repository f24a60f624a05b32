"""Whoever runs Envol for others tells all of them, beforehand where the law says so; who was told when is kept."""

from __future__ import annotations

from datetime import date

import pytest
from django.test import Client

from envol.accounts.models import Role, User, Workspace
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
