"""Mailing lists, locked: who may post, what is held, what the list sends, and that nothing goes round in circles."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from envol import db
from envol.consent import acts, purposes, registry
from envol.contacts import people
from envol.contacts.models import Contact, List
from envol.content import links
from envol.events.models import MailRequest
from envol.outbound import domains, lease, mailing
from envol.outbound.making import Makers
from envol.outbound.models import MailingList, Post
from envol.wire import dkim
from envol.wire.message.read import read
from tests.edge.test_inbound import Running
from tests.outbound.test_domains import Zone, name_server, txt

pytestmark = pytest.mark.usefixtures("empty_database")

ZOE, LUC, ROSE = "zoe@equipe.example", "luc@poste.example", "rose@poste.example"
CLUB = "club@bounces.boutique.example"


@pytest.fixture
def inbound() -> Iterator[Running]:
    running = Running()
    yield running
    running.stop()


@pytest.fixture
def club(workspace: Any) -> MailingList:
    """A discussion list that Zoé moderates; Luc and Rose are on it and allow it."""
    domain = domains.add(workspace, "boutique.example", trusted=True)
    on_it = List.objects.create(workspace=workspace, name="Club")
    newsletter = purposes.get(workspace, "newsletter")
    source = people.source(workspace, "member", "carnet")
    proof = acts.evidence(workspace, "document", "carnet", document=b"signed")
    for address in (LUC, ROSE):
        one = people.upsert(workspace, address, {}, source=source, lists=[on_it])
        acts.grant(workspace.pk, one.pk, address, newsletter, proof_of=proof)
    made = mailing.create(workspace, domain, "Club", on_it, newsletter, title="Club lecture", discussion=True)
    mailing.moderate(made, [ZOE])
    return made


def written(author: str, **more: str) -> str:
    lines = {
        "From": f"Quelqu'un <{author}>",
        "To": CLUB,
        "Subject": "Samedi",
        "Message-ID": f"<{author.partition('@')[0]}.{len(more)}@poste.example>",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=utf-8",
        **more,
    }
    return "".join(f"{name}: {value}\n" for name, value in lines.items()) + "\nÀ samedi.\n"


def states() -> list[str]:
    return list(Post.objects.order_by("id").values_list("state", flat=True))


def leaving() -> list[tuple[str, bytes]]:
    """(recipient, message as it leaves) of everything that is due."""
    leases = lease.lease("test", 100, seconds=900)
    makers, problems = Makers("https://envol.example").prepare(leases)
    assert problems == {}
    return [(row.address, makers[row.key](row).data) for one in leases for row in one.rows]


def test_a_moderators_word_is_believed_by_her_link_alone(inbound: Running, club: MailingList) -> None:
    assert inbound.send(CLUB, written(ZOE), ZOE)[0] == 250, "From says Zoé, which anybody can write"
    assert states() == ["held"] and leaving() == []
    asked = MailRequest.objects.get()
    assert asked.recipient == ZOE and "/d/" in asked.facts["text"] and "À samedi" in asked.facts["text"]
    token = asked.facts["text"].rpartition("/d/")[2].strip()
    post, moderator = mailing.moderation(token) or (None, None)
    assert post is not None and moderator is not None and moderator.address == ZOE
    assert mailing.decide(post.pk, True, moderator.address)
    assert not mailing.decide(post.pk, False, moderator.address), "decided once"
    assert mailing.distribute(post.pk) == 2
    assert mailing.distribute(post.pk) is None, "a job that runs twice sends once"
    sent = dict(leaving())
    assert set(sent) == {LUC, ROSE}
    message = read(sent[LUC])
    assert message.get("From") == "Quelqu'un – Club lecture <club@boutique.example>"
    assert (
        message.get("Reply-To") == "Club lecture <club@boutique.example>" and message.subject == "[Club lecture] Samedi"
    )
    assert message.get("List-Id") == "Club lecture <club.boutique.example>"
    assert message.get("Precedence") == "list" and message.get("List-Unsubscribe-Post")
    assert b"d=boutique.example" in sent[LUC], "signed as the domain in From: DMARC passes"
    assert message.get("List-Unsubscribe") != read(sent[ROSE]).get("List-Unsubscribe")


def test_lists_leave_behind_everything_else(workspace: Any, club: MailingList) -> None:
    from envol.outbound import egress

    assert egress.stream_of(club.sending.priority) == "lists"


@pytest.mark.parametrize("author", ["x@ailleurs.example", "Luc <luc@poste.example>, zoe@equipe.example"])
def test_strangers_are_refused_in_the_session(inbound: Running, club: MailingList, author: str) -> None:
    with pytest.raises(Exception, match="5.7.1"):
        inbound.send(CLUB, written("a@b.example", From=author), "x@ailleurs.example")
    assert states() == [] and not MailRequest.objects.exists(), "and nobody is written to"


def test_a_members_post_waits_for_a_moderator(inbound: Running, club: MailingList) -> None:
    assert inbound.send(CLUB.upper(), written(LUC), LUC)[0] == 250
    assert states() == ["held"]
    assert [m.recipient for m in MailRequest.objects.all()] == [ZOE]
    post = Post.objects.get()
    assert mailing.decide(post.pk, False, ZOE)
    assert states() == ["refused"] and mailing.distribute(post.pk) is None and leaving() == []


def told() -> list[str]:
    return [f"{one.recipient}: {one.facts['text']}" for one in MailRequest.objects.filter(kind="list_told")]


def test_a_member_is_told_why_hers_was_refused(inbound: Running, club: MailingList) -> None:
    inbound.send(CLUB, written(LUC), LUC)
    assert told() == [], "that it waits is told to nobody who proved nothing"
    assert mailing.decide(Post.objects.get().pk, False, ZOE, said="Hors sujet :\0\n\n parlons   de livres.")
    (said,) = told()
    assert said.startswith(f"{LUC}: ") and "Samedi" in said
    assert "Hors sujet :\nparlons de livres." in said and "refusé" in said and "À samedi" not in said


def test_a_signed_post_that_waits_is_told_to_its_author(club: MailingList) -> None:
    from envol.wire.bounce import explain

    raw = written(LUC).replace("\n", "\r\n").encode()
    assert mailing.take(club, raw, explain(raw), proven=True) == "post held"
    (said,) = told()
    assert said.startswith(f"{LUC}: ") and "attend" in MailRequest.objects.get(kind="list_told").facts["subject"]
    post = Post.objects.get()
    assert post.proven and mailing.decide(post.pk, True, ZOE)
    assert len(told()) == 1, "that it left, the list tells her"


def test_nobody_is_told_of_a_message_that_may_not_be_hers(inbound: Running, club: MailingList) -> None:
    inbound.send(CLUB, written(LUC), LUC)
    inbound.send(CLUB, written(ZOE), ZOE)
    contact = Contact.objects.get(email_key=LUC)
    acts.withdraw(club.workspace_id, contact.pk)
    hers, mine = Post.objects.order_by("id")
    assert mailing.decide(hers.pk, False, ZOE, said="Non.") and told() == [], "she allows no mail, and signed nothing"
    assert mailing.decide(mine.pk, False, ZOE, said="Pas de moi.") and told() == [], "she refused it herself"


def test_members_of_an_announcement_list_cannot_post(inbound: Running, club: MailingList) -> None:
    MailingList.objects.update(discussion=False)
    with pytest.raises(Exception, match="(?i)only its moderators"):
        inbound.send(CLUB, written(LUC), LUC)


@pytest.mark.parametrize(
    "more",
    [
        {"Auto-Submitted": "auto-replied"},
        {"Auto-Submitted": "auto-generated"},
        {"Precedence": "bulk"},
        {"List-Id": "<autre.liste.example>"},
        {"X-Loop": CLUB},
        {"Subject": "Réponse automatique : Samedi"},
    ],
)
def test_machines_and_lists_are_taken_and_dropped(inbound: Running, club: MailingList, more: dict[str, str]) -> None:
    assert inbound.send(CLUB, written(ZOE, **more), ZOE)[0] == 250
    assert states() == [] and not MailRequest.objects.exists()


def test_what_the_list_sent_does_not_come_back(inbound: Running, club: MailingList) -> None:
    inbound.send(CLUB, written(LUC), LUC)
    inbound.send(CLUB, written(LUC), LUC)
    assert states() == ["held"], "the same message twice"
    mailing.decide(Post.objects.get().pk, True, ZOE)
    mailing.distribute(Post.objects.get().pk)
    _, raw = leaving()[0]
    inbound.send(CLUB, raw.removesuffix(b".\r\n").decode().replace("\r\n", "\n"), LUC)
    assert len(states()) == 1


ATTACHED = (
    "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nx\n--b\n"
    'Content-Type: application/pdf; name="{0}"\nContent-Disposition: attachment; filename="{0}"\n\nx\n--b--\n'
)


def test_size_and_attachments_are_limited(inbound: Running, club: MailingList) -> None:
    head = f"From: <{LUC}>\nSubject: x\n"
    with pytest.raises(Exception, match="(?i)attachments"):
        inbound.send(CLUB, head + ATTACHED.format("a.pdf"), LUC)
    MailingList.objects.update(attachments=True)
    assert inbound.send(CLUB, head + ATTACHED.format("a.pdf"), LUC)[0] == 250
    with pytest.raises(Exception, match="(?i)programs"):
        inbound.send(CLUB, head + ATTACHED.format("facture.pdf.exe"), LUC)
    with pytest.raises(Exception, match="KiB"):
        inbound.send(CLUB, head + "\n" + "x" * 70 + "\n" * 300_000, LUC)


def signed(raw: str, domain: str, key: Any) -> bytes:
    data = raw.replace("\n", "\r\n").encode()
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line + b"\r\n" for line in head.split(b"\r\n")]
    return dkim.sign(lines, body, [dkim.Signer(domain, "s1", key)], int(time.time())) + data


def test_a_signature_of_her_domain_is_her_word(club: MailingList, monkeypatch: pytest.MonkeyPatch) -> None:
    key = dkim.generate_ed25519()
    record = txt(dkim.record_text(key))
    zone: Zone = {(f"s1._domainkey.{d}", "TXT"): [record] for d in ("equipe.example", "ailleurs.example")}
    with name_server(zone) as resolver:
        assert mailing.judge_author(signed(written(ZOE), "equipe.example", key), resolver)
        assert not mailing.judge_author(signed(written(ZOE), "ailleurs.example", key), resolver), "not aligned"
        forged = signed(written(ZOE), "equipe.example", key).replace(b"Samedi", b"Lundi!")
        assert not mailing.judge_author(forged, resolver)
    with name_server({key_: ["SERVFAIL"] for key_ in zone}) as resolver:
        assert not mailing.judge_author(signed(written(ZOE), "equipe.example", key), resolver)
    from envol.wire.bounce import explain

    raw = written(ZOE).replace("\n", "\r\n").encode()
    assert mailing.take(club, raw, explain(raw), proven=True) == "post"
    assert states() == ["accepted"] and not MailRequest.objects.exists()


def test_an_open_list_stays_open_while_it_is_small(club: MailingList, monkeypatch: pytest.MonkeyPatch) -> None:
    from envol.wire.bounce import explain

    MailingList.objects.update(open=True)
    club.refresh_from_db()
    raw = [written(LUC, **{"Message-ID": f"<{n}@x.example>"}).replace("\n", "\r\n").encode() for n in range(3)]
    assert mailing.take(club, raw[0], explain(raw[0]), proven=True) == "post"
    assert mailing.take(club, raw[1], explain(raw[1]), proven=False) == "post held", "anybody can write From"
    monkeypatch.setattr(mailing, "OPEN_MOST", 1)
    assert mailing.take(club, raw[2], explain(raw[2]), proven=True) == "post held"


def test_leaving_takes_the_permission_back_and_the_next_post_does_not_go_there(
    inbound: Running, club: MailingList
) -> None:
    for n in range(2):
        inbound.send(CLUB, written(LUC, **{"Message-ID": f"<{n}@x.example>"}), LUC)
    first, second = Post.objects.order_by("id")
    mailing.decide(first.pk, True, ZOE)
    assert mailing.distribute(first.pk) == 2
    row = db.rows("SELECT sending_id, no FROM outbound_send WHERE address = %s", [ROSE])[0]
    leave = links.unsubscribe_address(links.unsubscribe_token(*row), "bounces.boutique.example")
    assert inbound.send(leave, "From: x@y.example\nSubject: unsubscribe\n\n", ROSE)[0] == 250
    assert [address for address, _ in leaving()] == [LUC], "what waits does not reach her either"
    mailing.decide(second.pk, True, ZOE)
    assert mailing.distribute(second.pk) == 1


def test_erasing_a_person_takes_her_posts(inbound: Running, workspace: Any, club: MailingList) -> None:
    from envol.outbound import privacy

    inbound.send(CLUB, written(LUC), LUC)
    assert privacy.erase(workspace.pk, Contact.objects.get(email_key=LUC).pk)["outbound_post"] == 1
    assert states() == []


def test_erasing_a_reader_takes_nothing_from_the_others(inbound: Running, workspace: Any, club: MailingList) -> None:
    inbound.send(CLUB, written(LUC), LUC)
    mailing.decide(Post.objects.get().pk, True, ZOE)
    assert mailing.distribute(Post.objects.get().pk) == 2
    registry.erase_person(workspace.pk, Contact.objects.get(email_key=ROSE).pk, ROSE, cause="request 1")
    ((address, raw),) = leaving()
    assert address == LUC and "À samedi." in (read(raw).text or "")


def test_nothing_waits_for_ever(inbound: Running, club: MailingList) -> None:
    inbound.send(CLUB, written(LUC), LUC)
    db.execute("UPDATE outbound_post SET received_at = now() - interval '15 days'")
    mailing.tidy()
    assert states() == ["expired"] and not mailing.decide(Post.objects.get().pk, True, ZOE)
    db.execute("UPDATE outbound_post SET received_at = now() - interval '91 days'")
    mailing.tidy()
    assert states() == []


@pytest.mark.parametrize("name", ["postmaster", "a b", "", "-x", "fbl", "b+1"])
def test_names_that_are_taken_or_impossible_are_refused(club: MailingList, name: str) -> None:
    on_it, purpose = List.objects.get(), purposes.get(club.workspace, "newsletter")
    with pytest.raises(mailing.Invalid, match=r"\."):
        mailing.create(club.workspace, club.domain, name, on_it, purpose, title="x")
