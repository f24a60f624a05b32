"""The text of a tree means that tree, whatever it holds; and whatever somebody writes gets a tree or a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envol.accounts.models import Workspace
from envol.audience import text
from envol.audience.catalogue import Catalogue
from envol.audience.language import SegmentProblem, parse, to_json
from tests.audience.segment_people import declare, make_list
from tests.audience.test_same_people import _trees, base  # noqa: F401
from tests.examples import examples


def test_there_and_back(base: Workspace) -> None:  # noqa: F811
    catalogue = Catalogue(base)

    @settings(max_examples=examples(300), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(_trees(catalogue))
    def same(tree: dict[str, Any]) -> None:
        canonical = to_json(parse(tree, catalogue))
        written = text.write(canonical, catalogue)
        assert to_json(parse(text.read(written, catalogue), catalogue)) == canonical, written

    same()


def test_whatever_is_written_gets_a_tree_or_a_sentence(base: Workspace) -> None:  # noqa: F811
    catalogue = Catalogue(base)
    words = st.sampled_from(
        ["prop.city", "is", "=", '"x"', "and", "or", "not", "(", ")", "[", "]", ",", "12", "-", "to", "none", "all",
         "everybody", "orders.count", ">=", "within_days", "2027-02-31", "list", "on", "near", '"', "\\", "#", "\n",
         "true", "1e999", "007"]
    )  # fmt: skip

    @settings(max_examples=examples(400), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(words, max_size=14).map(" ".join) | st.text(max_size=40))
    def answered(written: str) -> None:
        try:
            parse(text.read(written, catalogue), catalogue)
        except SegmentProblem as error:
            assert all(p.sentence for p in error.problems)

    answered()


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ('prop.town = "Nantes" orders.count > 1', "Line 1, column 22: Put “and” or “or”"),
        ("prop.nothing = 1", "column 1: There is no field “prop.nothing”"),
        ('orders.count\nbegins "x"', "Line 2, column 1: “orders.count” cannot be compared with “begins”; use =, !=, >"),
        ("orders.count >= 2 [within_weeks 3]", "can be narrowed by within_days"),
        ('prop.town = "Nantes', "ends with the double quote"),
        ("orders.count >=", "The text ends too early"),
        ("(orders.count >= 2", "“)” is expected"),
        ("prop.town = \u2018Nantes\u2019", "means nothing here"),
        ("(" * 80 + "orders.count > 1" + ")" * 80, "too many parentheses"),
        ("orders.count > 007", "Write a number"),
    ],
)
def test_what_is_wrong_is_said_at_its_place(workspace: Workspace, written: str, says: str) -> None:
    declare(workspace, "town", "text")
    with pytest.raises(SegmentProblem) as caught:
        text.read(written, Catalogue(workspace))
    assert says in caught.value.problems[0].sentence


def test_and_binds_tighter_than_or_and_names_stand_for_lists(workspace: Workspace) -> None:
    declare(workspace, "town", "text")
    letters = make_list(workspace, "La « lettre »")
    written = """
        # whom we like
        prop.town = "Nantes" and list on "La « lettre »"
        or not orders.count >= 2 [within_days 90, category ("jazz", "rock")]
    """
    tree = text.read(written, Catalogue(workspace))
    assert to_json(parse(tree, Catalogue(workspace))) == {
        "v": 1,
        "match": "any",
        "rules": [
            {
                "match": "all",
                "rules": [
                    {"field": "prop.town", "op": "is", "value": "Nantes"},
                    {"field": "list", "op": "on", "value": letters},
                ],
            },
            {
                "match": "none",
                "rules": [
                    {
                        "field": "orders.count",
                        "op": "gte",
                        "value": 2,
                        "where": {"within_days": 90, "category": ["jazz", "rock"]},
                    }
                ],
            },
        ],
    }
    assert text.read("everybody", Catalogue(workspace)) == {"v": 1, "match": "all", "rules": []}
    assert text.write(None, Catalogue(workspace)) == "everybody"
