"""TLSA records against certificates (RFC 7672)."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envol.wire import dane
from envol.wire.dane import NotTrusted, Tlsa
from tests.edge import certs

NOW = datetime.now(UTC)
ROOT = certs.make("Root", ca=True)
MIDDLE = certs.make("Middle", ROOT, ca=True)
LEAF = certs.make("mx", MIDDLE, names=["mx.hote.example"])
CHAIN = [LEAF.der, MIDDLE.der, ROOT.der]


def records(made: certs.Made, usage: int) -> list[Tlsa]:
    found = []
    for selector, what in ((0, made.der), (1, made.public)):
        for matching, data in ((0, what), (1, hashlib.sha256(what).digest()), (2, hashlib.sha512(what).digest())):
            found.append(Tlsa(usage, selector, matching, data))
    return found


def check(record: Tlsa, chain: list[bytes] = CHAIN, names: tuple[str, ...] = ("mx.hote.example",)) -> None:
    dane.check([record], chain, names, NOW)


@pytest.mark.parametrize("record", [*records(LEAF, 3), *records(ROOT, 2), *records(MIDDLE, 2), *records(LEAF, 2)])
def test_each_kind_of_record_finds_its_certificate(record: Tlsa) -> None:
    assert record.usable
    check(record)


@pytest.mark.parametrize(
    "record", [*records(ROOT, 3), *records(certs.make("mx"), 3), *records(certs.make("R", ca=True), 2)]
)
def test_another_certificate_is_not_trusted(record: Tlsa) -> None:
    with pytest.raises(NotTrusted):
        check(record)


def test_usage_3_looks_at_neither_names_nor_dates_usage_2_at_both() -> None:
    old = certs.make("mx", MIDDLE, names=["mx.hote.example"], days=(-90, -1))
    check(records(old, 3)[1], [old.der])
    check(records(LEAF, 3)[1], names=("autre.example",))
    with pytest.raises(NotTrusted) as caught:
        check(records(ROOT, 2)[1], [old.der, MIDDLE.der, ROOT.der])
    assert caught.value.result == "certificate-expired"
    with pytest.raises(NotTrusted) as caught:
        check(records(ROOT, 2)[1], names=("autre.example",))
    assert caught.value.result == "certificate-host-mismatch"


def test_a_chain_is_followed_by_signatures_not_by_being_shown() -> None:
    with pytest.raises(NotTrusted):
        check(records(ROOT, 2)[1], [certs.make("mx", names=["mx.hote.example"]).der, MIDDLE.der, ROOT.der])
    # An ordinary host's certificate cannot vouch for another.
    below = certs.make("mx", LEAF, names=["mx.hote.example"])
    with pytest.raises(NotTrusted):
        check(records(ROOT, 2)[1], [below.der, LEAF.der, MIDDLE.der, ROOT.der])


@pytest.mark.parametrize(
    "record",
    [
        Tlsa(1, 1, 1, b"x" * 32),
        Tlsa(0, 0, 1, b"x" * 32),
        Tlsa(3, 1, 1, b"x" * 31),
        Tlsa(3, 2, 1, b"x" * 32),
        Tlsa(3, 1, 9, b"x"),
    ],
)
def test_what_means_nothing_to_smtp_is_not_usable(record: Tlsa) -> None:
    assert not record.usable


@given(st.lists(st.binary(max_size=200), max_size=3))
def test_any_bytes_are_no_certificate(chain: list[bytes]) -> None:
    with pytest.raises(NotTrusted):
        check(records(LEAF, 3)[1], chain)
