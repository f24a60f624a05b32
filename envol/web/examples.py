"""Three segments to copy, made from what this workspace knows of its people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from envol.audience.catalogue import Catalogue
from envol.audience.offers import Offers
from envol.contacts.models import Order


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
