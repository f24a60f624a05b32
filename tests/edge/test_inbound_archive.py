"""The archive of a mailing list: who reads what, found by words, and out of it again by whoever has a right to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from envol import db
from envol.consent import registry
from envol.contacts.models import Contact, Membership
from envol.content import links
from envol.outbound import archive, mailing
from envol.outbound.models import MailingList, Post
from envol.wire.bounce import explain
from envol.wire.message.read import read
from tests.edge.test_inbound_lists import LUC, ROSE, ZOE, club, leaving, written  # noqa: F401 -- a fixture

pytestmark = pytest.mark.usefixtures("empty_database")
EVERYBODY = "/l/at/club@boutique.example"


def number(address: str) -> int:
    return int(Contact.objects.get(email_key=address).pk)


def post(club: MailingList, subject: str, text: str = "À samedi.", author: str = LUC, **more: str) -> Post:  # noqa: F811
    letter = written(author, Subject=subject, **{"Message-ID": f"<{len(subject)}.{subject}@x.example>", **more})
    raw = letter.replace("À samedi.", text).replace("\n", "\r\n").encode()
    club.refresh_from_db()
    assert mailing.take(club, raw, explain(raw), proven=False) == "post held"
    made = Post.objects.get(subject=subject)
    assert mailing.decide(made.pk, True, ZOE) and mailing.distribute(made.pk) == 2
    return Post.objects.get(pk=made.pk)


def hers(workspace: Any, club: MailingList, address: str = ROSE) -> str:  # noqa: F811
    return f"/l/{links.person_token(workspace.pk, number(address))}/{club.pk}"


def shown(path: str, **asked: str) -> str:
    answer = Client(HTTP_HOST="localhost").get(path, asked)
    assert answer.status_code == 200 and "noindex" in answer["X-Robots-Tag"], path
    return answer.content.decode()


def missing(path: str) -> bool:
    return Client(HTTP_HOST="localhost").get(path).status_code == 404


def test_each_level_shows_what_its_authors_knew(workspace: Any, club: MailingList) -> None:  # noqa: F811
    post(club, "Avant")
    MailingList.objects.update(archive=archive.MEMBERS)
    second = post(club, "Entre nous")
    MailingList.objects.update(archive=archive.PUBLIC)
    third = post(club, "Pour tous")
    mine, all_ = shown(hers(workspace, club)), shown(EVERYBODY)
    assert "Pour tous" in mine and "Entre nous" in mine and "Avant" not in mine
    assert "Pour tous" in all_ and "Entre nous" not in all_ and "Avant" not in all_
    assert "À samedi." in shown(f"{EVERYBODY}/{third.pk}") and missing(f"{EVERYBODY}/{second.pk}")
    assert "À samedi." in shown(f"{hers(workspace, club)}/{second.pk}")
    MailingList.objects.update(archive=archive.MEMBERS)
    assert missing(EVERYBODY) and missing(f"{EVERYBODY}/{third.pk}") and "Pour tous" in shown(hers(workspace, club))
    MailingList.objects.update(archive=archive.NONE)
    assert missing(hers(workspace, club)) and missing(f"{hers(workspace, club)}/{third.pk}")
    mailing.tidy()
    assert not Post.objects.exclude(archived="", text="").exists(), "what has no archive keeps none"


def test_only_who_is_on_the_list_reads_a_members_archive(workspace: Any, club: MailingList) -> None:  # noqa: F811
    MailingList.objects.update(archive=archive.MEMBERS)
    one = post(club, "Entre nous")
    assert "Lire ce qui a été écrit" in shown(hers(workspace, club).replace("/l/", "/p/").rpartition("/")[0])
    Membership.objects.filter(contact_id=number(ROSE)).update(until=datetime.now(UTC))
    assert missing(hers(workspace, club)) and missing(f"{hers(workspace, club)}/{one.pk}")
    assert missing(f"/l/forged/{club.pk}") and missing("/l/at/%00@x") and missing("/l/at/personne@boutique.example")


def test_it_is_searched_by_words_and_read_by_pages(workspace: Any, club: MailingList) -> None:  # noqa: F811
    MailingList.objects.update(archive=archive.MEMBERS)
    post(club, "Gare", "Rendez-vous à la gare de Nantes.")
    post(club, "Café", "Au café, plutôt.")
    page = hers(workspace, club)
    found = shown(page, q="NANTES gare")
    assert "/l/" in found and ">Gare<" in found and ">Café<" not in found
    assert "Aucun message" in shown(page, q="Nantes café") and "No message" in shown(page, q="Lille", l="en")
    db.execute(
        "INSERT INTO outbound_post (mailing_list_id, author_name, author, contact_id, subject, message_id, raw, state,"
        " reason, received_at, decided_by, archived, text) SELECT mailing_list_id, author_name, author, contact_id,"
        " 'Copie ' || i, '', raw, state, reason, received_at, '', archived, text FROM outbound_post,"
        " generate_series(1, 60) i WHERE subject = 'Gare'"
    )
    first = shown(page)
    assert ">Copie 60<" in first and ">Gare<" not in first
    older = first.split('href="')[-1].partition('"')[0]
    second = shown(older.replace("&amp;", "&"))
    assert ">Gare<" in second and ">Copie 60<" not in second and "Revenir au début" in second


def test_no_address_is_shown_and_hostile_words_stay_words(workspace: Any, club: MailingList) -> None:  # noqa: F811
    MailingList.objects.update(archive=archive.PUBLIC)
    one = post(club, "<script>x</script>", "Écrivez à rose.marie+x@poste.example <script>alert(1)</script>")
    page = shown(f"{EVERYBODY}/{one.pk}") + shown(EVERYBODY) + shown(EVERYBODY, q='"><script>')
    assert "rose" not in page and "…@…" in page and "<script>" not in page and "luc@" not in page
    html = post(
        club,
        "Page",
        "<p>Bon<b>jour</b></p><style>p{}</style><script>x()</script>",
        **{"Content-Type": "text/html; charset=utf-8"},
    )
    assert html.text == "Bon jour" and "jour" in shown(EVERYBODY, q="jour")


def test_an_author_takes_her_own_out_and_nobody_elses(workspace: Any, club: MailingList) -> None:  # noqa: F811
    MailingList.objects.update(archive=archive.MEMBERS)
    one = post(club, "Entre nous", author=ROSE)
    visitor = Client(HTTP_HOST="localhost")
    for path in (f"{hers(workspace, club, LUC)}/{one.pk}", f"{hers(workspace, club)}/{one.pk}?act=remove"):
        assert ("Retirer mon message" in shown(path)) is (path.endswith("remove"))
    visitor.post(f"{hers(workspace, club, LUC)}/{one.pk}", {"act": "remove"})
    assert "Entre nous" in shown(hers(workspace, club))
    done = visitor.post(f"{hers(workspace, club)}/{one.pk}", {"act": "remove"})
    assert "n’est plus dans les archives" in done.content.decode()
    assert "Entre nous" not in shown(hers(workspace, club, LUC)) and missing(f"{hers(workspace, club)}/{one.pk}")


def test_an_erased_person_disappears_also_from_what_others_quoted(workspace: Any, club: MailingList) -> None:  # noqa: F811
    MailingList.objects.update(archive=archive.PUBLIC)
    post(club, "Question", author=ROSE, From=f"Rose Martin <{ROSE}>")
    answer = post(club, "Réponse", "Rose\n MARTIN a écrit : à samedi. Les roses de Martine sont belles.")
    leaving()
    registry.erase_person(workspace.pk, number(ROSE), ROSE, cause="request 1")
    page = shown(EVERYBODY) + shown(f"{EVERYBODY}/{answer.pk}")
    assert "Question" not in page and "MARTIN" not in page and "… a écrit" in page
    assert "Les roses de Martine" in page, "others whose names begin alike stay"
    for row in db.rows("SELECT text || subject || author_name || encode(raw, 'escape') FROM outbound_post"):
        assert "martin a" not in row[0].lower() and ROSE not in row[0]


def test_what_left_says_where_everybody_reads_it(workspace: Any, club: MailingList) -> None:  # noqa: F811
    MailingList.objects.update(archive=archive.PUBLIC)
    post(club, "Pour tous")
    where = read(leaving()[0][1]).get("List-Archive") or ""
    assert where.startswith("<http") and where.endswith("/l/at/club@boutique.example>")
    MailingList.objects.update(archive=archive.MEMBERS)
    post(club, "Entre nous")
    assert not read(leaving()[0][1]).get("List-Archive")


def test_the_text_alone_outlives_three_months_and_nothing_two_years(workspace: Any, club: MailingList) -> None:  # noqa: F811
    MailingList.objects.update(archive=archive.MEMBERS)
    one = post(club, "Entre nous")
    db.execute("UPDATE outbound_post SET received_at = now() - interval '91 days'")
    mailing.tidy()
    kept = Post.objects.get()
    assert bytes(kept.raw) == b"" and kept.text == "À samedi." == one.text
    assert "À samedi." in shown(f"{hers(workspace, club)}/{one.pk}")
    db.execute("UPDATE outbound_post SET received_at = now() - interval '731 days'")
    mailing.tidy()
    assert not Post.objects.exists()


def test_what_an_author_quotes_stands_apart_and_the_day_is_the_lists_own(
    workspace: Any,
    club: MailingList,  # noqa: F811
) -> None:
    MailingList.objects.update(archive=archive.PUBLIC)
    one = post(club, "Re: Samedi", "J'y serai.\n\n> > À 15 h ?\n> Oui, <à 15 h>.\n\nLuc")
    Post.objects.filter(pk=one.pk).update(received_at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC))
    page = shown(f"{EVERYBODY}/{one.pk}")
    assert "<blockquote><p>À 15 h ?<br>Oui, &lt;à 15 h&gt;.</p></blockquote>" in page and "&gt; " not in page
    assert page.index("y serai") < page.index("<blockquote>") < page.index("<p>Luc</p>")
    assert "2 mars 2026" in page and "2 mars 2026" in shown(EVERYBODY), "in Paris it is tomorrow already"
