# ruff: noqa: E501 -- fields are read better on one line
"""Fields that are between a program and the relay."""

from __future__ import annotations

import pytest

from envol.api import by_smtp
from envol.outbound import asides

HEAD = b"From: zoe@boutique.example\r\n"
BODY = b"\r\nX-MJ-CustomID: in the text\r\n"


def test_they_are_kept_with_the_message_and_none_leaves() -> None:
    raw = (
        b"x-mj-customid: c-17\r\n"
        + HEAD
        + b'X-MJ-EventPayload: {"a":\r\n 1}\r\nX-Mailjet-Campaign: =?utf-8?q?No=C3=ABl?=\r\n'
        b"X-Mailjet-Prio: 3\r\nX-MJ-MonitoringCategory: x\r\nX-Mj: stays\r\n" + BODY
    )
    made = asides.taken(raw)
    assert made.raw == HEAD + b"X-Mj: stays\r\n" + BODY
    assert made.facts == {"custom_id": "c-17", "event_payload": '{"a": 1}', "campaign": "Noël"}


def test_a_message_without_any_is_the_same_octets() -> None:
    assert asides.taken(HEAD + BODY).raw == HEAD + BODY and asides.taken(b"").facts == {}


def test_what_is_to_be_measured_and_how_urgent_it_is() -> None:
    asked = asides.taken(b"X-Mailjet-TrackOpen: 1\r\nx-mailjet-trackclick: 0\r\n" + HEAD + BODY).asked
    assert asked == {"opens"}
    assert [
        asides.taken(b"X-Mailjet-Prio: %s\r\n" % said + HEAD + BODY).urgency for said in (b"3", b"0", b"9", b"")
    ] == [3, 0, 2, 2]


@pytest.mark.parametrize(
    "field",
    [b"X-MJ-TemplateLanguage: 1", b"X-MJ-TemplateID: 12", b"X-Mailjet-DeduplicateCampaign: yes", b"X-MJ-Vars: {}"],
)
def test_what_is_to_be_filled_in(field: bytes) -> None:
    assert by_smtp.asks(field + b"\r\n" + HEAD + BODY)
    assert not by_smtp.asks(field.partition(b":")[0] + b":\r\n" + HEAD + BODY), "empty is not said"
    assert not by_smtp.asks(HEAD + b"\r\n" + field + b"\r\n"), "in the text it is text"


def test_what_no_text_holds_is_left_out_of_what_is_kept() -> None:
    for word in (b"=?utf-8?q?a=00b?=", b"=?utf-7?q?a+2AA-b?="):
        found = asides.taken(b"Subject: x\r\nX-MJ-CustomID: " + word + b"\r\n\r\nx")
        assert found.facts["custom_id"] in ("ab", word.decode()), found.facts
