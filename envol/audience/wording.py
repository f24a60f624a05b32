"""Clauses of rules about places and shops, loyalty and complaints; see :mod:`envol.audience.sentences`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from envol.audience.language import Rule

if TYPE_CHECKING:
    from envol.audience.sentences import _English


def clause(words: _English, rule: Rule) -> str | None:
    """The relative clause of a rule of these kinds; None for all others."""
    french = words.locale.startswith("fr")
    v, op, kind = rule.value, rule.op, rule.field.kind
    label = words.quote(words.label(rule))
    match kind:
        case "mark":
            if french:
                return "qui ont une réclamation ouverte" if op == "open" else "qui n’ont pas de réclamation ouverte"
            return "who have an open complaint" if op == "open" else "who have no open complaint"
        case "reading":
            return _reading(words, rule, french)
        case "on_list" if op == "founder":
            name = words.quote(words.named(rule, v))
            return (
                f"qui sont sur la liste {name} depuis ses débuts"
                if french
                else f"who have been on the list {name} since its beginnings"
            )
        case "on_list" if op == "anniversary":
            return _anniversary(words, rule, french)
        case "place" if op in ("department_in", "region_in"):
            from envol.contacts import places

            name_of = places.department if op == "department_in" else places.region
            names = words.several([name_of(code) or code for code in v], "ou" if french else "or")
            what = {
                "department_in": ("est dans le département", "is in the department"),
                "region_in": ("est dans la région", "is in the region"),
            }[op]
            return f"dont {label} {what[0]} {names}" if french else f"whose {label} {what[1]} {names}"
        case "place" if op == "near_shop":
            km = words.number(v)
            if french:
                return f"dont {label} est à {km} km au plus de la plus proche de nos boutiques"
            return f"whose {label} is within {km} km of the nearest of our shops"
        case "place" if op == "nearest_shop":
            shops = words.several([_shop(rule, one) for one in v], "ou" if french else "or")
            if french:
                return f"dont {label} a pour boutique la plus proche {shops}"
            return f"whose {label} has as its nearest shop {shops}"
    return None


def _shop(rule: Rule, shop_id: int) -> str:
    return next((choice.label_en for choice in rule.field.choices if choice.value == shop_id), str(shop_id))


def _reading(words: _English, rule: Rule, french: bool) -> str:
    if french:
        match rule.op:
            case "known":
                return "qui ont reçu au moins 6 envois"
            case "unknown":
                return "qui ont reçu moins de 6 envois"
        most = "au moins" if rule.op == "gte" else "moins de"
        return f"qui ont cliqué dans {most} {words.number(rule.value)}\u202f% de leurs 10 derniers envois"
    match rule.op:
        case "known":
            return "who got at least 6 sendings"
        case "unknown":
            return "who got fewer than 6 sendings"
    most = "at least" if rule.op == "gte" else "less than"
    return f"who clicked in {most} {words.number(rule.value)}% of their last 10 sendings"


def _anniversary(words: _English, rule: Rule, french: bool) -> str:
    v: dict[str, Any] = rule.value
    name = words.quote(words.named(rule, v["list"]))
    years = _years(v["years"], "ou" if french else "or")
    if french:
        unit = "an" if v["years"] == [1] else "ans"
        near = f", à {words.days(v['days'])} près" if v["days"] else " aujourd’hui"
        return f"qui sont sur la liste {name} depuis {years} {unit} exactement{near}"
    unit = "year" if v["years"] == [1] else "years"
    near = f", give or take {words.days(v['days'])}" if v["days"] else " today"
    return f"who have been on the list {name} for exactly {years} {unit}{near}"


def _years(years: Sequence[int], last: str) -> str:
    texts = [str(year) for year in years]
    return texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + f" {last} {texts[-1]}"


def by_hand(inside: int, outside: int, language: str) -> str:
    """What members did besides the rule, as an end of its sentence."""
    parts = []
    if language.startswith("fr"):
        if inside:
            parts.append(f"plus {inside} {'personne ajoutée' if inside == 1 else 'personnes ajoutées'} à la main")
        if outside:
            parts.append(f"moins {outside} {'personne écartée' if outside == 1 else 'personnes écartées'} à la main")
    else:
        if inside:
            parts.append(f"plus {inside} {'person' if inside == 1 else 'people'} put in by hand")
        if outside:
            parts.append(f"without {outside} {'person' if outside == 1 else 'people'} left out by hand")
    return "".join(f", {part}" for part in parts)


def put_by_hand(inside: bool, language: str) -> str:
    """Why the rule does not matter for somebody."""
    if language.startswith("fr"):
        return f"qui a été {'ajoutée' if inside else 'écartée'} à la main, quoi que dise la règle"
    return f"who was {'put in' if inside else 'left out'} by hand, whatever the rule says"
