"""Our verdict is that of another implementation, on what we sign, what others sign, and what was changed."""

from __future__ import annotations

import time
from base64 import b64encode

import dkim as dkimpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envol.wire import dkim
from envol.wire.dkim_verify import MOST, Reason, verify
from tests.examples import CHEAP, examples
from tests.wire.test_dkim import DOMAIN, NOW, RSA, SHAPES, ZONE, note, signed, verified

RECORDS = {tuple(name.decode().rstrip(".").split("._domainkey.")[::-1]): text.decode() for name, text in ZONE.items()}
SOON = NOW + 60


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dkimpy.time, "time", lambda: SOON)


def find(domain: str, selector: str) -> str | None:
    return RECORDS.get((domain, selector))


def reasons(raw: bytes, now: int = SOON, **records: str) -> list[Reason]:
    return [one.reason for one in verify(raw, lambda d, s: records.get(s, find(d, s)), now)]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_we_sign_holds(shape: str) -> None:
    found = verify(signed(note(**SHAPES[shape])), find, SOON)
    assert [(one.reason, one.domain, one.selector, one.algorithm) for one in found] == [
        ("ok", DOMAIN, "envol1", "rsa-sha256"),
        ("ok", DOMAIN, "envol2", "ed25519-sha256"),
    ]


@pytest.mark.parametrize("header_form", ["simple", "relaxed"])
@pytest.mark.parametrize("body_form", ["simple", "relaxed"])
@pytest.mark.parametrize("body", [b"", b"\r\n\r\n", b"a  b \r\n\tc\r\n\r\n\r\n", b"no line end", b"x\r\n"])
def test_what_others_sign_holds(header_form: str, body_form: str, body: bytes) -> None:
    raw = b"From: Zoe  <zoe@a.example>\r\nTo:  b@c.example\r\nX-Long: one\r\n two \r\nSubject: x\r\n\r\n" + body
    forms = (header_form.encode(), body_form.encode())
    line = dkimpy.sign(raw, b"envol1", DOMAIN.encode(), dkim.dump_private_key(RSA), canonicalize=forms)
    assert verified(line + raw) == [True]
    assert reasons(line + raw) == [Reason.OK]


@settings(max_examples=examples(150, CHEAP), deadline=None)
@given(place=st.integers(0, 10**6), octet=st.binary(min_size=1, max_size=3))
def test_whatever_is_changed_the_verdict_is_that_of_the_other(place: int, octet: bytes) -> None:
    raw = signed(note())
    place %= len(raw)
    changed = raw[:place] + octet + raw[place + 1 :]
    try:
        theirs = verified(changed)
    except Exception:
        theirs = None  # the other one gives up
    ours = [one.ok for one in verify(changed, find, SOON)]
    if theirs is not None and len(theirs) == len(ours):
        # Where we are stricter (bare line ends, l=, a field nobody can read) the other may still say yes.
        assert all(theirs[n] for n, ok in enumerate(ours) if ok)


@pytest.mark.parametrize("octets", [b"\n\n", b"\r\r", b"\nFrom: eve@other.example", b"\r\nno field\r\n"])
def test_a_header_that_is_not_all_fields_proves_nothing(octets: bytes) -> None:
    """Of two signatures one is broken so; the other must not hold for a message that others read differently."""
    raw = signed(note())
    changed = raw[:20] + octets + raw[20:]
    assert reasons(changed) and set(reasons(changed)) == {Reason.SYNTAX}


@settings(max_examples=examples(300, CHEAP), deadline=None)
@given(st.binary(max_size=400))
def test_junk_is_answered(junk: bytes) -> None:
    assert isinstance(verify(b"DKIM-Signature: " + junk, find, NOW), list)
    assert isinstance(verify(junk, find, NOW), list)


def test_each_reason_is_told_apart() -> None:
    raw = signed(note())
    assert reasons(raw.replace(b"Bonjour Anna,", b"Bonsoir Anna,")) == [Reason.BODY] * 2
    assert reasons(raw.replace(b"Subject: Bonjour", b"Subject: Bonsoir")) == [Reason.SIGNATURE] * 2
    assert reasons(raw, now=NOW + 8 * 24 * 3600) == [Reason.EXPIRED] * 2
    assert reasons(raw.replace(b" d=news.", b" d=nows.")) == [Reason.NO_KEY] * 2
    assert reasons(raw.replace(b"a=rsa-sha256", b"a=rsa-sha1")) == [Reason.ALGORITHM, Reason.OK]
    assert reasons(raw.replace(b"from:", b"form:")) == [Reason.FROM_OPEN] * 2
    assert reasons(raw.replace(b"v=1;", b"v=1; l=3;")) == [Reason.BODY_OPEN] * 2
    assert reasons(raw.replace(b"v=1;", b"v=1; v=1;")) == [Reason.SYNTAX] * 2
    assert reasons(raw.replace(b"v=1;", b"v=1; i=@other.example;")) == [Reason.SYNTAX] * 2
    assert reasons(raw, envol1="v=DKIM1; k=rsa; p=") == [Reason.REVOKED, Reason.OK]
    assert reasons(raw, envol1="v=DKIM1; p=!!") == [Reason.BAD_KEY, Reason.OK]
    assert reasons(raw, envol1=RECORDS[DOMAIN, "envol2"]) == [Reason.BAD_KEY, Reason.OK]
    short = b64encode(_short_key()).decode()
    assert reasons(raw, envol1=f"v=DKIM1; p={short}") == [Reason.BAD_KEY, Reason.OK]
    other = dkim.record_text(dkim.generate_rsa())
    assert reasons(raw, envol1=other) == [Reason.SIGNATURE, Reason.OK]


def _short_key() -> bytes:
    """A public key of 768 bits, as it would stand in an old record."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    numbers = rsa.RSAPublicNumbers(65537, 2**767 + 1)
    return numbers.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def test_a_from_added_on_the_way_is_seen() -> None:
    assert reasons(b"From: boss@bank.example\r\n" + signed(note())) == [Reason.SIGNATURE] * 2


def test_a_hundred_signatures_cost_no_more_than_ten() -> None:
    raw = signed(note())
    lines = raw[: raw.index(b"From:")] * 50
    assert len(verify(lines + raw, find, SOON)) == MOST


SIGNED = b"DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=a.example; s=b; h=from; bh=eA==; b=eA==\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        SIGNED + b"A" * 1_000_000 + b"\r\n\r\nx",
        SIGNED + b"A: b\r\n" + b" c\r\n" * 200_000 + b"\r\nx",
        SIGNED + b"From: a@b.example\r\n\r\n" + b"\r\n" * 1_000_000,
    ],
    ids=["no colon", "folds", "empty lines"],
)
def test_a_long_hostile_message_is_read_in_linear_time(raw: bytes) -> None:
    began = time.process_time()
    [verdict] = verify(raw, lambda domain, selector: RECORDS[DOMAIN, "envol1"], SOON)
    assert verdict.reason in (Reason.SYNTAX, Reason.BODY)
    assert time.process_time() - began < 5
