# ruff: noqa: E501 -- a case is read better on one line
"""Calls of the send API read: what programs write, in any case; what is wrong, by code and place."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envol.api.send_v31 import Call, Letter, Refused, read
from tests.examples import CHEAP, examples

FROM, TO = {"Email": "zoe@boutique.example", "Name": "Zoé"}, [{"Email": "luc@lecteurs.example", "Name": "Luc"}]
GOOD = {"From": FROM, "To": TO, "Subject": "Bonjour", "TextPart": "Elle est partie."}
FILE = {"ContentType": "text/plain", "Filename": "a.txt", "Base64Content": base64.b64encode(b"abc").decode()}


def call(*messages: Any, **root: Any) -> Call:
    return read(json.dumps({"Messages": list(messages), **root}).encode())


def letter(**more: Any) -> Letter:
    (found,) = call({**GOOD, **more}).letters
    assert isinstance(found, Letter), found
    return found


def problems(without: str = "", **more: Any) -> list[tuple[str, tuple[str, ...]]]:
    (found,) = call({k: v for k, v in {**GOOD, **more}.items() if k != without}).letters
    assert isinstance(found, list), found
    return [(one.code, one.related) for one in found]


def test_a_message_as_clients_write_it() -> None:
    found = letter(Cc=[{"Email": "LUC@lecteurs.example"}, {"Email": "lea@lecteurs.example"}], Bcc=[], HTMLPart="<p>a</p>",
                   ReplyTo={"Email": "sav@boutique.example"}, CustomID="c-1", EventPayload="p", Headers={"X-Shop": "12"},
                   Attachments=[FILE], InlinedAttachments=[{**FILE, "ContentID": "logo"}])  # fmt: skip
    assert found.sender == ("Zoé", "zoe@boutique.example") and found.to == [("Luc", "luc@lecteurs.example")]
    assert [one.address for one in found.cc] == ["lea@lecteurs.example"], "named twice, counted once"
    assert (found.custom_id, found.payload, found.extra) == ("c-1", "p", [("X-Shop", "12")])
    assert [(a.content, a.content_id) for a in found.attachments] == [(b"abc", None), (b"abc", "logo")]
    assert letter(InlinedAttachments=[FILE], HTMLPart="<img src='cid:a.txt'>").attachments[0].content_id == "a.txt"


def test_names_in_any_case_and_empty_things_are_taken() -> None:
    raw = {"messages": [{"from": {"email": "zoe@boutique.example", "name": ""}, "to": [{"email": "luc@lecteurs.example"}],
                         "subject": "a", "textpart": "b", "cc": [], "attachments": [], "TemplateID": None}], "SandBoxMode": "true"}  # fmt: skip
    found = read(json.dumps(raw).encode())
    assert found.sandbox and isinstance(found.letters[0], Letter)


def test_globals_are_for_each_message_and_a_message_wins() -> None:
    common = {"From": FROM, "Subject": "tous", "TextPart": "t", "Headers": {"X-A": "1", "X-B": "1"}}
    one, two = call({"To": TO, "Headers": {"X-B": "2"}}, {"To": TO, "Subject": "un"}, Globals=common).letters
    assert isinstance(one, Letter) and isinstance(two, Letter)
    assert (one.subject, two.subject) == ("tous", "un") and sorted(one.extra) == [("X-A", "1"), ("X-B", "2")]


@pytest.mark.parametrize(
    ("body", "code", "related"),
    [
        (b"", "mj-0002", None), (b"{", "mj-0002", None), (b"[" * 100_000, "mj-0002", None), (b"\xff", "mj-0002", None),
        (b'{"Messages": [], "Messages": []}', "mj-0002", None), (b'{"Messages": NaN}', "mj-0002", None),
        (b"{}", "mj-0003", ["Messages"]), (b"[]", "mj-0003", ["Messages"]), (b'{"Messages": null}', "mj-0003", ["Messages"]),
        (b'{"Messages": {}}', "mj-0004", ["Messages"]), (b'{"Messages": []}', "mj-0007", ["Messages"]),
        (json.dumps({"Messages": [GOOD] * 51}).encode(), "mj-0008", ["Messages"]),
        (json.dumps({"Messages": [GOOD], "Globals": [1]}).encode(), "mj-0004", ["Globals"]),
    ],
)  # fmt: skip
def test_what_is_no_call(body: bytes, code: str, related: list[str] | None) -> None:
    with pytest.raises(Refused) as refusal:
        read(body)
    told = refusal.value.body
    assert (
        refusal.value.status == 400 and told["ErrorCode"] == code and told["ErrorIdentifier"] and told["ErrorMessage"]
    )
    assert related is None or told["Errors"][0]["ErrorRelatedTo"] == related and told["Messages"] == []


@pytest.mark.parametrize(
    ("without", "more", "code", "related"),
    [
        ("From", {}, "mj-0003", ("From",)), ("To", {}, "mj-0003", ("To",)), ("", {"To": []}, "mj-0007", ("To",)),
        ("", {"To": "luc@lecteurs.example"}, "mj-0004", ("To",)), ("", {"To": ["x"]}, "mj-0004", ("To[0]",)),
        ("", {"To": [{"Name": "x"}]}, "mj-0003", ("To[0].Email",)), ("", {"To": [{"Email": 3}]}, "mj-0004", ("To[0].Email",)),
        ("", {"To": [{"Email": " "}]}, "mj-0012", ("To[0].Email",)),
        ("", {"To": [*TO, {"Email": "no at"}]}, "mj-0013", ("To[1].Email",)),
        ("", {"Cc": [{"Email": "a@b..c"}]}, "mj-0013", ("Cc[0].Email",)),
        ("", {"Bcc": [{"Email": "invalid@123.4"}]}, "mj-0013", ("Bcc[0].Email",)),
        ("", {"To": [{"Email": f"p{n}@lecteurs.example"} for n in range(51)]}, "send-0015", ("To", "CC", "Bcc")),
        ("", {"To": [{"Email": "luc@lecteurs.example", "Name": "a\r\nBcc: x@y.example"}]}, "mj-0005", ("To[0].Name",)),
        ("", {"Subject": "a\nb"}, "mj-0005", ("Subject",)), ("", {"Subject": "a" * 256}, "mj-0006", ("Subject",)),
        ("", {"Subject": 3}, "mj-0004", ("Subject",)), ("TextPart", {}, "send-0003", ("TextPart", "HTMLPart", "TemplateID")),
        ("", {"TextPart": {}}, "mj-0004", ("TextPart",)), ("", {"Headers": {"from": "x"}}, "send-0011", ('Headers["from"]',)),
        ("", {"Headers": {"Content-Type": "x"}}, "send-0011", ('Headers["Content-Type"]',)),
        ("", {"Headers": {"X-A": "a\r\nBcc: b"}}, "mj-0005", ('Headers["X-A"]',)),
        ("", {"Headers": {"X A": "a"}}, "mj-0005", ('Headers["X A"]',)), ("", {"Headers": {"X-A": {}}}, "mj-0004", ('Headers["X-A"]',)),
        ("", {"Headers": []}, "", ()), ("", {"Headers": "x"}, "mj-0004", ("Headers",)),
        ("", {"Attachments": [{**FILE, "Base64Content": ""}]}, "mj-0012", ("Attachments[0].Base64Content",)),
        ("", {"Attachments": [{**FILE, "Base64Content": "a$"}]}, "mj-0005", ("Attachments[0].Base64Content",)),
        ("", {"Attachments": [{"Filename": "a"}]}, "mj-0003", ("Attachments[0].ContentType",)),
        ("", {"Attachments": [{**FILE, "ContentType": "message/rfc822"}]}, "mj-0005", ("Attachments[0]",)),
        ("", {"Attachments": [FILE] * 51}, "mj-0008", ("Attachments",)), ("", {"InlinedAttachments": [FILE]}, "mj-0005", ("InlinedAttachments",)),
        ("", {"TemplateID": "x"}, "mj-0004", ("TemplateID",)), ("", {"Variables": [1]}, "mj-0004", ("Variables",)),
        ("", {"TemplateErrorDeliver": True}, "send-0016", ("TemplateLanguage",)), ("", {"TemplateErrorReporting": {"Email": "a@b.example"}}, "send-0016", ("TemplateLanguage",)),
        ("", {"DeduplicateCampaign": "true"}, "send-0012", ("CustomCampaign", "DeduplicateCampaign")), ("", {"URLTags": "a=\"b"}, "mj-0005", ("URLTags",)),
        ("", {"URLTags": "a" * 257}, "mj-0006", ("URLTags",)),
        ("", {"Priority": 9}, "mj-0005", ("Priority",)), ("", {"Priority": "²"}, "mj-0005", ("Priority",)), ("", {"Priority": [2]}, "mj-0005", ("Priority",)),
        ("", {"TemplateID": "9" * 5000}, "mj-0004", ("TemplateID",)), ("", {"CustomID": "a\0"}, "mj-0005", ("CustomID",)),
        ("", {"EventPayload": "a\ud800"}, "mj-0005", ("EventPayload",)), ("", {"CustomCampaign": "\0"}, "mj-0005", ("CustomCampaign",)),
        ("", {"Priority": "3"}, "", ()), ("", {"TrackOpens": "yes"}, "mj-0005", ("TrackOpens",)),
        ("", {"Sender": {"Email": "autre@boutique.example"}}, "send-0006", ("Sender",)),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(
    without: str, more: dict[str, Any], code: str, related: tuple[str, ...]
) -> None:
    if not code:
        letter(**more)
        return
    assert problems(without, **more) == [(code, related)]


def test_files_of_sixteen_megabytes_are_too_many_together() -> None:
    half = {**FILE, "Base64Content": base64.b64encode(b"x" * (8 << 20)).decode()}
    assert problems(Attachments=[half], InlinedAttachments=[half], HTMLPart="<img src='cid:a.txt'>") == [
        ("mj-0011", ("InlinedAttachments",))
    ]
    assert sum(len(one.content) for one in letter(Attachments=[half]).attachments) == 8 << 20


def test_a_template_may_say_who_writes_and_is_named_leniently() -> None:
    (found,) = call(
        {"To": TO, "TemplateID": "12", "TemplateLanguage": "true", "Variables": {"a": {"b": 1}}, "URLTags": "?a=b"}
    ).letters
    assert isinstance(found, Letter) and found.sender is None
    assert (found.template_id, found.language, found.variables, found.tags) == (12, True, {"a": {"b": 1}}, "a=b")


def test_one_message_fails_alone() -> None:
    good, bad = call(GOOD, {**GOOD, "To": [{"Email": "x"}]}).letters
    assert isinstance(good, Letter) and isinstance(bad, list)


_JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), lambda inner: st.lists(inner, max_size=3)
                     | st.dictionaries(st.sampled_from([*GOOD, "Cc", "Headers", "Attachments", "Email", "Globals", "Messages"]), inner, max_size=4), max_leaves=20)  # fmt: skip


@settings(max_examples=examples(200, CHEAP), deadline=None)
@given(_JSON)
def test_nothing_a_program_sends_is_our_mistake(raw: Any) -> None:
    for body in (raw, {"Messages": [raw]}, {"Messages": [{**GOOD, "To": raw}, GOOD], "Globals": raw}):
        try:
            read(json.dumps(body).encode())
        except Refused as refusal:
            assert refusal.status == 400
