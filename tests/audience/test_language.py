from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envol import db
from envol.accounts.models import Workspace
from envol.accounts.workspaces import create_workspace
from envol.audience import catalogue as fields
from envol.audience import engine, offers, segments, stages
from envol.audience.catalogue import Catalogue
from envol.audience.language import SegmentProblem, parse, to_json
from envol.audience.models import Segment
from tests.audience.segment_people import add_event, add_order, add_person, add_stay, declare, make_list
from tests.examples import examples

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)


def all_of(*rules: Any) -> dict[str, Any]:
    return {"v": 1, "match": "all", "rules": list(rules)}


def rule(field: str, op: str, value: Any = None, **where: Any) -> dict[str, Any]:
    made = {"field": field, "op": op, "value": value}
    return {**made, "where": where} if where else made


def problems(workspace: Workspace, tree: Any) -> list[tuple[str, str]]:
    with pytest.raises(SegmentProblem) as caught:
        parse(tree, Catalogue(workspace))
    return [(p.path, p.sentence) for p in caught.value.problems]


def people(workspace: Workspace, tree: Any, now: datetime = NOW) -> set[int]:
    query, params = engine.ids_sql(workspace, tree, now=now)
    return {row[0] for row in db.rows(query, params)}


def test_no_rules_means_everybody_of_this_workspace_and_nobody_of_another(workspace: Workspace) -> None:
    other = create_workspace(workspace.name + "-b")
    mine, hers = add_person(workspace, "a@lecteurs.example"), add_person(other, "a@lecteurs.example")
    assert people(workspace, None) == people(workspace, all_of()) == {mine}
    nobody = {"v": 1, "match": "none", "rules": [rule("email", "contains", "@")]}
    assert people(workspace, nobody) == set()
    assert people(other, None) == {hers}


@pytest.mark.parametrize(
    ("tree", "path", "says"),
    [
        ([], "", "A group is"),
        ({"match": "some", "rules": []}, "", "all, any or none"),
        ({"v": 2, "match": "all", "rules": []}, "", "newer version"),
        (all_of(rule("prop.nothing", "is", 1)), "0", "choose one of the catalogue"),
        (all_of(rule("prop.city", "gt", 1)), "0", "use begins"),
        (all_of(rule("prop.city", "is", "")), "0", "Write a text"),
        (all_of(rule("prop.city", "is", "a\x00b")), "0", "cannot be stored"),
        (all_of(rule("prop.city", "is", "\ud800")), "0", "cannot be stored"),
        (all_of(rule("prop.city", "is", "x" * 501)), "0", "longer than 500"),
        (all_of(rule("prop.city", "known", "x")), "0", "takes no value"),
        (all_of(rule("prop.born", "before", "2027-02-30")), "0", "year-month-day"),
        (all_of(rule("prop.born", "between", ["2027-03-02", "2027-03-01"])), "0", "exchange them"),
        (all_of(rule("prop.born", "in_last", -1)), "0", "between 0 and"),
        (all_of(rule("prop.home", "near", {"lat": 91, "lon": 0, "km": 1})), "0", "between -90 and 90"),
        (all_of(rule("prop.home", "near", {"lat": float("nan"), "lon": 0, "km": 1})), "0", "Write a number"),
        (all_of(rule("prop.mood", "is", "angry")), "0", "use calm or happy"),
        (all_of(rule("list", "on", 987654321)), "0", "choose one that exists"),
        (all_of(rule("list", "on", True)), "0", "choose one that exists"),
        (all_of(rule("random", "share", 101)), "0", "at most 100"),
        (all_of(rule("permission", "may_write", "parties")), "0", "is not a choice"),
        (all_of(rule("orders.count", "gte", 1, colour="red")), "0", "can be narrowed by"),
        (all_of(rule("prop.city", "is", "x", within_days=1)), "0", "cannot be narrowed"),
        (all_of({"match": "any", "rules": []}), "0", "is empty"),
        (all_of(all_of(all_of(all_of(all_of(rule("email", "known")))))), "0.0.0.0", "4 levels"),
        (all_of(*[rule("email", "known")] * 201), "", "More than 200"),
        (all_of({"field": "email", "op": "known", "sql": "1=1"}), "0", "does not know sql"),
    ],
)
def test_a_tree_that_cannot_be_used_is_refused_with_its_place_and_what_to_do(
    workspace: Workspace, tree: Any, path: str, says: str
) -> None:
    for key, kind in (("city", "text"), ("born", "date"), ("home", "place")):
        declare(workspace, key, kind)
    declare(workspace, "mood", "choice", ["calm", "happy"])
    found = problems(workspace, tree)
    assert found[0][0] == path
    assert says in found[0][1], found


def test_all_problems_are_told_at_once(workspace: Workspace) -> None:
    tree = all_of(rule("x", "is", 1), {"match": "any", "rules": [rule("email", "known"), rule("email", "near", 1)]})
    assert [path for path, _ in problems(workspace, tree)] == ["0", "1.1"]


@pytest.mark.parametrize("raw", [None, 12, "x", {"rules": {}}, {"match": [], "rules": []}])
def test_junk_is_refused_and_never_an_error_of_ours(workspace: Workspace, raw: Any) -> None:
    with pytest.raises(SegmentProblem):
        parse(all_of(raw), Catalogue(workspace))


def test_whatever_json_is_given_it_is_read_or_refused(workspace: Workspace) -> None:
    declare(workspace, "city", "text")
    catalogue = Catalogue(workspace)
    words = st.sampled_from(
        ["field", "op", "value", "where", "match", "rules", "v", "all", "email", "is", "list", "tag"]
    )
    leaf = st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=3)
    junk = st.recursive(
        leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4), max_leaves=12
    )

    @settings(max_examples=examples(200), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(junk, st.sampled_from(sorted(catalogue.fields)), st.text(max_size=8), junk, junk)
    def read(tree: Any, field: str, op: str, value: Any, where: Any) -> None:
        for one in (tree, all_of(tree), all_of({"field": field, "op": op, "value": value, "where": where})):
            try:
                parse(one, catalogue)
            except SegmentProblem as problem:
                assert all(p.sentence for p in problem.problems)

    read()


def test_nothing_typed_is_in_the_sql(workspace: Workspace) -> None:
    """Every typed string travels as a parameter: the statement is the same whatever was typed."""
    declare(workspace, "city", "text")
    declare(workspace, "likes", "list")
    catalogue = Catalogue(workspace)
    add_person(workspace, "a@lecteurs.example", props={"city": "x"})
    hostile = st.sampled_from(
        ["'; DROP TABLE contacts_contact; --", "%s", "%(s0)s", "%%", ":p", "$1", "\\'", '"', "\x1b"]
    )

    def tree(x: str) -> dict[str, Any]:
        return all_of(
            rule("prop.city", "is", x),
            rule("prop.city", "in", [x, "b"]),
            rule("prop.city", "not_contains", x),
            rule("tag", "has_any", [x]),
            rule("prop.likes", "has_all", [x]),
            rule("orders.count", "is", 0, category=[x], product=[x]),
            rule("random", "share", {"percent": 10, "seed": x}),
        )

    plain, _ = engine.ids_sql(catalogue, tree("a"), now=NOW)

    @settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given((hostile | st.text(min_size=1, max_size=20)).filter(str.strip))
    def same(text: str) -> None:
        try:
            query, params = engine.ids_sql(catalogue, tree(text), now=NOW)
        except SegmentProblem:
            return
        assert query == plain
        assert text in params.values()
        db.rows(query, params)

    same()
    assert engine.count(workspace, None) == 1


def test_a_value_of_the_wrong_type_counts_as_no_value(workspace: Workspace) -> None:
    declare(workspace, "visits", "number")
    right = add_person(workspace, "a@lecteurs.example", props={"visits": 3})
    wrong = [
        add_person(workspace, f"w{n}@lecteurs.example", props={"visits": value})
        for n, value in enumerate(["3", True, None, [3], {"n": 3}])
    ]
    assert people(workspace, all_of(rule("prop.visits", "gte", 1))) == {right}
    assert people(workspace, all_of(rule("prop.visits", "unknown"))) == set(wrong)


def test_the_opposite_of_a_rule_is_everybody_else(workspace: Workspace) -> None:
    declare(workspace, "city", "text")
    a = add_person(workspace, "a@lecteurs.example", props={"city": "Nantes"})
    b = add_person(workspace, "b@lecteurs.example", props={"city": "Lyon"})
    c = add_person(workspace, "c@lecteurs.example")
    assert people(workspace, all_of(rule("prop.city", "is", "nantes"))) == {a}
    assert people(workspace, all_of(rule("prop.city", "is_not", "nantes"))) == {b, c}
    assert people(workspace, {"match": "none", "rules": [rule("prop.city", "is", "nantes")]}) == {b, c}


def test_a_percent_sign_and_an_underscore_are_letters(workspace: Workspace) -> None:
    declare(workspace, "code", "text")
    a = add_person(workspace, "a@lecteurs.example", props={"code": "100%_a"})
    add_person(workspace, "b@lecteurs.example", props={"code": "100xya"})
    assert people(workspace, all_of(rule("prop.code", "contains", "0%_"))) == {a}


def test_a_day_is_a_day_of_the_workspace(workspace: Workspace) -> None:
    """23:30 UTC on 28 February is 1 March in Paris."""
    late = datetime(2027, 2, 28, 23, 30, tzinfo=UTC)
    person = add_person(workspace, "a@lecteurs.example", created_at=late)
    assert people(workspace, all_of(rule("created", "is", "2027-03-01"))) == {person}
    assert people(workspace, all_of(rule("created", "in_last", 0))) == {person}
    Workspace.objects.filter(id=workspace.id).update(time_zone="UTC")
    workspace.refresh_from_db()
    assert people(workspace, all_of(rule("created", "is", "2027-03-01"))) == set()


def test_born_on_29_february_is_feted_on_the_28th_of_a_common_year(workspace: Workspace) -> None:
    declare(workspace, "born", "date")
    leap = add_person(workspace, "a@lecteurs.example", props={"born": "1996-02-29"})
    today = all_of(rule("prop.born", "anniversary", 0))
    assert people(workspace, today, datetime(2027, 2, 28, 12, tzinfo=UTC)) == {leap}
    assert people(workspace, today, datetime(2027, 3, 1, 12, tzinfo=UTC)) == set()
    assert people(workspace, today, datetime(2028, 2, 28, 12, tzinfo=UTC)) == set()
    assert people(workspace, today, datetime(2028, 2, 29, 12, tzinfo=UTC)) == {leap}


def test_an_anniversary_between_two_days_may_pass_new_year(workspace: Workspace) -> None:
    declare(workspace, "born", "date")
    december = add_person(workspace, "a@lecteurs.example", props={"born": "1990-12-30"})
    january = add_person(workspace, "b@lecteurs.example", props={"born": "1990-01-02"})
    add_person(workspace, "c@lecteurs.example", props={"born": "1990-06-15"})
    assert people(workspace, all_of(rule("prop.born", "anniversary_between", ["12-25", "01-05"]))) == {
        december,
        january,
    }


def test_places_within_a_radius(workspace: Workspace) -> None:
    declare(workspace, "home", "place")
    nantes = {"label": "Nantes", "country": "FR", "postcode": "44000", "lat": 47.2184, "lon": -1.5536}
    paris = {"label": "Paris", "country": "FR", "postcode": "75001", "lat": 48.8566, "lon": 2.3522}
    a = add_person(workspace, "a@lecteurs.example", props={"home": nantes})
    b = add_person(workspace, "b@lecteurs.example", props={"home": paris})
    # Nantes to Paris is 343 km as the crow flies.
    near = {"lat": 47.2184, "lon": -1.5536, "km": 342}
    assert people(workspace, all_of(rule("prop.home", "near", near))) == {a}
    assert people(workspace, all_of(rule("prop.home", "near", {**near, "km": 344}))) == {a, b}
    assert people(workspace, all_of(rule("prop.home", "postcode_begins", ["44"]))) == {a}
    assert people(workspace, all_of(rule("prop.home", "called", ["Paris", "Lyon"]))) == {b}


def test_orders_by_count_sum_category_and_window(workspace: Workspace) -> None:
    a = add_person(workspace, "a@lecteurs.example")
    b = add_person(workspace, "b@lecteurs.example")
    c = add_person(workspace, "c@lecteurs.example")
    add_order(workspace, a, NOW - timedelta(days=10), [("Kind of Blue", "Jazz", 1500), ("Roman", "Livres", 900)])
    add_order(workspace, a, NOW - timedelta(days=100), [("Giant Steps", "Jazz", 1400)])
    add_order(workspace, b, NOW - timedelta(days=200), [("Roman", "Livres", 5000)])
    assert people(workspace, all_of(rule("orders.count", "gte", 2))) == {a}
    assert people(workspace, all_of(rule("orders.count", "is", 0))) == {c}
    assert people(workspace, all_of(rule("orders.count", "is", 0, within_days=90))) == {b, c}
    assert people(workspace, all_of(rule("orders.sum", "gte", 2900, category=["jazz"]))) == {a}
    assert people(workspace, all_of(rule("orders.sum", "lt", 4000))) == {a, c}
    assert people(workspace, all_of(rule("orders.average", "is", 1900))) == {a}
    assert people(workspace, all_of(rule("orders.last", "more_than_ago", 90))) == {b}


def test_joined_left_and_ever_on_a_list(workspace: Workspace) -> None:
    letter = make_list(workspace, "Lettre")
    a, b, c = (add_person(workspace, f"{n}@lecteurs.example") for n in "abc")
    add_stay(workspace, a, letter, NOW - timedelta(days=3))
    add_stay(workspace, b, letter, NOW - timedelta(days=90), NOW - timedelta(days=2))
    assert people(workspace, all_of(rule("list", "on", letter))) == {a}
    assert people(workspace, all_of(rule("list", "not_on", "Lettre"))) == {b, c}
    assert people(workspace, all_of(rule("list", "ever_on", "Lettre"))) == {a, b}
    assert people(workspace, all_of(rule("list", "joined_in_last", {"list": letter, "days": 7}))) == {a}


def test_machines_and_unmeasured_people_are_not_spoken_of(workspace: Workspace) -> None:
    agreed = add_person(workspace, "a@lecteurs.example", allowed=1)
    silent = add_person(workspace, "b@lecteurs.example", allowed=1)
    unmeasured = add_person(workspace, "c@lecteurs.example")
    add_event(workspace, agreed, 5, NOW)
    add_event(workspace, silent, 5, NOW, machine="prefetch")
    add_event(workspace, unmeasured, 5, NOW)
    if not Catalogue(workspace).purposes:
        from envol.consent.purposes import create_defaults

        create_defaults(workspace)
    assert people(workspace, all_of(rule("mail.opened", "at_least", 1))) == {agreed}
    assert people(workspace, all_of(rule("mail.opened", "never"))) == {silent}


def test_the_room_that_owns_deliveries_tells_them_by_registration(workspace: Workspace) -> None:
    a, b = add_person(workspace, "a@lecteurs.example"), add_person(workspace, "b@lecteurs.example")
    kept = dict(fields._registered)
    try:
        fields.register_activity(
            "sent", "SELECT x.w AS workspace_id, x.c AS contact_id, now() AS at, 7 AS sending_id"
            f" FROM (VALUES ({workspace.id}, {a}), ({workspace.id}, {a}), (0, {b})) AS x(w, c)"
        )  # fmt: skip
        soon = datetime.now(UTC)
        assert people(workspace, all_of(rule("mail.sent", "at_least", 2, within_days=1)), soon) == {a}
        assert people(workspace, all_of(rule("mail.sent", "never")), soon) == {b}
        assert people(workspace, all_of(rule("mail.sent", "at_least", 1, sending=8)), soon) == set()
    finally:
        fields._registered.clear()
        fields._registered.update(kept)
    with pytest.raises(ValueError, match="sent or delivered"):
        fields.register_activity("clicked", "SELECT 1")


def test_a_random_share_is_the_same_people_each_time_and_others_for_another_draw(workspace: Workspace) -> None:
    for n in range(300):
        add_person(workspace, f"p{n}@lecteurs.example")
    tenth = people(workspace, all_of(rule("random", "share", 10)))
    assert 10 <= len(tenth) <= 60
    assert people(workspace, all_of(rule("random", "share", 10))) == tenth
    assert tenth < people(workspace, all_of(rule("random", "share", 20)))
    assert people(workspace, all_of(rule("random", "share", {"percent": 10, "seed": "b"}))) != tenth


def test_a_segment_may_not_contain_itself_by_any_road(workspace: Workspace) -> None:
    first = segments.save(workspace, "First", all_of(rule("email", "known")))
    second = segments.save(workspace, "Second", all_of(rule("segment", "in", "First")))
    with pytest.raises(SegmentProblem, match="would contain itself"):
        segments.save(workspace, "First", all_of(rule("segment", "in", second.pk)), segment=first)
    # Written behind our back all the same: a sentence, not an endless loop.
    Segment.objects.filter(pk=first.pk).update(tree=all_of(rule("segment", "in", second.pk)))
    with pytest.raises(SegmentProblem, match="would contain itself"):
        engine.count(workspace, all_of(rule("segment", "in", second.pk)))


def test_a_frozen_tree_means_who_was_meant_when_it_was_frozen(workspace: Workspace) -> None:
    a, b = add_person(workspace, "a@lecteurs.example"), add_person(workspace, "b@lecteurs.example")
    segment = segments.save(workspace, "S", all_of(rule("email", "begins", "a@")))
    tree = all_of(rule("segment", "in", "S"))
    frozen = to_json(parse(tree, Catalogue(workspace)), freeze=True)
    segments.save(workspace, "S", all_of(rule("email", "begins", "b@")), segment=segment)
    assert people(workspace, tree) == {b}
    assert people(workspace, frozen) == {a}


def test_a_segment_in_use_is_not_deleted(workspace: Workspace) -> None:
    inner = segments.save(workspace, "Inner", None)
    outer = segments.save(workspace, "Outer", all_of(rule("segment", "in", "Inner")))
    with pytest.raises(SegmentProblem, match="used by Outer"):
        segments.delete(inner)
    assert segments.using_field(workspace, "segment") == [outer]
    segments.delete(outer)
    segments.delete(inner)
    with pytest.raises(SegmentProblem, match="another name"):
        segments.save(workspace, "Twice", None)
        segments.save(workspace, "Twice", None)


def test_a_batch_is_the_next_people_in_order(workspace: Workspace) -> None:
    ids = sorted(add_person(workspace, f"p{n}@lecteurs.example") for n in range(7))
    query, params = engine.ids_sql(workspace, None, after=ids[1], limit=3)
    assert [row[0] for row in db.rows(query, params)] == ids[2:5]
    assert len(engine.sample(workspace, None, 3)) == 3
    assert engine.sample(workspace, None, 3) == engine.sample(workspace, None, 3)


def test_why_somebody_is_not_in_it_is_told_rule_by_rule(workspace: Workspace) -> None:
    declare(workspace, "city", "text", fr="Ville", en="City")
    a = add_person(workspace, "a@lecteurs.example", props={"city": "Nantes"})
    tree = all_of(rule("prop.city", "is", "Nantes"), {"match": "none", "rules": [rule("orders.count", "is", 0)]})
    why = engine.explain(workspace, tree, a, "en")
    assert why is not None and not why.holds
    city, none = why.parts
    assert (city.path, city.holds, city.sentence) == ("0", True, "whose “City” is “Nantes”")
    assert (none.path, none.holds) == ("1", False)
    assert (none.parts[0].path, none.parts[0].holds) == ("1.0", True)
    add_order(workspace, a, NOW, [("x", "y", 1)])
    assert engine.explain(workspace, tree, a, "en").holds  # type: ignore[union-attr]
    other = create_workspace(workspace.name + "-b")
    assert engine.explain(other, None, a) is None


def test_what_the_gate_leaves_out_is_counted_by_reason_in_one_query(workspace: Workspace) -> None:
    catalogue = Catalogue(workspace)
    if not catalogue.purposes:
        from envol.consent.purposes import create_defaults

        create_defaults(workspace)
        catalogue = Catalogue(workspace)
    newsletter = catalogue.purposes["newsletter"]
    bit = 1 << newsletter.bit
    for n, facts in enumerate(
        [{"allowed": bit}, {"allowed": bit}, {}, {"refused": bit}, {"allowed": bit, "suppressed": True}]
        + [{"allowed": bit, "objected": True}]
    ):
        add_person(workspace, f"p{n}@lecteurs.example", **facts)  # type: ignore[arg-type]
    assert engine.by_reason(catalogue, None, newsletter) == {
        "": 2,
        "no_permission": 1,
        "withdrawn": 1,
        "suppressed": 1,
        "objected": 1,
    }


def test_the_catalogue_offers_values_and_fill_rates(workspace: Workspace) -> None:
    declare(workspace, "city", "text")
    secret = declare(workspace, "health", "text", sensitive=True)
    for n, city in enumerate(["Nantes", "Nantes", "Lyon", None]):
        add_person(workspace, f"p{n}@lecteurs.example", props={"city": city, "health": "x"} if city else {})
    assert offers.values(workspace, "prop.city") == [("Nantes", 2), ("Lyon", 1)]
    assert offers.values(workspace, f"prop.{secret.key}") == []
    assert offers.fill_rates(workspace)["prop.city"] == 0.75
    assert [f.group for f in fields.fields(workspace)] == sorted(
        (f.group for f in fields.fields(workspace)), key=fields.GROUPS.index
    )


BOMBS = [
    "\0",
    "a\0b",
    "\ud800",
    float("nan"),
    float("inf"),
    10**400,
    "1e400",
    "sNaN",
    "9" * 5000,
    "x" * 10**6,
    {},
    [[]],
]


@pytest.mark.parametrize("value", BOMBS, ids=lambda value: repr(value)[:10])
def test_values_that_would_break_a_reader_are_refused_or_count_nobody(workspace: Workspace, value: Any) -> None:
    declare(workspace, "city", "text")
    declare(workspace, "spent", "money")
    declare(workspace, "points", "number")
    fields = (("prop.city", "is"), ("prop.spent", "gt"), ("prop.points", "gt"), ("email", "contains"), ("tag", "has"))
    for field, op in fields:
        try:
            found = engine.count(workspace, all_of(rule(field, op, value)))
        except SegmentProblem as problem:
            assert str(problem)
        else:
            assert found == 0


def test_everybody_is_in_exactly_one_stage_and_ages_turn_on_the_birthday(workspace: Workspace) -> None:
    declare(workspace, "born", "date")
    for n, born in enumerate(("2000-02-29", "2000-03-01", "2000-02-28", "1999-03-01")):
        add_person(workspace, f"p{n}@lecteurs.example", props={"born": born}, created_at=NOW - timedelta(days=31 * n))
    everybody = engine.count(workspace, None, now=NOW)
    counts = [engine.count(workspace, all_of(rule("activity.stage", "in", [one])), now=NOW) for one in stages.LABELS]
    assert sum(counts) == everybody == 4
    ids = [
        row[0] for row in db.rows("SELECT id FROM contacts_contact WHERE workspace_id = %s ORDER BY id", [workspace.pk])
    ]
    add_order(workspace, ids[1], NOW - timedelta(days=9), [("CD", "Musique", 500)], "EUR")
    for days in (9, 400):
        add_order(workspace, ids[2], NOW - timedelta(days=days), [("CD", "Musique", 500)], "EUR")
    add_order(workspace, ids[3], NOW - timedelta(days=400), [("CD", "Musique", 500)], "EUR")
    add_event(workspace, ids[0], 6, NOW - timedelta(days=3), None, None)
    way = {one: engine.count(workspace, all_of(rule("orders.stage", "in", [one])), now=NOW) for one in stages.FUNNEL}
    assert way == {"discovery": 0, "interest": 1, "first": 1, "repeat": 1, "past": 1}

    def of_age(low: int, high: int, day: str) -> int:
        moment = datetime.fromisoformat(f"{day}T12:00:00+00:00")
        return engine.count(workspace, all_of(rule("prop.born", "age_between", [low, high])), now=moment)

    assert [of_age(27, 27, day) for day in ("2027-02-27", "2027-02-28", "2027-03-01")] == [1, 2, 3]
    assert of_age(28, 28, "2028-02-28") == 2 and of_age(28, 28, "2028-02-29") == 3
    assert of_age(0, 150, "2027-01-01") == 4 and of_age(0, 20, "2027-01-01") == 0


def test_who_was_in_on_a_past_day_follows_what_is_dated(workspace: Workspace) -> None:
    """Lists, orders, messages and answers as they stood when that day ended in the zone of the workspace (Paris)."""
    letters = make_list(workspace, "La lettre")
    end = datetime(2027, 2, 10, 23, tzinfo=UTC)  # midnight in Paris: the 10th is over
    minute = timedelta(minutes=1)
    stayed, left, later = (
        add_person(workspace, f"p{n}@lecteurs.example", created_at=end - timedelta(days=99)) for n in range(3)
    )
    newcomer = add_person(workspace, "neuve@lecteurs.example", created_at=end + minute)
    add_stay(workspace, stayed, letters, end - minute, None)
    add_stay(workspace, left, letters, end - timedelta(days=9), end)
    add_stay(workspace, later, letters, end + minute, None)
    add_order(workspace, stayed, end - minute, [("CD", "Musique", 500)], "EUR")
    add_order(workspace, later, end, [("CD", "Musique", 500)], "EUR")
    add_event(workspace, stayed, 6, end - minute, None, None)
    add_event(workspace, later, 6, end, None, None)

    def on(day: str, *rules: Any) -> set[int]:
        query, params = engine.ids_sql(workspace, all_of(*rules), now=date.fromisoformat(day))
        return {row[0] for row in db.rows(query, params)}

    assert on("2027-02-10") == {stayed, left, later} and newcomer in on("2027-02-11")
    assert on("2027-02-10", rule("list", "on", letters)) == {stayed, left}
    assert on("2027-02-11", rule("list", "on", letters)) == {stayed, later}
    assert on("2027-02-10", rule("list", "joined_in_last", {"list": letters, "days": 0})) == {stayed}
    assert on("2027-02-10", rule("orders.count", "gte", 1)) == {stayed}
    assert on("2027-02-11", rule("orders.count", "gte", 1, within_days=0)) == {later}
    assert on("2027-02-10", rule("mail.clicked", "at_least", 1)) == {stayed}
    assert on("2027-02-10", rule("activity.stage", "in", ["active"])) == {stayed}
