"""Whoever answers for the data hears of a term before it ends, once, in her language; the home page says it too."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from django.test import Client

from envol.accounts.models import Role, Workspace
from envol.consent import informing, lapse, purposes, reminders
from envol.events.models import MailRequest
from tests.consent.test_lapse import reader
from tests.web.shop import member


def mails(workspace: Workspace) -> list[MailRequest]:
    return list(MailRequest.objects.filter(workspace_id=workspace.pk, kind="notice").order_by("id"))


def test_owners_hear_of_permissions_that_end_and_the_home_page_says_it(workspace: Workspace) -> None:
    owner = member(workspace, Role.OWNER, "zoe")
    dpo = member(workspace, Role.VIEWER, "maud", language="fr", dpo=True)
    member(workspace, Role.EDITOR, "ahmed")
    newsletter = purposes.get(workspace, "newsletter")
    reader(newsletter, "old", 720)
    reader(newsletter, "new", 10)
    now = datetime.now(UTC)
    assert reminders.permissions(workspace, now) == 0 and reminders.ending(workspace.pk, 5) == [], "there is no term"
    lapse.change(newsletter, 24)
    assert reminders.permissions(workspace, now) == 2
    english, french = mails(workspace)
    assert english.recipient == owner.user.email and "permission of 1 people" in english.facts["text"]
    assert french.recipient == dpo.user.email and "soixante jours" in french.facts["text"]
    assert f"/consent/purposes/{newsletter.pk}#term" in english.facts["text"]
    assert reminders.permissions(workspace, now + timedelta(days=29)) == 0, "once a month"
    assert [one.people for one in reminders.ending(workspace.pk, 5)] == [1]
    client = Client(HTTP_HOST="localhost")
    client.force_login(owner.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = client.get("/").content.decode()
    assert "end by their term" in page or "ends by its term" in page
    assert f"/consent/purposes/{newsletter.pk}" in page


def test_owners_hear_of_the_month_of_art_14_a_week_before_and_when_it_is_over(workspace: Workspace) -> None:
    member(workspace, Role.OWNER, "zoe")
    person = reader(purposes.get(workspace, "newsletter"), "one", 3)
    made = informing.begin(workspace, "Salon", date(2026, 1, 31), ("SELECT %(i)s::bigint", {"i": person.pk}))
    assert made is not None
    week = made.due_at - timedelta(days=7)
    instant = timedelta(microseconds=1)
    sent = [
        reminders.origins(workspace, at)
        for at in (week, week + instant, made.due_at, made.due_at + instant, made.due_at + instant)
    ]
    assert sent == [0, 1, 0, 1, 0]
    assert "Salon" in mails(workspace)[0].facts["text"] and "2026-02-28" in mails(workspace)[1].facts["text"]
