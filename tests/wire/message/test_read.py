"""The reader shows what a person would see, and opens whatever comes."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from envol.wire.message import Attachment, Mailbox, compose, read


def test_it_reads_what_we_compose() -> None:
    raw = compose(
        sender=Mailbox("Librairie, Élan", "bonjour@news.shop.example"),
        to=[Mailbox("Zoë", "zoe@mail.example")],
        subject="La sélection de la semaine, et beaucoup d'autres choses à découvrir chez nous",
        text="Bonjour\n\n.\nFrom là",
        html="<p>Une page pour l'été</p>",
        message_id="1@news.shop.example",
        date=datetime(2026, 11, 24, tzinfo=UTC),
        attachments=[Attachment("été.csv", b"a;b", "text/csv")],
    ).to_bytes()
    seen = read(raw)
    assert seen.subject == "La sélection de la semaine, et beaucoup d'autres choses à découvrir chez nous"
    assert seen.get("from") == "Librairie, Élan <bonjour@news.shop.example>"
    assert seen.text == "Bonjour\n\n.\nFrom là"
    assert seen.html == "<p>Une page pour l'été</p>"
    assert [(a.filename, a.content_type, a.content) for a in seen.attachments] == [("été.csv", "text/csv", b"a;b")]
    assert seen.defects == []


def test_it_reads_other_character_sets() -> None:
    seen = read(b"Subject: =?iso-8859-1?Q?=E9t=E9?=\nContent-Type: text/plain; charset=iso-8859-1\n\n\xe9t\xe9\n")
    assert (seen.subject, seen.text) == ("été", "été\n")


def test_it_stops_at_its_limits() -> None:
    assert "only the beginning" in read(b"Subject: a\r\n\r\n" + b"x" * 100, limit=50).defects[0]
    many = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 50 + b"--b--\r\n"
    assert any("more than 10 parts" in defect for defect in read(many, max_parts=10).defects)


def test_parts_nested_a_thousand_deep_are_a_defect_and_no_crash() -> None:
    raw = b""
    for i in range(1500):
        raw += b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (i, i)
    seen = read(b"Subject: deep\r\n" + raw + b"\r\nx")
    assert seen.subject == "deep"
    assert seen.defects


@given(st.binary(max_size=2000))
def test_junk_is_read_without_an_exception(raw: bytes) -> None:
    read(raw)


pieces = st.sampled_from(
    [
        b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Type: text/plain; charset=nonsense\r\n",
        b"Content-Type: text/html; charset*=x'y\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Disposition: attachment; filename*0*=x''%ff; filename*9=\r\n",
        b"Content-Disposition: inline; filename*=utf-8'%\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n",
        b"Content-Transfer-Encoding: x-uuencode\r\n",
        b"Subject: =?utf-8?B?====?= =?x?Q?=zz?= =?utf-8?Z?a?=\r\n",
        b"Subject: =?utf-8?B?a?=\r\n",
        b"Content-ID: \xff\r\n",
        b"begin 644 a\r\n",
        b"\r\n",
        b"--b\r\n",
        b"--b--\r\n",
        b" folded\r\n",
        b"=\xff\x00=zz\r\n",
    ]
)


@given(st.lists(pieces, max_size=30))
def test_broken_mail_is_read_without_an_exception(lines: list[bytes]) -> None:
    seen = read(b"Subject: kept\r\n" + b"".join(lines))
    assert seen.get("subject") is not None
    assert seen.subject.startswith("kept")
