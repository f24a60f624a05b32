"""The rule of a segment as a form: a tree drawn and sent back is the same tree, and nothing typed is lost."""

from __future__ import annotations

from typing import Any

import pytest
from django.template.loader import render_to_string
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from envol.accounts.models import Workspace
from envol.audience.catalogue import Catalogue
from envol.audience.language import parse, to_json
from envol.audience.models import Segment, Shop
from envol.audience.operators import NARROWING, OPERATORS
from envol.events.models import CustomEvent
from envol.web.segment_drawing import Drawing, said
from envol.web.segment_form import DraftGroup, DraftRule, act, draft_of, names, read, tree_of
from tests.audience.segment_people import add_person, declare, make_list, make_topic
from tests.examples import examples

PROPS = {
    "city": "text", "mood": "choice", "visits": "number", "spent": "money", "vip": "boolean", "born": "date",
    "genres": "list", "home": "place",
}  # fmt: skip
WORDS = ["Nantes", "Paris, France", "a;b", "  spaced ", "'; --", "«é»", "0", "true", "%s", "<b>&amp;"]
DAYS = ["2024-02-29", "2026-12-31", "2027-03-01"]


def nowhere(key: str, name: str) -> tuple[float, float] | None:
    return None


def sent(pairs: Any) -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    for name, text in pairs:
        made.setdefault(name, []).append(text)
    return made


def controls(html: str) -> list[tuple[str, str]]:
    """What a browser would send of this form: the successful controls, in order."""
    found = []
    for node in LexborHTMLParser(html).css("input[name], select[name], textarea[name]"):
        name, kind = str(node.attributes["name"]), node.attributes.get("type")
        if kind in ("checkbox", "radio"):
            if "checked" in node.attributes:
                found.append((name, node.attributes.get("value") or ""))
        elif node.tag == "select":
            options = node.css("option")
            chosen = [o for o in options if "selected" in o.attributes] or options[:1]
            found += [(name, o.attributes.get("value") or "") for o in chosen]
        else:
            found.append((name, node.attributes.get("value") or ""))
    return found


@pytest.fixture(scope="module")
def shelf() -> Workspace:
    from envol.accounts.workspaces import create_workspace

    workspace = create_workspace("shelf-of-forms")
    for key, kind in PROPS.items():
        declare(workspace, key, kind, choices=["calm", "happy"] if kind in ("choice", "list") else None)
    make_list(workspace, "Abonnés")
    make_topic(workspace, "Vin")
    told = {"shop": "text", "amount": "number", "first": "boolean"}
    CustomEvent.objects.create(workspace=workspace, key="visit", label_fr="Visite", label_en="Visit", properties=told)
    for n in range(2):
        Shop.objects.create(workspace=workspace, name=f"Boutique {n}", country="FR", lat=45 + n, lon=4)
    add_person(workspace, "a@lecteurs.example", props={"city": "Nantes", "genres": ["calm"]}, tags=["vip"])
    Segment.objects.create(workspace=workspace, name="Autre", tree={"v": 1, "match": "all", "rules": []})
    return workspace


def value(catalogue: Catalogue, field: Any, shape: str, draw: Any) -> Any:
    texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True)
    cents = st.integers(-(10**9), 10**9)
    ids = st.sampled_from([c.value for c in field.choices] or [1])
    number = st.one_of(st.integers(-(10**9), 10**9), st.floats(-1e9, 1e9, allow_nan=False))

    def pair(one: Any) -> Any:
        return st.lists(one, min_size=2, max_size=2).map(sorted)

    made = {
        "none": st.none(), "text": st.sampled_from(WORDS), "texts": texts, "number": number, "numbers": pair(number),
        "whole": st.integers(0, 10**9), "wholes": pair(st.integers(0, 99)), "cents": cents, "cents_pair": pair(cents),
        "boolean": st.booleans(), "date": st.sampled_from(DAYS), "dates": pair(st.sampled_from(DAYS)),
        "days": st.integers(0, 36_500), "spread": st.integers(0, 182), "times": st.integers(1, 50),
        "year_days": st.lists(st.sampled_from(["02-29", "12-31", "01-01"]), min_size=2, max_size=2),
        "ages": pair(st.integers(0, 150)),
            "near": st.fixed_dictionaries(
            {"lat": st.floats(-90, 90), "lon": st.floats(-180, 180), "km": st.integers(1, 900)},
            optional={"label": st.sampled_from(["Nantes", "L'Île-d'Yeu"])},
        ),
        "countries": st.lists(st.sampled_from(["FR", "BE"]), min_size=1, unique=True),
        "currency": st.sampled_from(["EUR", "CHF"]),
        "share": st.fixed_dictionaries({"percent": st.integers(1, 100), "seed": st.sampled_from(["", "mars"])}),
        "choice": st.sampled_from([str(c.value) for c in field.choices] or WORDS),
        "choices": st.lists(st.sampled_from([str(c.value) for c in field.choices] or WORDS), min_size=1, unique=True),
        "shop_km": st.integers(1, 500), "shops": st.lists(ids, min_size=1, max_size=2, unique=True),
        "departments": st.lists(st.sampled_from(["69", "2A", "Isère"]), min_size=1, unique=True),
        "regions": st.lists(st.sampled_from(["Bretagne", "11"]), min_size=1, unique=True),
        "percent": st.integers(0, 100), "rhythms": st.integers(1, 10), "strength": st.integers(1, 100),
        "origin": st.sampled_from(["declared", "inferred"]),
        "fact": st.sampled_from(
            [
                {"name": "shop", "op": "contains", "value": "Nantes"}, {"name": "amount", "op": "gte", "value": 2.5},
                {"name": "first", "op": "is", "value": True},
            ]
        ),
        "measure": st.sampled_from(
            [{"name": "amount", "op": op, "value": value} for op, value in (("gte", 2.5), ("is_not", -1), ("lt", 0))]
        ),
        "id_years": st.fixed_dictionaries(
            {"list": ids, "years": st.lists(st.integers(1, 9), min_size=1, unique=True), "days": st.integers(0, 9)}
        ),
        "id": ids, "id_days": st.fixed_dictionaries({"list": ids, "days": st.integers(0, 90)}),
    }[shape]  # fmt: skip
    return draw(made)


@st.composite
def rules(draw: Any, catalogue: Catalogue) -> dict[str, Any]:
    field = draw(st.sampled_from(sorted(catalogue.fields.values(), key=lambda f: f.key)))
    op = draw(st.sampled_from(sorted(OPERATORS[field.kind])))
    made: dict[str, Any] = {"field": field.key, "op": op}
    found = value(catalogue, field, OPERATORS[field.kind][op], draw)
    if found is not None:
        made["value"] = found
    narrowing = NARROWING.get(field.kind, {})
    keys = draw(st.lists(st.sampled_from(sorted(narrowing) or ["-"]), max_size=2, unique=True))
    if narrowing and keys:
        made["where"] = {key: value(catalogue, field, narrowing[key], draw) for key in keys}
    return made


def trees(catalogue: Catalogue) -> Any:
    def group(rules_: Any, least: int) -> Any:
        return st.fixed_dictionaries(
            {"match": st.sampled_from(["all", "any", "none"]), "rules": st.lists(rules_, min_size=least, max_size=3)}
        )

    one = rules(catalogue)
    level3 = group(one, 1)
    return group(st.one_of(one, group(st.one_of(one, level3), 1)), 0)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_tree_drawn_as_a_form_and_sent_back_is_the_same_tree(shelf: Workspace, data: st.DataObject) -> None:
    """By the names alone, and by the very HTML that a browser would get."""
    catalogue = Catalogue(shelf)
    wanted = to_json(parse(data.draw(trees(catalogue)), catalogue))
    draft = draft_of(wanted, catalogue)
    for posted in (sent(names(draft)), drawn(catalogue, draft)):
        meaning = tree_of(read(posted), catalogue, nowhere)
        assert meaning.problems == [] and not meaning.unfinished
        assert to_json(parse(meaning.tree, catalogue)) == wanted
        assert meaning.counted == meaning.tree


def drawn(catalogue: Catalogue, draft: DraftGroup) -> dict[str, list[str]]:
    html = render_to_string("segments/_group.html", {"group": Drawing(catalogue).tree(draft)})
    return sent(controls(html))


def test_every_operator_can_be_built_from_the_form(shelf: Workspace) -> None:
    """From "add a rule" on: choose the field, the operator, fill what is drawn; it is a rule that parses."""
    catalogue = Catalogue(shelf)
    filled = {
        "v": "1", "v.low": "1", "v.high": "2", "v.km": "5", "v.label": "Nantes", "v.lat": "47.2", "v.lon": "-1.5",
        "v.days": "30", "v.percent": "10", "v.low.day": "01", "v.low.month": "02", "v.high.day": "03",
        "v.high.month": "04", "v.more": "FR",
    }  # fmt: skip
    built = set()
    for field in catalogue.fields.values():
        for op, shape in OPERATORS[field.kind].items():
            draft = DraftGroup()
            assert act(draft, "add:") == "r.0.f"
            posted = drawn(catalogue, draft)
            posted["r.0.f"] = [field.key]
            first = read(posted)
            tree_of(first, catalogue, nowhere)
            posted = drawn(catalogue, first)
            assert posted["r.0.f"] == [field.key]
            posted["r.0.o"] = [op]
            posted = drawn(catalogue, read(posted))
            boxes = LexborHTMLParser(
                render_to_string("segments/_group.html", {"group": Drawing(catalogue).tree(read(posted))})
            )
            for node in boxes.css("[name^='r.0.v']"):
                name = str(node.attributes["name"])
                part = name.removeprefix("r.0.")
                if node.tag == "select":
                    options = [o.attributes.get("value") for o in node.css("option")]
                    posted[name] = [posted[name][0] or next(str(o) for o in options if o)]
                    if part in filled and filled[part] in options:
                        posted[name] = [filled[part]]
                elif node.attributes.get("type") == "checkbox":
                    posted[name] = [str(node.attributes["value"])]
                elif node.attributes.get("type") != "hidden":
                    posted[name] = [filled.get(part, "1")]
            if shape in ("departments", "regions"):
                posted["r.0.v.more"] = ["Bretagne" if shape == "regions" else "Isère"]
            if shape in ("date", "dates"):
                posted |= {n: ["2027-03-01"] for n in posted if n.startswith("r.0.v")}
            meaning = tree_of(read(posted), catalogue, lambda key, name: (47.2, -1.5))
            assert meaning.problems == [], (field.key, op, posted, meaning.problems)
            made = to_json(parse(meaning.tree, catalogue))["rules"][0]
            assert (made["field"], made["op"]) == (field.key, op)
            built.add((field.kind, op))
    assert built >= {(kind, op) for kind in OPERATORS for op in OPERATORS[kind]}


def one(field: str, op: str, **typed: list[str]) -> DraftGroup:
    return DraftGroup("all", [DraftRule(field, op, {k.replace("_", ".", 1): v for k, v in typed.items()})])


@pytest.mark.parametrize(("draft", "says"), [
    (one("prop.visits", "gt", v=["douze"]), "Write a number"),
    (one("prop.spent", "gt", v=["12,345"]), "Write an amount"),
    (one("prop.born", "in_last", v=["-3"]), "number of days"),
    (one("prop.home", "near", v_km=["5"], v_label=["Nulle-Part"]), "Nobody knows where"),
    (one("prop.gone", "is", v=["x"]), "choose one of the catalogue"),
    (one("prop.mood", "in", v=["calm", "angry"]), "is not a choice"),
    (one("orders.count", "gte", v=["1"], w_within_days=["soon"]), "number of days"),
])  # fmt: skip
def test_what_is_wrong_is_said_at_its_place_and_stays_as_typed(shelf: Workspace, draft: DraftGroup, says: str) -> None:
    catalogue = Catalogue(shelf)
    meaning = tree_of(draft, catalogue, nowhere)
    (problem,) = meaning.wrong
    assert problem.path == "0" and says in problem.sentence
    posted = drawn(catalogue, draft)
    rule = draft.items[0]
    assert isinstance(rule, DraftRule)
    for part, texts in rule.typed.items():
        if catalogue.fields.get(rule.field):
            assert set(texts) <= set(posted[f"r.0.{part}"])
    html = render_to_string("segments/_group.html", {"group": Drawing(catalogue, meaning.problems).tree(draft)})
    assert said(problem).split("“")[0] in html


@pytest.mark.parametrize(("typed", "cents"), [
    ("12", 1200), ("12.5", 1250), ("1 250,50 €", 125050), ("1 250", 125000), ("-3.05", -305), ("0", 0),
])  # fmt: skip
def test_money_is_written_as_people_write_it(shelf: Workspace, typed: str, cents: int) -> None:
    meaning = tree_of(one("prop.spent", "gt", v=[typed]), Catalogue(shelf), nowhere)
    assert meaning.tree["rules"][0]["value"] == cents and not meaning.problems


def test_a_place_is_found_by_its_name_and_follows_it(shelf: Workspace) -> None:
    spots = {"Nantes": (47.2, -1.55), "Brest": (48.4, -4.5)}
    draft = one("prop.home", "near", v_km=["20"], v_label=["Nantes"])
    catalogue = Catalogue(shelf)
    meaning = tree_of(draft, catalogue, lambda key, name: spots.get(name))
    assert parse(meaning.tree, catalogue).rules[0].value == {"lat": 47.2, "lon": -1.55, "km": 20, "label": "Nantes"}
    posted = drawn(catalogue, draft)
    posted["r.0.v.label"] = ["Brest"]
    again = tree_of(read(posted), catalogue, lambda key, name: spots.get(name))
    assert again.tree["rules"][0]["value"]["lat"] == "48.4", "the spot of the other name is forgotten"


def test_another_field_empties_the_value(shelf: Workspace) -> None:
    posted = drawn(Catalogue(shelf), one("prop.city", "is", v=["Nantes"]))
    posted["r.0.f"] = ["prop.visits"]
    (rule,) = read(posted).items
    assert rule == DraftRule("prop.visits")


def test_a_rule_nobody_has_filled_is_left_out_of_the_count(shelf: Workspace) -> None:
    draft = one("prop.city", "is", v=["Nantes"])
    act(draft, "add:")
    act(draft, "group:")
    meaning = tree_of(draft, Catalogue(shelf), nowhere)
    assert meaning.unfinished == {"1", "2.0"} and meaning.wrong == []
    assert [r["field"] for r in meaning.counted["rules"]] == ["prop.city"]
    assert {p.path for p in meaning.problems} >= {"1", "2.0"}


def shape_of(draft: DraftGroup) -> Any:
    return [i.field if isinstance(i, DraftRule) else shape_of(i) for i in draft.items]


@pytest.mark.parametrize(("command", "after", "focus"), [
    ("add:", ["a", ["b", "c"], "d", ""], "r.3.f"),
    ("add:1", ["a", ["b", "c", ""], "d"], "r.1.2.f"),
    ("group:", ["a", ["b", "c"], "d", [""]], "r.3.0.f"),
    ("remove:0", [["b", "c"], "d"], "r.0.m"),
    ("remove:1", ["a", "d"], "r.1.f"),
    ("remove:1.1", ["a", ["b"], "d"], "r.1.0.f"),
    ("copy:0", ["a", "a", ["b", "c"], "d"], "r.1.f"),
    ("copy:1", ["a", ["b", "c"], ["b", "c"], "d"], "r.2.m"),
    ("up:2", ["a", "d", ["b", "c"]], "r.1.up"),
    ("down:0", [["b", "c"], "a", "d"], "r.1.down"),
    ("up:0", ["a", ["b", "c"], "d"], "r.0.up"),
    ("up:1.0", ["a", "b", ["c"], "d"], "r.1.up"),
    ("down:1.1", ["a", ["b"], "c", "d"], "r.2.down"),
    ("remove:7", ["a", ["b", "c"], "d"], ""),
    ("remove:", ["a", ["b", "c"], "d"], ""),
    ("nonsense:0", ["a", ["b", "c"], "d"], ""),
    ("add:0", ["a", ["b", "c"], "d"], ""),
    ("up:9999999999", ["a", ["b", "c"], "d"], ""),
])  # fmt: skip
def test_the_buttons(command: str, after: Any, focus: str) -> None:
    draft = DraftGroup("all", [DraftRule("a"), DraftGroup("any", [DraftRule("b"), DraftRule("c")]), DraftRule("d")])
    assert act(draft, command) == focus
    assert shape_of(draft) == after


def test_groups_stop_at_four_levels() -> None:
    draft = DraftGroup()
    for path in ("", "0", "0.1"):
        act(draft, f"group:{path}")
    before = shape_of(draft)
    assert act(draft, "group:0.1.1") == "" and shape_of(draft) == before


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(
    st.from_regex(r"\Ar(\.[0-9]{1,6}){0,9}(\.(m|f|o|k|v|v\.more|v\.low|w\.within_days|zz))?\Z"),
    st.sampled_from(["", "prop.city", "all", "is", "is_not", "\x00", "x" * 999, "near", "prop.home", "½"]),
), max_size=40))  # fmt: skip
def test_no_form_makes_it_fail(shelf: Workspace, pairs: list[tuple[str, str]]) -> None:
    catalogue = Catalogue(shelf)
    draft = read(sent(pairs))
    meaning = tree_of(draft, catalogue, nowhere)
    if not meaning.problems:
        parse(meaning.tree, catalogue)
    render_to_string("segments/_group.html", {"group": Drawing(catalogue, meaning.problems).tree(draft)})
