"""Columns are cleaned as single values are: the fast road and the slow one lead to the same place."""

from __future__ import annotations

import json
import string
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from envol.contacts import catalogue
from envol.contacts.imports import clean
from envol.contacts.models import Property
from envol.wire.address import AddressError, normalise
from tests.examples import examples

local = st.text(
    string.ascii_letters + string.digits + "!#$%&'*+/=?^_`{|}~-. \"(),:;<>@[\\]éÉßK\u0130\u00a0\u200b", max_size=12
)
pads = st.sampled_from(["", " ", "\t", "\x1c"])
label = st.text("abcXYZ019-_é.ß。", max_size=8)
typed = st.one_of(
    st.builds(lambda a, b, c, pad: f"{pad}{a}@{b}.{c}{pad}", local, label, label, pads),
    st.builds(lambda n, m: f"{'a' * n}@{'b' * m}.example", st.integers(60, 70), st.integers(55, 70)),
    st.builds(lambda n: "a@" + "b" * 60 + ".c" * n + ".example", st.integers(80, 100)),
    st.text(max_size=20),
    st.sampled_from(["a@XN--BCHER-KVA.example", "a@xn--zzzzzz.example", "a@b.c1", "a@b.1c", "A.B+c@D.Example\n"]),
)


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(typed, min_size=1, max_size=30))
def test_addresses_in_columns_are_read_as_single_ones(texts: list[str]) -> None:
    texts = [t for t in texts if not any("\ud800" <= c <= "\udfff" for c in t)] or ["x"]
    rows = pl.DataFrame({"c0": texts})
    written, wrong = clean.addresses("c0").clean(rows)
    keys = clean.key_of(written)
    for text, ours, key in zip(texts, written, keys, strict=True):
        try:
            wanted = normalise(text)
        except AddressError as error:
            assert ours is None and key is None
            assert not text.strip() or wrong[text] == str(error)
        else:
            assert (ours, key) == (wanted.written, wanted.key)


CHOICES = [
    {"value": v, "label_fr": f, "label_en": e} for v, f, e in (("jazz", "Jazz", "Jazz"), ("rock", "Rock", "Rock"))
]
digits = st.text("0123456789,. -'\u00a0\u202f€", max_size=12)
days, months = st.integers(0, 32), st.integers(0, 13)
dates = st.one_of(
    st.dates().map(str),
    st.builds(
        lambda d, m, y, s: f"{d:02d}{s}{m:02d}{s}{y}", days, months, st.integers(900, 3000), st.sampled_from("/.- ")
    ),
    st.builds(lambda y, m, d: f"{y:04d}-{m:02d}-{d:02d}", st.integers(0, 2999), months, days),
)
amounts = st.builds(lambda a, s, b: f"{a}{s}{b:02d}", st.integers(0, 10**9), st.sampled_from(",."), st.integers(0, 99))
anything = st.one_of(st.text(max_size=30), st.text(string.printable, max_size=30))
RAW = {
    "text": anything,
    "number": st.one_of(digits, st.integers().map(str), st.floats().map(str), anything),
    "boolean": st.one_of(st.sampled_from(["oui", "Non", "TRUE", "0", "1", "x", "peut-être", " yes "]), anything),
    "date": st.one_of(dates, anything),
    "choice": st.one_of(st.sampled_from(["jazz", "JAZZ ", "Rock", "pop"]), anything),
    "list": st.one_of(st.lists(st.sampled_from(["b", "a", " c "])).map(";".join), anything),
    "place": anything,
    "money": st.one_of(digits, amounts, anything),
}


@pytest.mark.parametrize("kind", sorted(RAW))
def test_values_in_columns_take_the_form_single_ones_take(kind: str) -> None:
    prop = Property(key="p", type=kind, label_fr="P", label_en="P", choices=CHOICES if kind == "choice" else [])

    @settings(max_examples=examples(150), deadline=None)
    @given(st.lists(RAW[kind], min_size=1, max_size=30))
    @example(
        ["0", "00", "007", "-0", "000,00", "0,05", "1.00", "29/02/2023", "29/02/2024", "31/12/1999", '"', "\\", "a"]
    )
    def agree(texts: list[str]) -> None:
        texts = [t for t in texts if not any("\ud800" <= c <= "\udfff" for c in t)] or ["x"]
        found, wrong = clean.values("c0", prop).clean(pl.DataFrame({"c0": texts}))
        for text, ours in zip(texts, found, strict=True):
            try:
                wanted: Any = catalogue.canonical(prop, text) if text.strip() else None
            except ValueError as error:
                assert ours is None and wrong[text] == str(error)
            else:
                assert (json.loads(ours) if ours is not None else None) == wanted
                assert type(json.loads(ours) if ours is not None else None) is type(wanted)

    agree()
