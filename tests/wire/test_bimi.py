"""A logo beside messages: what its record and its picture must be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envol.wire.bimi import MOST_BYTES, logo_of, picture_faults

GOOD = (
    '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" version="1.2" baseProfile="tiny-ps" '
    'viewBox="0 0 64 64"><title>Librairie</title><circle cx="32" cy="32" r="30" fill="#123"/></svg>'
)


@pytest.mark.parametrize(
    ("record", "logo"),
    [
        ("v=BIMI1; l=https://a.example/l.svg; a=https://a.example/v.pem", "https://a.example/l.svg"),
        ("v=BIMI1; l=; a=", ""),
        ("v=BIMI1; l=http://a.example/l.svg", None),
        ("v=BIMI1", None),
        ("l=https://a.example/l.svg", None),
    ],
)
def test_the_record_names_one_logo_by_https(record: str, logo: str | None) -> None:
    assert logo_of(record) == logo


def test_a_picture_of_the_profile_is_drawn() -> None:
    assert picture_faults(GOOD.encode()) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('baseProfile="tiny-ps"', "", "its root does not say"),
        ("64 64", "64 32", "not square"),
        ("<title>Librairie</title>", "", "no <title>"),
        ("<circle", "<script/><circle", "<script>"),
        ("<circle", '<image href="https://a.example/x"/><circle', "outside itself"),
        ("<circle", '<circle onclick="x"', "onclick"),
        ("<svg", '<!DOCTYPE svg [<!ENTITY a "b">]><svg', "entities"),
        ("</svg>", "", "not XML"),
        ("http://www.w3.org/2000/svg", "urn:x", "no SVG"),
        ("Librairie", "x" * MOST_BYTES, "32 are allowed"),
    ],
)
def test_what_keeps_it_from_being_drawn_is_named(old: str, new: str, said: str) -> None:
    faults = picture_faults(GOOD.replace(old, new, 1).encode())
    assert any(said in fault for fault in faults), faults


@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=80).map(lambda t: GOOD.replace("Librairie", t).encode("utf-8", "replace")),
    )
)
def test_nothing_breaks_it(raw: bytes) -> None:
    assert isinstance(picture_faults(raw), list)
