"""Mail that waits for a domain's own server: listed, started and given up by page, each in the journal."""

from __future__ import annotations

from collections.abc import Callable

from django.test import Client

from envol import db
from envol.accounts.models import JournalEntry
from envol.outbound import domains, stored
from envol.outbound.models import StoredDomain
from tests.web.shop import Shop

Sign = Callable[..., Client]
PAGE = "/settings/domains/waiting"
LETTER = b"From: ami@ailleurs.example\r\nSubject: Bonjour\r\n\r\nA demain.\r\n"


def journal(shop: Shop, name: str) -> list[tuple[str, int | None]]:
    found = JournalEntry.objects.filter(workspace=shop.workspace, action__startswith="stored.", facts__domain=name)
    return list(found.order_by("id").values_list("action", "actor_id"))


def test_a_domain_is_listed_started_and_given_up(shop: Shop, as_member: Sign) -> None:
    name = f"annexe{shop.workspace.pk}.example"
    declared = domains.add(shop.workspace, name, trusted=True)
    owner, editor = as_member("owner"), as_member("editor")
    me, her = shop.members["owner"].pk, shop.members["editor"].pk
    given = {"domain": name, "host": f"mail.{name}", "recipients": "Zoe\nluc, zoe"}
    for wrong in ({"recipients": "a@b"}, {"host": name}, {"host": "not a host"}, {"domain": "gmail.com"}):
        said = owner.post(PAGE, {**given, **wrong})
        assert said.status_code == 422 and 'value="mail.' in said.content.decode() or "host" in wrong
    assert journal(shop, name) == []
    assert editor.post(PAGE, given).status_code == 403 and "Keep its mail here" not in editor.get(PAGE).content.decode()
    assert owner.post(PAGE, given).status_code == 303
    made = StoredDomain.objects.get(name=name)
    assert (made.recipients, made.scheduled) == (["luc", "zoe"], False)
    assert owner.post(PAGE, given).status_code == 422, "it is listed already"

    assert "Nothing waits" in editor.post(f"{PAGE}/{made.pk}/start", follow=True).content.decode()
    stored.keep([stored.Incoming("ami@ailleurs.example", {f"zoe@{name}": made.pk}, LETTER)])
    page = editor.post(f"{PAGE}/{made.pk}/start", follow=True).content.decode()
    assert "on its way" in page and "luc, zoe" in page
    assert db.value("SELECT state FROM outbound_sending WHERE id = %s", [made.sending_id]) == "sending"
    assert "five minutes ago" in editor.post(f"{PAGE}/{made.pk}/start", follow=True).content.decode()

    kept = owner.post(f"{PAGE}/{made.pk}/remove", follow=True).content.decode()
    assert "start it first" in kept and StoredDomain.objects.filter(pk=made.pk).exists()
    gone = owner.post(f"{PAGE}/{made.pk}/remove", {"lose": "yes"}, follow=True).content.decode()
    assert "1 message that waited was cancelled" in gone
    assert journal(shop, name) == [("stored.added", me), ("stored.started", her), ("stored.removed", me)]
    declared.delete()


def test_a_domain_of_another_workspace_cannot_be_listed_twice(shop: Shop, other_shop: Shop, as_member: Sign) -> None:
    name = other_shop.workspace.stored_domains.get().name
    declared = domains.add(shop.workspace, name, trusted=True)
    said = as_member("owner").post(PAGE, {"domain": name, "host": "mail.ailleurs.example"})
    assert said.status_code == 422 and "is kept already" in said.content.decode()
    assert stored.waiting(StoredDomain.objects.get(name=name)) == 1
    declared.delete()
