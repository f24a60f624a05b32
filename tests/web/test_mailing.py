"""Mailing lists on pages: made, moderated by a member or by the link of a mail, closed."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from envol.audience import segments
from envol.audience.models import Segment
from envol.collect.models import SignupForm
from envol.content import links
from envol.outbound import mailing
from envol.outbound.models import MailingList, Post
from tests.web.shop import open_shop


@pytest.fixture
def club() -> Any:
    """A shop of its own, since posts are decided upon once."""
    return open_shop("Club")


def client_of(shop: Any, role: str = "editor") -> Client:
    client = Client(HTTP_HOST="localhost")
    client.force_login(shop.members[role].user, "allauth.account.auth_backends.AuthenticationBackend")
    return client


def post_of(shop: Any) -> Post:
    return Post.objects.get(mailing_list__workspace=shop.workspace)


def link_of(post: Post) -> str:
    return f"/d/{links.token(links.Kind.MODERATION, post.pk, post.mailing_list.moderators.get().pk)}"


def test_a_list_is_made_and_its_rules_changed(club: Any) -> None:
    client = client_of(club)
    typed = {
        "title": "Bureau", "name": "bureau", "domain": club.domain.pk, "people": club.list.pk,
        "purpose": club.workspace.purposes.get(key="newsletter").pk, "kind": "announcement", "max_kib": "64",
        "archive": "members",
        "moderators": "a@equipe.example\nb@equipe.example",
    }  # fmt: skip
    bad = client.post("/lists/mail/new", {**typed, "moderators": "pas une adresse"})
    assert bad.status_code == 422 and "Bureau" in bad.content.decode(), "what was typed stays"
    assert not MailingList.objects.filter(name="bureau").exists(), "nothing is half made"
    taken = client.post("/lists/mail/new", {**typed, "name": "postmaster"})
    assert taken.status_code == 422
    answer = client.post("/lists/mail/new", typed)
    made = MailingList.objects.get(name="bureau", workspace=club.workspace)
    assert answer.status_code == 303 and answer["Location"] == f"/lists/mail/{made.pk}"
    assert made.moderators.count() == 2 and not made.discussion and made.archive == "members"
    client.post(f"/lists/mail/{made.pk}/change", {**typed, "kind": "open", "moderators": "a@equipe.example"})
    made.refresh_from_db()
    assert made.open and made.moderators.get().address == "a@equipe.example"
    change = f"/lists/mail/{made.pk}/change"
    SignupForm.objects.filter(list=club.list).update(active=False)
    shut = client.post(change, {**typed, "joins": "on"})
    made.refresh_from_db()
    assert shut.status_code == 422 and not made.joins, "nothing could ask them yet"
    SignupForm.objects.filter(list=club.list).update(active=True)
    assert client.post(change, {**typed, "joins": "on"}).status_code == 303
    assert "bureau-join@" in client.get(f"/lists/mail/{made.pk}").content.decode()
    client.post(change, {"act": "close"})
    assert mailing.found_by("bureau@boutique.example") is None


def test_a_list_for_the_people_of_a_segment(club: Any) -> None:
    client = client_of(club)
    segment = Segment.objects.filter(workspace=club.workspace).order_by("pk")[0]
    typed = {
        "title": "Annonces", "name": "annonces", "domain": club.domain.pk, "segment": segment.pk,
        "purpose": club.workspace.purposes.get(key="newsletter").pk, "kind": "announcement", "max_kib": "64",
        "archive": "none", "moderators": "a@equipe.example",
    }  # fmt: skip
    for wrong in ({"people": club.list.pk}, {"segment": ""}, {"kind": "open"}, {"joins": "on"}, {"archive": "members"}):
        assert client.post("/lists/mail/new", {**typed, **wrong}).status_code == 422, wrong
    assert client.post("/lists/mail/new", typed).status_code == 303
    made = MailingList.objects.get(name="annonces", workspace=club.workspace)
    assert (made.segment_id, made.list_id) == (segment.pk, None)
    shown = client.get(f"/lists/mail/{made.pk}").content.decode()
    assert segment.name in shown and f"/segments/{segment.pk}" in shown
    assert client.post(f"/lists/mail/{made.pk}/change", {**typed, "kind": "discussion"}).status_code == 422
    assert client.get("/lists/mail").status_code == 200 and made.title in segments.used_by(segment)


def test_a_member_takes_a_message_out_of_the_archive(club: Any) -> None:
    client, post = client_of(club), post_of(club)
    MailingList.objects.filter(pk=post.mailing_list_id).update(archive="public")
    where = f"/l/at/{mailing.address_of(MailingList.objects.get(pk=post.mailing_list_id))}"
    assert where in client.get(f"/lists/mail/{post.mailing_list_id}").content.decode()
    client.post(f"/lists/mail/posts/{post.pk}/decide", {"act": "accept"})
    mailing.distribute(post.pk)
    assert "salle 2" in Client(HTTP_HOST="localhost").get(f"{where}/{post.pk}").content.decode()
    assert "Take it out of the archive" in client.get(f"/lists/mail/posts/{post.pk}").content.decode()
    assert client_of(club, "viewer").post(f"/lists/mail/posts/{post.pk}/decide", {"act": "remove"}).status_code == 403
    assert client.post(f"/lists/mail/posts/{post.pk}/decide", {"act": "remove"}).status_code == 303
    assert Client(HTTP_HOST="localhost").get(f"{where}/{post.pk}").status_code == 404


def test_a_member_lets_a_message_through(club: Any) -> None:
    client, post = client_of(club), post_of(club)
    page = client.get(f"/lists/mail/posts/{post.pk}").content.decode()
    assert "À samedi, salle 2." in page and "Let it through" in page
    assert client.post(f"/lists/mail/posts/{post.pk}/decide", {"act": "accept"}).status_code == 303
    post.refresh_from_db()
    assert post.state == "accepted" and post.decided_by == club.members["editor"].user.email
    again = client.post(f"/lists/mail/posts/{post.pk}/decide", {"act": "refuse"}, follow=True)
    assert "decided on this message already" in again.content.decode()
    assert mailing.distribute(post.pk) == 48


def test_a_refusal_says_why(club: Any) -> None:
    client = client_of(club)
    post = post_of(club)
    assert 'name="said"' in client.get(f"/lists/mail/posts/{post.pk}").content.decode()
    client.post(f"/lists/mail/posts/{post.pk}/decide", {"act": "refuse", "said": "Trop long <b>"})
    shown = client.get(f"/lists/mail/posts/{post.pk}").content.decode()
    assert "Trop long &lt;b&gt;" in shown


def test_the_link_of_a_mail_decides_by_post_alone(club: Any) -> None:
    visitor, post = Client(HTTP_HOST="localhost"), post_of(club)
    link = link_of(post)
    assert "salle 2" in visitor.get(link).content.decode()
    assert visitor.head(link).status_code == 200
    post.refresh_from_db()
    assert post.state == "held", "a scanner that follows the link changes nothing"
    assert visitor.post(link, {"act": "nothing"}).status_code == 200
    done = visitor.post(link, {"act": "refuse"}).content.decode()
    post.refresh_from_db()
    assert post.state == "refused" and post.decided_by == "moderation@equipe.example"
    assert "personne ne le reçoit" in done
    assert "déjà été traité" in visitor.post(link, {"act": "accept"}).content.decode()


def test_who_moderates_no_more_decides_nothing(club: Any) -> None:
    visitor, post = Client(HTTP_HOST="localhost"), post_of(club)
    link = link_of(post)
    mailing.moderate(post.mailing_list, ["autre@equipe.example"])
    assert visitor.post(link, {"act": "accept"}).status_code == 404
    forged = link[:-2] + ("AA" if link[-2:] != "AA" else "BB")
    assert visitor.get(forged).status_code == 404
    unsubscribe = f"/d/{links.unsubscribe_token(post.pk, 1)}"
    assert visitor.get(unsubscribe).status_code == 404, "a token of another kind opens nothing"


def test_another_workspace_sees_and_decides_nothing(club: Any, other_shop: Any) -> None:
    stranger, post = client_of(other_shop, "owner"), post_of(club)
    assert stranger.get(f"/lists/mail/{post.mailing_list_id}").status_code == 404
    assert stranger.get(f"/lists/mail/posts/{post.pk}").status_code == 404
    assert stranger.post(f"/lists/mail/posts/{post.pk}/decide", {"act": "accept"}).status_code == 404


def test_home_says_that_a_message_waits(club: Any) -> None:
    assert "1 message to a mailing list waits" in client_of(club).get("/").content.decode()
    assert "mailing list" not in client_of(club, "viewer").get("/").content.decode(), "who may not decide is not asked"
