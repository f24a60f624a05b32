"""The captured mail: found, read in all its parts, judged as a receiver would, thrown away on purpose only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.utils import timezone

from envol.accounts.models import Workspace
from envol.outbound import domains
from envol.outbound.models import Captured
from envol.wire import dkim
from envol.wire.message import Attachment, Mailbox, compose
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]
GIF = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")


def letter(shop: Shop, subject: str = "Les livres", **changed: bytes) -> Captured:
    """A signed message with everything, as the courier would hand it over."""
    signers = domains.signers_for(shop.workspace.pk, "zoe@boutique.example")
    made = compose(
        sender=Mailbox("Zoé", "zoe@boutique.example"),
        to=[Mailbox("", "anna@lecteurs.example")],
        subject=subject,
        text="Bonjour Anna",
        html='<p>Bonjour Anna <img src="cid:logo" alt=""><script>alert(1)</script></p>',
        message_id="1@boutique.example",
        date=datetime.now(UTC),
        list_unsubscribe_url="https://envol.example/u/abc",
        attachments=[Attachment("logo.gif", GIF, "image/gif", content_id="logo"), Attachment("été.html", b"<b>x</b>")],
    )
    raw = made.to_bytes(dkim.sign(made.headers, made.body, signers, int(timezone.now().timestamp()), composed=True))
    for old, new in changed.items():
        raw = raw.replace(old.encode(), new)
    return Captured.objects.create(
        workspace_id=shop.workspace.pk,
        envelope_from="b+1@boutique.example",
        envelope_to=["anna@lecteurs.example"],
        subject=subject,
        raw=raw,
    )


@pytest.fixture(scope="module")
def shop() -> Shop:
    """A shop of its own: what is captured here is counted elsewhere."""
    return open_shop("Librairie du courrier", readers=28)


@pytest.fixture
def owner(shop: Shop, as_member: Sign) -> Client:
    return as_member("owner")


def test_each_part_can_be_read(shop: Shop, owner: Client) -> None:
    row = letter(shop)
    where = f"/inbox/{row.pk}"
    page = owner.get(where).content.decode()
    assert f'src="{where}/html"' in page and "Zoé &lt;zoe@boutique.example&gt;" in page
    assert 'href="https://envol.example/u/abc"' in page
    assert "phone" not in page.split("<iframe")[1].split(">")[0]
    assert "preview phone" in owner.get(f"{where}?width=phone").content.decode()
    assert "Bonjour Anna</pre>" in owner.get(f"{where}?view=text").content.decode()
    assert "List-Unsubscribe-Post" in owner.get(f"{where}?view=headers").content.decode()
    assert "DKIM-Signature: v=1; a=rsa-sha256" in owner.get(f"{where}?view=source").content.decode()
    assert "été.html" in owner.get(f"{where}?view=files").content.decode()
    shown = owner.get(f"{where}/html")
    assert "data:image/gif;base64,R0lGOD" in shown.content.decode() and "sandbox" in shown["Content-Security-Policy"]


def test_a_file_is_saved_and_never_shown(shop: Shop, owner: Client) -> None:
    row = letter(shop)
    answer = owner.get(f"/inbox/{row.pk}/files/2")
    assert answer.content == b"<b>x</b>" and answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"] == "attachment; filename*=utf-8''%C3%A9t%C3%A9.html"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert owner.get(f"/inbox/{row.pk}/files/3").status_code == 404


def test_each_signature_has_its_verdict(shop: Shop, owner: Client) -> None:
    good = owner.get(f"/inbox/{letter(shop).pk}").content.decode()
    assert good.count("signature good") == 2 and "envol1r · rsa-sha256" in good and "ed25519-sha256" in good
    changed = owner.get(f"/inbox/{letter(shop, **{'Subject: Les livres': b'Subject: Les lampes'}).pk}").content.decode()
    assert changed.count("a header was changed") == 2 and "signature good" not in changed
    assert "not signed" in owner.get(f"/inbox/{shop.captured.pk}").content.decode()


def test_the_list_is_searched_paged_and_walked(shop: Shop, owner: Client) -> None:
    rows = [letter(shop, f"Numéro {n}") for n in range(52)]
    first = owner.get("/inbox?q=Numéro").content.decode()
    assert "52 messages" in first and "Numéro 51" in first and "Numéro 1<" not in first
    assert "Numéro 1<" in owner.get(f"/inbox?q=Numéro&before={rows[2].pk}").content.decode()
    assert "Zoé &lt;zoe@" in first
    middle = owner.get(f"/inbox/{rows[5].pk}?view=text").content.decode()
    assert f'data-step="-1" href="/inbox/{rows[6].pk}?view=text' in middle
    assert f'data-step="1" href="/inbox/{rows[4].pk}?view=text' in middle


def test_emptying_deletes_what_was_seen_and_nothing_of_others(
    shop: Shop, workspace: Workspace, owner: Client, as_member: Sign
) -> None:
    seen = letter(shop)
    foreign = Captured.objects.create(workspace_id=workspace.pk, envelope_to=[], raw=b"")
    later = letter(shop, "Arrivé depuis")
    assert as_member("editor").post("/inbox/empty", {"up_to": later.pk}).status_code == 403
    assert "Delete all messages" in owner.get("/inbox?ask").content.decode()
    assert Captured.objects.filter(pk=seen.pk).exists(), "a link deletes nothing"
    assert owner.post("/inbox/empty", {"up_to": max(seen.pk, foreign.pk)}).status_code == 303
    assert not Captured.objects.filter(pk=seen.pk).exists()
    assert Captured.objects.filter(pk__in=[later.pk, foreign.pk]).count() == 2


def test_many_messages_ask_for_their_number(shop: Shop, owner: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from envol.web import inbox

    row = letter(shop)
    there = Captured.objects.filter(workspace_id=shop.workspace.pk, id__lte=row.pk).count()
    monkeypatch.setattr(inbox, "MANY", there - 1)
    assert f"type the number of messages, {there}" in owner.get("/inbox").content.decode()
    said = owner.post("/inbox/empty", {"up_to": row.pk, "typed": str(there + 1)}, follow=True).content.decode()
    assert "Nothing was deleted" in said and Captured.objects.filter(pk=row.pk).exists()
