"""Segments to copy, made from what this workspace knows of its people: three to begin with, and one page of them by
the five families of criteria.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db.models import Count
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from envol.audience.catalogue import Catalogue, Field
from envol.audience.offers import Offers
from envol.contacts import places
from envol.contacts.models import Membership, Order


@dataclass(frozen=True, slots=True)
class Example:
    name: str
    tree: dict[str, Any]


def _all(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"v": 1, "match": "all", "rules": list(rules)}


def examples(catalogue: Catalogue, most: int = 3) -> list[Example]:
    return list(islice(_proposed(catalogue), most))


def _proposed(catalogue: Catalogue) -> Iterator[Example]:
    """From the most telling to what every workspace has."""
    language = get_language() or "en"
    offers = Offers(catalogue)
    if Order.objects.filter(workspace_id=catalogue.workspace.id).exists():
        twice = {"field": "orders.count", "op": "gte", "value": 2, "where": {"within_days": 365}}
        yield Example(_("Faithful customers"), _all(twice))
    for field in catalogue.fields.values():
        if field.key.startswith("prop.") and field.kind == "date" and "birth" in field.key:
            yield Example(_("Birthday this week"), _all({"field": field.key, "op": "anniversary", "value": 7}))
            break
    for field in catalogue.fields.values():
        if not field.key.startswith("prop.") or field.kind not in ("choice", "place", "list") or field.sensitive:
            continue
        if field.kind == "place":
            if places := offers.places(field.key):
                town = places[0]
                assert town.spot is not None
                lat, lon = (round(degrees, 5) for degrees in town.spot)
                near = {"lat": lat, "lon": lon, "km": 30, "label": town.value}
                name = _("30 km around %(place)s") % {"place": town.value}
                yield Example(name, _all({"field": field.key, "op": "near", "value": near}))
                break
        elif found := offers.values(field.key):
            value, op = found[0].value, "is" if field.kind == "choice" else "has_any"
            tree = _all({"field": field.key, "op": op, "value": value if op == "is" else [value]})
            yield Example(_("%(field)s: %(value)s") % {"field": field.label(language), "value": value}, tree)
            break
    yield Example(_("New this month"), _all({"field": "created", "op": "in_last", "value": 30}))
    clicked = {"field": "mail.clicked", "op": "at_least", "value": 1, "where": {"within_days": 90}}
    yield Example(_("Readers who click"), _all(clicked))
    if "newsletter" in catalogue.purposes:
        yield Example(
            _("May get the newsletter"), _all({"field": "permission", "op": "may_write", "value": "newsletter"})
        )


@dataclass(frozen=True, slots=True)
class Family:
    key: str
    title: str
    says: str  # what its criteria tell
    examples: list[Example]
    lacking: str  # what would have to be known for more, or ""


AGES = ((18, 24), (25, 34), (35, 49), (50, 64), (65, 120))
VALUES = 3  # of each field, the most frequent ones


def families(catalogue: Catalogue) -> list[Family]:
    """The five families, each with what this workspace's fields allow."""
    offers = Offers(catalogue)
    bought = Order.objects.filter(workspace_id=catalogue.workspace.id).exists()
    interests = list(_interests(catalogue, offers))
    who = list(_who_they_are(catalogue, offers))
    return [
        Family(
            "profile", _("Who they are"), _("Age, place, situation: what people told of themselves."), who,
            "" if who else _("Needs a field with a date of birth, a place or a choice."),
        ),
        Family(
            "activity", _("How active they are"), _("From the latest arrival to those who never reacted."),
            list(_activity(catalogue)), "",
        ),
        Family(
            "purchases", _("What they buy"), _("How recently, how often, how much."),
            list(_purchases()) if bought else [], "" if bought else _("Needs orders: none has come in yet."),
        ),
        Family(
            "loyalty", _("How faithful they are"), _("Those who read and come back, and the days to remember."),
            list(_loyalty(catalogue, bought)), "",
        ),
        Family(
            "interests", _("What interests them"),
            _("Subjects they chose, or that their reading and buying shows."), interests,
            "" if interests else _("Needs topics, or a field of several choices that people have filled in."),
        ),
    ]  # fmt: skip


def _rule(field: str, op: str, value: Any = None, **where: Any) -> dict[str, Any]:
    made = {"field": field, "op": op} | ({} if value is None else {"value": value})
    return made | ({"where": where} if where else {})


def _birth(catalogue: Catalogue) -> str:
    """The key of the field with the date of birth, or nothing."""
    dates = (f for f in catalogue.fields.values() if f.key.startswith("prop.") and f.kind == "date" and not f.sensitive)
    return next((f.key for f in dates if "birth" in f.key or "naissance" in f.key), "")


def _who_they_are(catalogue: Catalogue, offers: Offers) -> Iterator[Example]:
    if birth := _birth(catalogue):
        for low, high in AGES:
            name = _("Aged %(low)s to %(high)s") if high < 120 else _("Aged %(low)s and over")
            yield Example(name % {"low": low, "high": high}, _all(_rule(birth, "age_between", [low, high])))
    language = get_language() or "en"
    for field in catalogue.fields.values():
        if not field.key.startswith("prop.") or field.sensitive:
            continue
        if field.kind == "place":
            for town in offers.places(field.key)[:VALUES]:
                assert town.spot is not None
                lat, lon = (round(degrees, 5) for degrees in town.spot)
                near = {"lat": lat, "lon": lon, "km": 30, "label": town.value}
                yield Example(_("30 km around %(place)s") % {"place": town.value}, _all(_rule(field.key, "near", near)))
            yield from _territory(catalogue, offers, field)
        elif field.kind == "choice":
            for one in offers.values(field.key)[:VALUES]:
                name = _("%(field)s: %(value)s") % {"field": field.label(language), "value": one.value}
                yield Example(name, _all(_rule(field.key, "is", one.value)))


def _territory(catalogue: Catalogue, offers: Offers, field: Field) -> Iterator[Example]:
    """The region and the department of most people, and who lives near a shop."""
    people: dict[str, int] = {}
    for offer in offers.postcodes(field.key):
        if code := places.department_of(offer.value):
            people[code] = people.get(code, 0) + offer.people
    if people:
        first = max(people, key=lambda code: (people[code], code))
        region = places.region_of(first)
        name = _("Region: %(name)s") % {"name": places.region(region)}
        yield Example(name, _all(_rule(field.key, "region_in", [region])))
        name = _("Department: %(name)s") % {"name": places.department(first)}
        yield Example(name, _all(_rule(field.key, "department_in", [first])))
    if catalogue.shops:
        yield Example(_("Within 15 km of a shop"), _all(_rule(field.key, "near_shop", 15)))
        for pk, shop in list(catalogue.shops.items())[:VALUES]:
            name = _("Nearest shop: %(name)s") % {"name": shop.name}
            yield Example(name, _all(_rule(field.key, "nearest_shop", [pk])))


def _activity(catalogue: Catalogue) -> Iterator[Example]:
    language = get_language() or "en"
    for event in [f for f in catalogue.fields.values() if f.kind == "happening"][:VALUES]:
        lately = _rule(event.key, "at_least", 1, within_days=30)
        yield Example(_("In the last 30 days: %(event)s") % {"event": event.label(language)}, _all(lately))
    for stage in catalogue.fields["activity.stage"].choices:
        label = stage.label_fr if language.startswith("fr") else stage.label_en
        yield Example(_("Stage: %(stage)s") % {"stage": label}, _all(_rule("activity.stage", "in", [stage.value])))
    yield Example(_("With an open complaint"), _all(_rule("complaint", "open")))
    yield from _quiet()


def _quiet() -> Iterator[Example]:
    yield Example(_("Gone quiet: too many messages"), _all(_rule("inactivity.reason", "in", ["too_many"])))
    yield Example(_("Gone quiet: bought within the year"), _all(_rule("inactivity.reason", "in", ["moment"])))
    yield Example(
        _("Gone quiet without a known reason"),
        _all(_rule("activity.stage", "in", ["inactive", "dormant", "never"]), _rule("inactivity.reason", "unknown")),
    )


def _purchases() -> Iterator[Example]:
    yield Example(_("Bought this month"), _all(_rule("orders.last", "in_last", 30)))
    yield Example(_("First order this month"), _all(_rule("orders.first", "in_last", 30)))
    yield Example(_("A first purchase, no second one yet"), _all(_rule("orders.stage", "in", ["first"])))
    yield Example(_("Interested, but never bought"), _all(_rule("orders.stage", "in", ["interest"])))
    yield Example(_("Faithful customers"), _all(_rule("orders.count", "gte", 2, within_days=365)))
    yield Example(_("No order for a year"), _all(_rule("orders.last", "more_than_ago", 365)))
    yield Example(_("Expected to buy soon"), _all(_rule("orders.expected", "gte", 1)))
    yield Example(_("Wait for a code"), _all(_rule("orders.coded", "gte", 50), _rule("orders.count", "gte", 2)))
    yield Example(_("Buy at full price"), _all(_rule("orders.coded", "lt", 1)))
    yield Example(_("Never bought"), _all(_rule("orders.count", "lt", 1)))
    yield Example(_("Nothing bought just now"), _all(_rule("orders.just_bought", "nothing")))
    yield Example(_("Champions and loyal buyers"), _all(_rule("rfm.segment", "in", ["champions", "loyal"])))
    yield Example(_("Good buyers about to be lost"), _all(_rule("rfm.segment", "in", ["attention", "at_risk"])))
    yield Example(_("Gold or better"), _all(_rule("tier", "in", ["gold", "premium"])))


def _loyalty(catalogue: Catalogue, bought: bool) -> Iterator[Example]:
    assiduous = _rule("mail.clicked", "at_least", 4, within_days=90)
    if "reading" in catalogue.fields:
        assiduous = _rule("reading", "gte", 50)
    yield Example(_("Assiduous readers"), _all(assiduous))
    if largest := _largest_list(catalogue):
        name = _("With “%(list)s” from the first day") % {"list": catalogue.lists[largest]}
        yield Example(name, _all(_rule("list", "founder", largest)))
        years = {"list": largest, "years": [1, 3, 5], "days": 3}
        name = _("On “%(list)s” for 1, 3 or 5 years this week") % {"list": catalogue.lists[largest]}
        yield Example(name, _all(_rule("list", "anniversary", years)))
    if bought:
        yield Example(
            _("Fans: they read and they buy"), _all(assiduous, _rule("orders.count", "gte", 2, within_days=365))
        )
    if told := _fans(catalogue):
        yield Example(_("Fans: they recommend, answer or vote"), {"v": 1, "match": "any", "rules": told})
    reads = _rule("mail.clicked", "at_least", 1, within_days=90)
    yield Example(_("With us for over a year and still reading"), _all(_rule("created", "more_than_ago", 365), reads))
    yield Example(_("Anniversary of arrival this week"), _all(_rule("created", "anniversary", 3)))
    if birth := _birth(catalogue):
        yield Example(_("Birthday this week"), _all(_rule(birth, "anniversary", 3)))


# Words in the names of a workspace's own events, and how often it takes to be more than chance.
_FANS = {
    "referral": 1, "parrain": 1, "reply": 1, "repon": 1, "survey": 1, "sondage": 1, "vote": 2, "review": 2, "avis": 2,
}  # fmt: skip


def _fans(catalogue: Catalogue) -> list[dict[str, Any]]:
    """Rules about events that only people who care bring about, where programs tell such events."""
    return [
        _rule(field.key, "at_least", times)
        for field in catalogue.fields.values()
        if field.kind == "happening"
        for times in [next((n for word, n in _FANS.items() if word in field.key.partition(".")[2]), 0)]
        if times
    ]


def _largest_list(catalogue: Catalogue) -> int | None:
    counted = Membership.objects.filter(workspace_id=catalogue.workspace.id, until=None).values_list("list_id")
    found = [(n, -pk) for pk, n in counted.annotate(n=Count("id")).order_by() if pk in catalogue.lists]
    return -max(found)[1] if found else None


def _interests(catalogue: Catalogue, offers: Offers) -> Iterator[Example]:
    language = get_language() or "en"
    for topic in list(catalogue.topics.values())[:VALUES]:
        label = topic.label_fr if language.startswith("fr") else topic.label_en
        yield Example(_("Interested in: %(topic)s") % {"topic": label}, _all(_rule("interest", "has_any", [topic.key])))
        said = _rule("interest", "has_any", [topic.key], origin="declared")
        yield Example(_("Said they like: %(topic)s") % {"topic": label}, _all(said))
    for field in catalogue.fields.values():
        if field.key.startswith("prop.") and field.kind == "list" and not field.sensitive:
            for one in offers.values(field.key)[: 2 * VALUES]:
                name = _("%(field)s: %(value)s") % {"field": field.label(language), "value": one.value}
                yield Example(name, _all(_rule(field.key, "has_any", [one.value])))
