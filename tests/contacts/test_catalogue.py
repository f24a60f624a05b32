from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envol.accounts.models import Workspace
from envol.contacts import catalogue
from envol.contacts.models import Property


def prop(type: str, *choices: str) -> Property:
    values = [{"value": c, "label_fr": c.upper(), "label_en": c.title()} for c in choices]
    return Property(key="it", type=type, label_fr="Cela", label_en="It", choices=values)


GOOD = [
    ("text", "  Zoe\u0301 ", "Zoé"),
    ("text", 12, "12"),
    ("number", "1 234,50", 1234.5),
    ("number", "1.234,5", 1234.5),
    ("number", "1,234.5", 1234.5),
    ("number", "12", 12),
    ("number", 2.0, 2),
    ("number", -0.5, -0.5),
    ("boolean", "Oui", True),
    ("boolean", "n", False),
    ("boolean", 0, False),
    ("boolean", True, True),
    ("date", "31/12/1999", "1999-12-31"),
    ("date", "1.2.2003", "2003-02-01"),
    ("date", "2003-02-01T10:00:00", "2003-02-01"),
    ("date", date(2003, 2, 1), "2003-02-01"),
    ("date", datetime(2003, 2, 1, 23), "2003-02-01"),
    ("money", "12,50 €", 1250),
    ("money", "EUR 1 200", 120000),
    ("money", Decimal("0.01"), 1),
    ("money", 1250, 1250),
    ("list", "b; a ;b", ["a", "b"]),
    ("list", ["z", "y"], ["y", "z"]),
    ("place", "Lyon", {"label": "Lyon"}),
]


@pytest.mark.parametrize(("type", "raw", "kept"), GOOD)
def test_a_value_is_kept_in_one_form_whatever_way_it_was_written(type: str, raw: Any, kept: Any) -> None:
    once = catalogue.canonical(prop(type), raw)
    assert once == kept and isinstance(once, kept.__class__)
    assert catalogue.canonical(prop(type), once) == once


def test_a_place_has_a_country_and_coordinates() -> None:
    raw = {"label": "Lyon", "country": "fr", "postcode": 69001, "lat": "45,7640432", "lon": 4.8}
    kept = {"label": "Lyon", "country": "FR", "postcode": "69001", "lat": 45.76404, "lon": 4.8}
    assert catalogue.canonical(prop("place"), raw) == kept == catalogue.canonical(prop("place"), kept)


def test_a_choice_is_found_by_value_or_label_in_either_language() -> None:
    colour = prop("choice", "red", "blue")
    assert [catalogue.canonical(colour, raw) for raw in ("red", "RED", " Blue ")] == ["red", "red", "blue"]
    assert catalogue.canonical(prop("list", "red", "blue"), "BLUE|red") == ["blue", "red"]


@pytest.mark.parametrize(
    ("type", "raw"),
    [
        ("text", "a\0b"),
        ("text", "x" * 1001),
        ("text", ["a"]),
        ("number", "douze"),
        ("number", float("nan")),
        ("number", "1e400"),
        ("number", True),
        ("boolean", "perhaps"),
        ("boolean", 2),
        ("date", "31/02/2020"),
        ("date", "2020"),
        ("date", 20200101),
        ("money", "12,505"),
        ("money", 12.5),
        ("money", True),
        ("choice", "green"),
        ("list", []),
        ("list", " ; "),
        ("list", {"a": 1}),
        ("place", {"label": "Lyon", "country": "France"}),
        ("place", {"lat": 45}),
        ("place", {"lat": 95, "lon": 1}),
        ("place", {"town": "Lyon"}),
        ("place", 3),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_a_sentence_that_names_the_property(type: str, raw: Any) -> None:
    with pytest.raises(ValueError, match=r"^It \(it\): .*\.$"):
        catalogue.canonical(prop(type, *(["red"] if type == "choice" else [])), raw)


@given(
    st.sampled_from(["text", "number", "boolean", "date", "list", "place", "money"]),
    st.text() | st.integers() | st.floats(),
)
def test_whatever_comes_in_is_canonical_or_refused_and_fits_jsonb(type: str, raw: Any) -> None:
    try:
        once = catalogue.canonical(prop(type), raw)
    except ValueError:
        return
    assert catalogue.canonical(prop(type), once) == once
    assert "\0" not in repr(once)


def test_a_workspace_begins_with_a_catalogue_that_asks_for_no_gender(workspace: Workspace) -> None:
    assert {key: p.type for key, p in catalogue.of(workspace).items()} == {
        "first_name": "text",
        "last_name": "text",
        "city": "place",
        "birth_date": "date",
    }


def test_a_property_is_declared_once_and_may_change_all_but_its_type(workspace: Workspace) -> None:
    first = catalogue.declare(workspace, "genre", "choice", "Genre lu", "Genre read", ["polar"], purposes=4)
    again = catalogue.declare(workspace, "genre", "choice", "Genre", "Genre", ["polar", "essai"], purposes=12)
    assert (again.pk, again.purposes, len(again.choices)) == (first.pk, 12, 2)
    with pytest.raises(ValueError, match="declare another"):
        catalogue.declare(workspace, "genre", "text", "Genre", "Genre")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"key": "Été"}, "small letters"),
        ({"key": "email"}, "small letters"),
        ({"type": "json"}, "Choose a type"),
        ({"label_en": " "}, "label"),
        ({"type": "choice"}, "values to choose"),
        ({"choices": ["a"]}, "Only a choice"),
        ({"sensitive": True, "inferred": True}, "cannot be inferred"),
        ({"purposes": -1}, "mask"),
    ],
)
def test_a_declaration_that_cannot_stand_is_refused(workspace: Workspace, change: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        catalogue.declare(workspace, **({"key": "k", "type": "text", "label_fr": "K", "label_en": "K"} | change))
