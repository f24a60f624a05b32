# ruff: noqa: E501 -- an expression is read better on one line
"""Segments in the dialect's expressions: there and back, and as the people of a campaign."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envol.accounts.workspaces import create_workspace
from envol.api.rest import filters
from envol.api.rest.expressions import Compared, Every, Function, Name, Not, NotRead, Some, Value, read, write
from envol.audience import counting, segments
from envol.audience.models import Segment
from envol.campaigns.models import Campaign
from envol.contacts.models import Property
from tests.api.program import Program
from tests.api.test_drafts import draft
from tests.api.test_drafts import program as _program
from tests.examples import examples

program = _program

KNOWN = {
    key: Property(key=key, label_fr=label, label_en=label, type=kind)
    for key, label, kind in (
        ("city", "City", "text"), ("age", "age", "number"), ("vip", "VIP", "boolean"), ("born", "born", "date"),
        ("shoe_size", "Shoe-Size", "number"), ("pet", "pet", "choice"), ("likes", "likes", "list"), ("spent", "spent", "money"),
    )
}  # fmt: skip

# ---- there and back

_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True).filter(
    lambda word: word.lower() not in ("and", "or", "not", "true", "false")
)
_NUMBERS = st.integers(-(10**9), 10**9) | st.integers(-(10**6), 10**6).map(lambda n: n / 4 + 0.25).filter(
    lambda n: not n.is_integer()
)
_OPERANDS: st.SearchStrategy[Any] = st.recursive(
    st.builds(Name, _NAMES) | st.builds(Value, st.text(max_size=20) | _NUMBERS | st.booleans()),
    lambda inner: st.builds(Function, _NAMES.map(str.lower), st.lists(inner, max_size=3).map(tuple)),
    max_leaves=4,
)
_NODES: st.SearchStrategy[Any] = st.recursive(
    st.builds(Compared, _OPERANDS, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), _OPERANDS) | _OPERANDS,
    lambda inner: (
        st.builds(Every, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Some, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Not, inner)
    ),
    max_leaves=8,
)


@settings(max_examples=examples(60), deadline=None)
@given(_NODES)
def test_what_is_written_is_read_as_it_was(node: Any) -> None:
    assert read(write(node)) == node


_DAYS = st.dates().map(lambda day: day.isoformat())
_RULES = st.one_of(
    st.builds(lambda op, text: {"field": "prop.city", "op": op, "value": text}, st.sampled_from(["is", "is_not", "contains", "not_contains", "begins"]), st.text(min_size=1, max_size=8)),
    st.builds(lambda op, number: {"field": "prop.shoe_size", "op": op, "value": number}, st.sampled_from(["is", "is_not", "lt", "lte", "gt", "gte"]), st.integers(-99, 99)),
    st.builds(lambda pair: {"field": "prop.spent", "op": "between", "value": sorted(pair)}, st.lists(st.integers(0, 10**6), min_size=2, max_size=2)),
    st.builds(lambda truth: {"field": "prop.vip", "op": "is", "value": truth}, st.booleans()),
    st.builds(lambda op, day: {"field": "prop.born", "op": op, "value": day}, st.sampled_from(["is", "before", "after"]), _DAYS),
    st.builds(lambda op, days: {"field": "prop.born", "op": op, "value": days}, st.sampled_from(["in_last", "in_next"]), st.integers(0, 99)),
    st.builds(lambda op, few: {"field": "prop.pet", "op": op, "value": few}, st.sampled_from(["in", "not_in"]), st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True)),
    st.builds(lambda op: {"field": "prop.likes", "op": op}, st.sampled_from(["known", "unknown"])),
    st.builds(lambda n: {"field": "mail.opened", "op": "at_least", "value": 1, "where": {"within_days": n}}, st.integers(0, 999)),
    st.builds(lambda n: {"field": "segment", "op": "in", "value": n}, st.integers(1, 99)),
    st.just({"field": "prop.born", "op": "anniversary", "value": 0}),
    st.just({"field": "prop.born", "op": "anniversary_between", "value": ["12-25", "12-25"]}),
)  # fmt: skip
_TREES: st.SearchStrategy[Any] = st.recursive(
    _RULES,
    lambda inner: st.builds(lambda match, rules: {"match": match, "rules": rules}, st.sampled_from(["all", "any", "none"]), st.lists(inner, min_size=1, max_size=3)),
    max_leaves=6,
)  # fmt: skip


_PEOPLE: tuple[dict[str, Any], ...] = (
    {},
    {"city": "0", "shoe_size": 0, "vip": False, "pet": "a", "spent": 0, "born": "2000-01-01", "mail": 0, "segment": 1},
    {"city": "a0b", "shoe_size": 38, "vip": True, "pet": "b", "spent": 99_999, "born": "1990-12-25", "likes": 1, "mail": 9, "segment": 2},
    {"city": "A", "shoe_size": -7, "pet": "c", "spent": 500_000, "born": "2024-02-29", "likes": 1, "mail": 500, "segment": 99},
)  # fmt: skip


def holds(node: dict[str, Any], who: dict[str, Any]) -> bool:
    """What the language says of one person, written a second time."""
    if "rules" in node:
        found = [holds(one, who) for one in node["rules"]]
        return {"all": all(found), "any": any(found), "none": not any(found)}[node["match"]]
    has = who.get(node["field"].removeprefix("prop.").partition(".")[0])
    op, value = node["op"], node.get("value")
    if node["field"] == "mail.opened":
        value = node["where"]["within_days"]
    tests: dict[str, Any] = {
        "is": lambda: has == value, "contains": lambda: value in has, "begins": lambda: has.startswith(value),
        "lt": lambda: has < value, "lte": lambda: has <= value, "gt": lambda: has > value, "gte": lambda: has >= value,
        "before": lambda: has < value, "after": lambda: has > value, "between": lambda: value[0] <= has <= value[1],
        "in": lambda: has in value if isinstance(value, list) else has == value, "known": lambda: True,
        "in_last": lambda: len(has) > value, "in_next": lambda: len(has) <= value, "at_least": lambda: has <= value,
        "anniversary": lambda: has.endswith("29"), "anniversary_between": lambda: has[5:] == value[0],
    }  # fmt: skip
    opposite = {"is_not": "is", "not_contains": "contains", "not_in": "in", "unknown": "known"}
    if op in opposite:
        return has is None or not tests[opposite[op]]()
    return has is not None and bool(tests[op]())


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(_TREES, min_size=1, max_size=3))
def test_what_we_say_in_the_dialect_means_the_same_here(rules: list[Any]) -> None:
    tree = {"v": 1, "match": "all", "rules": rules}
    said = filters.expression_of(Segment(pk=7, tree=tree, by_hand=False), KNOWN)
    meant = filters._Meaning(KNOWN).node(read(said))
    for who in _PEOPLE:
        assert holds(meant, who) == holds(tree, who), said


@pytest.mark.parametrize(
    ("said", "field", "op", "value"),
    [
        ('(city="Nantes")', "prop.city", "is", "Nantes"),
        ("CITY = 'Nantes'", "prop.city", "is", "Nantes"),
        ('(city<>"x \\"y\\"")', "prop.city", "is_not", 'x "y"'),
        ("age=40", "prop.age", "is", 40),
        ("(Shoe-Size>=38.5)", "prop.shoe_size", "gte", 38.5),
        ('(age<"40")', "prop.age", "lt", 40),
        ("18<age", "prop.age", "gt", 18),
        ("(spent>10.5)", "prop.spent", "gt", 1050),
        ("(vip=true)", "prop.vip", "is", True),
        ("IsProvided(vip)", "prop.vip", "known", None),
        ("isbetweennumbers(age,1,5)", "prop.age", "between", [1, 5]),
        ('StartsWith(city,"Na")', "prop.city", "begins", "Na"),
        ('Contains(city,"an")', "prop.city", "contains", "an"),
        ("(born<ToDate(946684800))", "prop.born", "before", "2000-01-01"),
        ("(born < DateTimeNow())", "prop.born", "in_last", 36500),
        ('Between(born,"1990-01-01T00:00:00Z","2000-12-31")', "prop.born", "between", ["1990-01-01", "2000-12-31"]),
        ("IsInNextDays(born,7)", "prop.born", "in_next", 7),
        ("IsInPreviousDays(born,30)", "prop.born", "in_last", 30),
        ('FormatDateTime("dd/mm",born)="25/12"', "prop.born", "anniversary_between", ["12-25", "12-25"]),
        ('FormatDateTime("mm-dd",born)=FormatDateTime("mm-dd",DateTimeNow())', "prop.born", "anniversary", 0),
        ('FormatDateTimeTZ("yyyy-mm-dd",born,"+03:00")="2000-02-29"', "prop.born", "is", "2000-02-29"),
        ("hasopenedsince(30)", "mail.opened", "at_least", 1),
        ("InSegment(12)", "segment", "in", 12),
    ],
)  # fmt: skip
def test_what_an_expression_means(said: str, field: str, op: str, value: Any) -> None:
    rule = filters._Meaning(KNOWN).node(read(said))
    assert (rule["field"], rule["op"], rule.get("value")) == (field, op, value)


def test_groups() -> None:
    found = filters._Meaning(KNOWN).node(
        read('((age>1) AND (vip=true) and (age<9)) OR (not (city="x" or IsProvided(born)))')
    )
    assert found["match"] == "any" and [one["match"] for one in found["rules"]] == ["all", "none"]
    assert [len(one["rules"]) for one in found["rules"]] == [3, 2]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("(age>", "a property, a function or a value is expected at column 6, not the end"),
        ("(age>1", '")" is expected at column 7, not the end'),
        ("age>1 vip=true", '"AND" or "OR" is expected at column 7, not "vip"'),
        ("age ~ 1", '"~" at column 5 means nothing here'),
        ("height>1", '"height" is not a property of contacts here'),
        ("age>vip", '"age" is compared with a value'),
        ('age>"tall"', '"age" is compared with a number'),
        ("city>1", '"City" is compared with = or !='),
        ("vip=2", '"VIP" is true or false'),
        ("born=5", "a date is compared with a date: ToDate(SECONDS) or a text like 2024-12-31"),
        ('EndsWith(city,"s")', "there is no endswith() with 2 values here"),
        ("vip", "a comparison or a condition is expected, for example (age>18) or IsProvided(age)"),
        ("not " * 99 + "vip=true", "it is nested too deeply"),
        ("f(" * 99, "it is nested too deeply"),
        ("a" * 20_001, "it is longer than 20000 characters"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_place(said: str, why: str) -> None:
    with pytest.raises(NotRead) as wrong:
        filters._Meaning(KNOWN).node(read(said))
    assert str(wrong.value).startswith(why)


# ---- the resource


def many(program: Program, segment: Segment) -> int:
    return len(counting.people(program.workspace, segment.tree, 0, 100))


def test_a_segment_from_a_program_and_one_from_a_member(program: Program) -> None:
    program.made_one("contactmetadata", {"Name": "Age", "Datatype": "int"})
    for email, age in (("luc@lecteurs.example", 12), ("eve@lecteurs.example", 40), ("ada@lecteurs.example", None)):
        program.made_one("contact", {"Email": email})
        program("PUT", f"contactdata/{email}", {"Data": [{"Name": "Age", "Value": age}]})
    made = program.made_one("contactfilter", {"Name": "Adults", "Expression": "(age >= 18)", "Description": "by age"})
    assert made == {
        "Description": "by age",
        "Expression": "(age >= 18)",
        "ID": made["ID"],
        "Name": "Adults",
        "Status": "unused",
    }
    segment = Segment.objects.get(pk=made["ID"])
    assert many(program, segment) == 1
    for key in (made["ID"], "Adults"):
        assert program.rows(f"contactfilter/{key}") == [made]
    path = f"contactfilter/{made['ID']}"
    assert program("PUT", path, made)[0] == 304
    status, told = program("PUT", path, {"Expression": "not IsProvided(age)"})
    assert status == 200 and told["Data"][0]["Expression"] == "not IsProvided(age)"
    segment.refresh_from_db()
    assert many(program, segment) == 1
    # A member changes it: the program reads what it says now.
    segments.save(
        program.workspace,
        "Adults",
        {"v": 1, "match": "all", "rules": [{"field": "prop.age", "op": "gt", "value": 20}]},
        segment=segment,
    )
    assert program.rows(path)[0]["Expression"] == "Age>20"
    rule = {"field": "orders.count", "op": "gte", "value": 2}
    buyers = segments.save(program.workspace, "Buyers", {"v": 1, "match": "all", "rules": [rule]})
    (theirs,) = program.rows(f"contactfilter/{buyers.pk}")
    assert theirs["Expression"] == f"InSegment({buyers.pk})" and theirs["Status"] == "unused"
    assert (
        program("PUT", f"contactfilter/{buyers.pk}", {"Name": "Shoppers", "Expression": theirs["Expression"]})[0] == 200
    )
    buyers.refresh_from_db()
    assert buyers.name == "Shoppers" and buyers.tree["rules"] == [rule]
    both = program.made_one("contactfilter", {"Name": "Both", "Expression": f"(InSegment({buyers.pk})) AND (Age>18)"})
    assert program.rows(f"contactfilter/{buyers.pk}")[0]["Status"] == "used"
    assert [one["Name"] for one in program.rows("contactfilter?Status=used")] == ["Shoppers"]
    status, told = program("DELETE", f"contactfilter/{buyers.pk}")
    assert status == 400 and "Both" in told["ErrorMessage"]
    assert program("DELETE", f"contactfilter/{both['ID']}")[0] == 204
    status, told = program("POST", "contactfilter", {"Name": "Adults", "Expression": "age=1"})
    assert (
        status == 400
        and told["ErrorMessage"] == 'MJ18 A ContactFilter resource with value "Adults" for Name already exists.'
    )
    status, told = program("POST", "contactfilter", {"Name": "x", "Expression": "height>1"})
    assert (
        status == 400
        and told["ErrorMessage"] == 'MJ08 Property Expression is invalid: "height" is not a property of contacts here'
    )
    stranger = Program(create_workspace(f"f{program.workspace.pk}"))
    assert stranger.rows("contactfilter") == [] and stranger("GET", path)[0] == 404
    status, told = stranger("POST", "contactfilter", {"Name": "theirs", "Expression": f"InSegment({buyers.pk})"})
    assert status == 400, "a segment of another workspace is none"


def test_a_campaign_for_a_part_of_a_list(program: Program) -> None:
    program.made_one("contactmetadata", {"Name": "Age", "Datatype": "int"})
    adults = program.made_one("contactfilter", {"Name": "Adults", "Expression": "(Age>=18)"})
    made, club = draft(program, SegmentationID=adults["ID"])
    assert made["SegmentationID"] == adults["ID"] and made["ContactsListID"] == club["ID"]
    for email, age in (("luc@lecteurs.example", 12), ("eve@lecteurs.example", 40)):
        program(
            "POST",
            f"contactslist/{club['ID']}/managecontact",
            {"Email": email, "Action": "addforce", "Properties": {"Age": age}},
        )
    program.made_one("contact", {"Email": "out@lecteurs.example"})
    program("PUT", "contactdata/out@lecteurs.example", {"Data": [{"Name": "Age", "Value": 50}]})
    segment = Campaign.objects.get(pk=made["ID"]).segment
    assert segment is not None and many(program, segment) == 1
    assert [one["ID"] for one in program.rows(f"campaigndraft?Segmentation={adults['ID']}")] == [made["ID"]]
    path = f"campaigndraft/{made['ID']}"
    assert program("PUT", path, {"Subject": "Hiver"})[1]["Data"][0]["SegmentationID"] == adults["ID"]
    assert program("PUT", path, {"SegmentationID": 0})[1]["Data"][0]["SegmentationID"] == 0
    segment = Campaign.objects.get(pk=made["ID"]).segment
    assert segment is not None and many(program, segment) == 2
    status, told = program("PUT", path, {"SegmentationAlt": "nobody"})
    assert (
        status == 400
        and told["ErrorMessage"]
        == 'Property "Segmentation", alternate key value "nobody" could not be resolved to an ID'
    )
