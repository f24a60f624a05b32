"""Who opened whose page, and where a member is signed in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.test import Client

from envol.accounts import looks
from envol.accounts.models import JournalEntry, Look
from envol.consent import registry
from envol.db import execute
from tests.web.shop import PASSWORD, Shop

Sign = Callable[..., Client]


def test_who_opens_a_persons_page_is_written_down_and_shown_to_who_answers_for_it(
    other_shop: Shop, as_member: Sign
) -> None:
    shop, person = other_shop, other_shop.people[3]
    mine = Look.objects.filter(workspace=shop.workspace)
    mine.delete()
    viewer, dpo = as_member("viewer", shop), as_member("dpo", shop)
    for _ in range(2):
        assert viewer.get(f"/contacts/{person.pk}").status_code == 200
    one = mine.get()
    assert (one.contact_id, one.member_id, one.times) == (person.pk, shop.members["viewer"].pk, 1), "a page turned once"
    mine.update(last_at=datetime.now(UTC) - timedelta(minutes=2))
    viewer.get(f"/contacts/{person.pk}")
    assert mine.get().times == 2
    assert viewer.get(f"/contacts/{10**9}").status_code == 404 and mine.count() == 1
    page = dpo.get("/settings/looks").content.decode()
    assert person.email in page and str(shop.members["viewer"].user) in page
    assert f"/settings/looks?person={person.pk}" in dpo.get(f"/contacts/{person.pk}").content.decode()
    assert f"/settings/looks?person={person.pk}" not in viewer.get(f"/contacts/{person.pk}").content.decode()
    only = f"/settings/looks?member={shop.members['dpo'].pk}&person={shop.people[4].pk}"
    assert "Nothing was written down of that." in dpo.get(only).content.decode()
    # Files count as looks at many; they are in the journal already.
    as_member("editor", shop).get(f"/contacts/export.csv?id={person.pk}&purpose=newsletter")
    assert "People taken along as a file" in dpo.get("/settings/looks").content.decode()
    # Part of what is kept of her: she gets the days, and it goes with her and by itself.
    days = registry.export_person(shop.workspace.pk, person.pk)["rooms"]["accounts"]["looked_at"]
    assert [one["times"] for one in days] == [3]
    execute("UPDATE accounts_look SET day = day - %s WHERE workspace_id = %s AND member_id = %s",
            [looks.DAYS + 1, shop.workspace.pk, shop.members["dpo"].pk])  # fmt: skip
    assert looks.sweep() == 1 and looks.forget(shop.workspace.pk, person.pk) == 1 and not mine.exists()


def test_a_member_sees_her_sessions_and_ends_the_others(shop: Shop) -> None:
    def sign_in(agent: str) -> Client:
        client = Client(HTTP_HOST="localhost", headers={"User-Agent": agent})
        client.post("/login/", {"login": shop.members["dpo"].user.email, "password": PASSWORD})
        return client

    here = sign_in("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
    other = sign_in("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Safari/604")
    page = here.get("/settings/account").content.decode()
    assert "Firefox, Linux" in page and "Safari, iPhone" in page and page.count("this one") == 1
    assert other.get("/settings/account").status_code == 200
    said = here.post("/settings/account/sessions", follow=True).content.decode()
    assert "session is ended" in said or "sessions are ended" in said
    assert other.get("/settings/account").status_code == 302 and here.get("/settings/account").status_code == 200
    assert "Safari, iPhone" not in here.get("/settings/account").content.decode()
    assert JournalEntry.objects.filter(workspace=shop.workspace, action="sessions.ended").exists()
