"""One address, one spelling, one key."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envol.wire.address import AddressError, domain_of, normalise


@pytest.mark.parametrize(
    ("typed", "written", "key"),
    [
        ("ann@shop.example", "ann@shop.example", "ann@shop.example"),
        ("  Ann.Lee@Shop.Example\t", "Ann.Lee@shop.example", "ann.lee@shop.example"),
        ("\u00a0ann@shop.example\u3000", "ann@shop.example", "ann@shop.example"),
        ("o'neil+news@shop.example", "o'neil+news@shop.example", "o'neil+news@shop.example"),
        ("ann@BÜCHER.example", "ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
        ("ann@bu\u0308cher.example", "ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
        ("ann@XN--BCHER-KVA.example", "ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
        ("ann@straße.example", "ann@xn--strae-oqa.example", "ann@xn--strae-oqa.example"),
        ("ann@ｓｈｏｐ。example", "ann@shop.example", "ann@shop.example"),
        ("He\u0301le\u0300ne@shop.example", "Hélène@shop.example", "hélène@shop.example"),
        ("Straße@shop.example", "Straße@shop.example", "straße@shop.example"),
        ("a@b.xn--p1ai", "a@b.xn--p1ai", "a@b.xn--p1ai"),
        (f"{'a' * 64}@shop.example", f"{'a' * 64}@shop.example", f"{'a' * 64}@shop.example"),
    ],
)
def test_addresses_people_type(typed: str, written: str, key: str) -> None:
    address = normalise(typed)
    assert (address.written, address.key) == (written, key)
    assert f"{address.local}@{address.domain}" == written
    assert domain_of(written) == address.domain


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("ann", "no @"),
        ("@shop.example", "before the @"),
        ("ann@", "after the @"),
        ("ann@lee@shop.example", "more than one @"),
        ("ann lee@shop.example", "space"),
        ("ann@shop .example", "space"),
        ("Ann <ann@shop.example>", "bare address"),
        ('"ann lee"@shop.example', "quotation"),
        ('ann"lee@shop.example', "cannot stand before"),
        ("ann(home)@shop.example", "cannot stand before"),
        ("ann,bob@shop.example", "cannot stand before"),
        ("ann\\@shop.example", "cannot stand before"),
        (".ann@shop.example", "dot"),
        ("ann.@shop.example", "dot"),
        ("an..n@shop.example", "dot"),
        ("ann@localhost", "no dot"),
        ("ann@[192.0.2.1]", "brackets"),
        ("ann@192.0.2.1", "top level"),
        ("ann@shop.example.", "ends with a dot"),
        ("ann@shop..example", "not valid"),
        ("ann@-shop.example", "not valid"),
        ("ann@shop-.example", "not valid"),
        ("ann@sh_op.example", "not valid"),
        ("ann@shop.e", "top level"),
        ("ann@xn--a.example", "not valid"),
        (f"ann@{'a' * 64}.example", "longer than 63"),
        (f"{'a' * 65}@shop.example", "longer than 64"),
        (f"{'é' * 33}@shop.example", "longer than 64"),
        (f"{'a' * 64}@{'.'.join(['b' * 60] * 4)}", "longer than 254"),
        ("ann\r\nRCPT TO:<x@y.example>@shop.example", "invisible"),
        ("ann\x00@shop.example", "invisible"),
        ("ann\u200b@shop.example", "invisible"),
        ("\ufeffann@shop.example", "invisible"),
        ("ann@shop\u2028.example", "invisible"),
        ("ann\u202e@shop.example", "invisible"),
    ],
)
def test_a_refusal_says_what_to_correct(typed: str, said: str) -> None:
    with pytest.raises(AddressError, match=said) as refusal:
        normalise(typed)
    assert str(refusal.value).endswith(".") and ":" in str(refusal.value)


@given(
    st.one_of(
        st.text(max_size=80),
        st.emails(),
        st.tuples(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20)).map("@".join),
        st.tuples(st.text(min_size=1, max_size=5), st.text(min_size=1, max_size=10)).map(lambda p: f"{p[0]}@{p[1]}.fr"),
    )
)
def test_whatever_is_typed_the_result_is_safe_and_stable(typed: str) -> None:
    try:
        address = normalise(typed)
    except AddressError:
        return
    assert normalise(address.written) == address, "normalising twice gives the same"
    assert normalise(address.key).key == address.key
    assert unicodedata.is_normalized("NFC", address.written)
    assert unicodedata.is_normalized("NFC", address.key)
    assert address.domain.isascii() and address.domain == address.domain.lower() and "." in address.domain
    assert not any(c.isspace() or unicodedata.category(c).startswith("C") for c in address.written)
    assert not set('<>()[],;:\\"') & set(address.written)
    assert len(address.local.encode()) <= 64 and len(address.written.encode()) <= 254


@given(st.emails())
def test_case_makes_no_second_contact(typed: str) -> None:
    try:
        address = normalise(typed)
    except AddressError:
        return
    assert normalise(address.written.upper()).key == address.key == normalise(address.written.swapcase()).key


def test_a_domain_is_read_from_the_last_at() -> None:
    assert domain_of("Ann@Shop.Example") == "shop.example"
    assert domain_of("nothing") == ""
