"""The list of who gets nothing more: read, searched, added to and lifted, with reasons and ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from envol.accounts.models import JournalEntry
from envol.consent import suppression
from envol.contacts.models import Contact
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]


@pytest.fixture(scope="module")
def shop() -> Shop:
    shop = open_shop("Librairie des refus", readers=28)
    workspace, people = shop.workspace.pk, shop.people
    no = people[5].pk  # refused for good, in the shop's sending
    suppression.add(workspace, people[5].email_key, "all", "unknown_user", f"outcome {shop.sending.pk}/{no}")
    suppression.add(workspace, people[1].email_key, "marketing", "objection", "preference page")
    suppression.add(workspace, "gone@nowhere.example", "all", "erased", "request 3")
    return shop


def test_a_line_says_whom_it_means_where_that_is_known(shop: Shop, as_member: Sign) -> None:
    page = as_member("owner", shop).get("/consent/list").content.decode()
    assert shop.people[5].email in page and shop.people[1].email in page
    assert f"/mail/{shop.sending.pk}/{shop.people[5].pk}" in page
    assert "not known here any more" in page and "gone@nowhere" not in page
    one = as_member("owner", shop).get("/consent/list", {"scope": "marketing", "reason": "objection"})
    assert shop.people[1].email in one.content.decode() and shop.people[5].email not in one.content.decode()
    viewer = as_member("viewer", shop).get("/consent/list").content.decode()
    assert shop.people[5].email not in viewer and "the message that led to it" in viewer


def test_added_by_hand_for_a_time_and_lifted_with_a_reason(shop: Shop, as_member: Sign) -> None:
    owner, person = as_member("owner", shop), shop.people[9]
    typed = {"address": person.email, "what": "all", "why": "demandé par téléphone", "days": "30"}
    for spoilt in ({"address": "x"}, {"why": ""}, {"why": "a@b.example"}, {"what": ""}, {"days": "7"}):
        answer = owner.post("/consent/list/add", typed | spoilt)
        assert answer.status_code == 422 and 'value="' in answer.content.decode()
    assert owner.post("/consent/list/add", typed).status_code == 303
    (entry,) = suppression.entries(shop.workspace.pk, person.email_key)
    assert (entry.scope, entry.reason, entry.cause) == ("all", "by_hand", "demandé par téléphone")
    assert entry.until is not None and abs(entry.until - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)
    assert Contact.objects.get(pk=person.pk).suppressed
    noted = JournalEntry.objects.filter(workspace=shop.workspace, action="suppression.added").latest("pk")
    assert person.email not in str(noted.facts)
    assert "on the list already" in owner.post("/consent/list/add", typed, follow=True).content.decode()
    found = owner.post("/consent/list", {"address": person.email}).content.decode()
    assert "demandé par téléphone" in found and "Lift this suppression" in found
    assert owner.post("/consent/list", {"address": person.email, "act": "lift", "why": ""}).status_code == 422
    done = owner.post("/consent/list", {"address": person.email, "act": "lift", "why": "elle le veut"}, follow=True)
    assert "Lifted" in done.content.decode()
    assert not Contact.objects.get(pk=person.pk).suppressed


def test_what_the_person_decided_is_lifted_by_nobody_else(shop: Shop, as_member: Sign) -> None:
    owner, person = as_member("owner", shop), shop.people[10]
    typed = {"address": person.email, "what": "objection", "why": "au comptoir", "days": "30"}
    assert owner.post("/consent/list/add", typed).status_code == 303
    (entry,) = suppression.entries(shop.workspace.pk, person.email_key)
    assert entry.hers and entry.until is None  # her word has no end
    found = owner.post("/consent/list", {"address": person.email}).content.decode()
    assert "Lift this suppression" not in found
    owner.post("/consent/list", {"address": person.email, "act": "lift", "why": "quand même"})
    assert suppression.entries(shop.workspace.pk, person.email_key)


def test_only_owners_search_add_lift_and_take_the_file(shop: Shop, as_member: Sign) -> None:
    for role in ("viewer", "editor"):
        client = as_member(role, shop)
        assert client.get("/consent/list").status_code == 200
        assert client.post("/consent/list", {"address": "a@b.example"}).status_code == 403
        assert client.post("/consent/list/add", {}).status_code == 403
        assert client.get("/consent/list.csv").status_code == 403
    file = as_member("owner", shop).get("/consent/list.csv").content.decode("utf-8-sig").splitlines()
    assert file[0] == "address,scope,reason,cause,since,until"
    assert any(row.startswith(f"{shop.people[5].email},all,unknown_user,outcome ") for row in file)
    assert any(row.startswith(",all,erased,request 3,") for row in file)
