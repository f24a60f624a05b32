"""The rule of a segment as a form: what was typed, kept as typed, and the tree that it means.

Names of inputs are paths: ``r.m`` is how the rules of the top group combine, ``r.1.0.o`` the operator
of the first rule of the second group, ``r.1.0.v`` its value. A draft holds texts only, so nothing
typed is ever lost; :func:`tree_of` says what it means and what is wrong with it, each problem at its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as having
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from envol.audience.catalogue import Catalogue, Field
from envol.audience.language import MATCHES, MAX_LEVELS, MAX_RULES, Problem, SegmentProblem, parse
from envol.audience.operators import NARROWING, OPERATORS

DEEPEST = MAX_LEVELS + 2  # what a forged form may nest before it is cut off; the parser refuses more than 4
MOST = MAX_RULES + 50
# Shapes whose value is several texts, ticked or added.
SEVERAL = {"texts", "choices", "countries", "departments", "regions", "shops"}
_SPACES = re.compile(r"[\s\u00a0\u202f\u2009]+")
Spot = Callable[[str, str], tuple[float, float] | None]


@dataclass(slots=True)
class DraftRule:
    """``typed``: part of a value (``v``, ``v.low``, ``w.within_days``) → the texts sent under it."""

    field: str = ""
    op: str = ""
    typed: dict[str, list[str]] = having(default_factory=dict)

    def text(self, part: str) -> str:
        found = self.typed.get(part)
        return found[0] if found else ""


@dataclass(slots=True)
class DraftGroup:
    match: str = "all"
    items: list[DraftRule | DraftGroup] = having(default_factory=list)


Draft = DraftRule | DraftGroup


# --- the form: read it, and say it again


def read(posted: Mapping[str, Sequence[str]]) -> DraftGroup:
    """The draft that a form holds. Never fails: what makes no sense is left for the parser to name."""
    found: dict[tuple[int, ...], dict[str, list[str]]] = {(): {}}
    for name, texts in posted.items():
        head, *rest = name.split(".")
        if head != "r" or not texts:
            continue
        path: list[int] = []
        while rest and rest[0].isascii() and rest[0].isdigit() and len(rest[0]) < 5:
            path.append(int(rest.pop(0)))
        if rest and len(path) <= DEEPEST and (len(found) < MOST or tuple(path) in found):
            found.setdefault(tuple(path), {}).setdefault(".".join(rest), []).extend(texts)
    return _group((), found)


def _group(path: tuple[int, ...], found: dict[tuple[int, ...], dict[str, list[str]]]) -> DraftGroup:
    made = DraftGroup((found.get(path, {}).get("m") or ["all"])[-1])
    below = sorted({p[len(path)] for p in found if len(p) > len(path) and p[: len(path)] == path})
    for n in below:
        place = (*path, n)
        parts = found.get(place, {})
        if "f" in parts or "o" in parts:
            made.items.append(_rule(parts))
        else:
            made.items.append(_group(place, found))
    return made


def _rule(parts: dict[str, list[str]]) -> DraftRule:
    chosen = (parts.get("f") or [""])[-1]
    drawn = (parts.get("k") or [chosen])[-1]  # the field that these inputs were drawn for
    if drawn != chosen:
        return DraftRule(chosen)
    typed = {part: list(texts) for part, texts in parts.items() if part[0] in "vw"}
    for part in [part for part in typed if part.endswith(".more")]:
        into = typed.setdefault(part.removesuffix(".more"), [])
        for text in typed.pop(part):
            into += [one.strip() for one in re.split(r"[,;\n]", text) if one.strip() and one.strip() not in into]
    return DraftRule(chosen, (parts.get("o") or [""])[-1], typed)


def names(draft: DraftGroup) -> Iterator[tuple[str, str]]:
    """The names and texts that a form of this draft sends."""
    for place, item in places(draft):
        prefix = ".".join(["r", *map(str, place)])
        if isinstance(item, DraftGroup):
            yield f"{prefix}.m", item.match
            continue
        yield f"{prefix}.f", item.field
        yield f"{prefix}.k", item.field
        yield f"{prefix}.o", item.op
        for part, texts in item.typed.items():
            for text in texts:
                yield f"{prefix}.{part}", text


def places(draft: Draft, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Draft]]:
    yield path, draft
    if isinstance(draft, DraftGroup):
        for n, item in enumerate(draft.items):
            yield from places(item, (*path, n))


# --- the buttons


def act(draft: DraftGroup, command: str) -> str:
    """Add, copy, move or remove something. The id of what should have the focus afterwards, or nothing."""
    verb, _colon, where = command.partition(":")
    path = [int(n) for n in where.split(".") if n.isascii() and n.isdigit() and len(n) < 5]
    target = _at(draft, path)
    if target is None:
        return ""
    if verb in ("add", "group") and isinstance(target, DraftGroup):
        if verb == "group":
            if len(path) + 1 >= MAX_LEVELS:
                return ""
            target.items.append(DraftGroup("any", [DraftRule()]))
            return _id([*path, len(target.items) - 1, 0], "f")
        target.items.append(DraftRule())
        return _id([*path, len(target.items) - 1], "f")
    if not path:
        return ""
    above = _at(draft, path[:-1])
    n = path[-1]
    assert isinstance(above, DraftGroup)
    match verb:
        case "remove":
            del above.items[n]
            if above.items:
                left = min(n, len(above.items) - 1)
                return _id([*path[:-1], left], "f" if isinstance(above.items[left], DraftRule) else "m")
            return _id(path[:-1], "add")
        case "copy":
            above.items.insert(n + 1, _copied(target))
            return _id([*path[:-1], n + 1], "f" if isinstance(target, DraftRule) else "m")
        case "up" | "down":
            return _id(_moved(draft, path, verb), verb)
    return ""


def _moved(draft: DraftGroup, path: list[int], verb: str) -> list[int]:
    """One place up or down; past the edge of a group, out of it."""
    above, n = _at(draft, path[:-1]), path[-1]
    assert isinstance(above, DraftGroup)
    to = n - 1 if verb == "up" else n + 1
    if 0 <= to < len(above.items):
        above.items[n], above.items[to] = above.items[to], above.items[n]
        return [*path[:-1], to]
    if len(path) == 1:
        return path
    outer, group = _at(draft, path[:-2]), path[-2]
    assert isinstance(outer, DraftGroup)
    item = above.items.pop(n)
    to = group if verb == "up" else group + 1
    outer.items.insert(to, item)
    if not above.items:
        outer.items.remove(above)
        to = outer.items.index(item)
    return [*path[:-2], to]


def _at(draft: DraftGroup, path: Sequence[int]) -> Draft | None:
    found: Draft = draft
    for n in path:
        if not isinstance(found, DraftGroup) or n >= len(found.items):
            return None
        found = found.items[n]
    return found


def _copied(item: Draft) -> Draft:
    if isinstance(item, DraftGroup):
        return DraftGroup(item.match, [_copied(one) for one in item.items])
    return DraftRule(item.field, item.op, {part: list(texts) for part, texts in item.typed.items()})


def _id(path: Sequence[int], part: str) -> str:
    return ".".join(["r", *map(str, path), part])


# --- from a tree


def draft_of(tree: Any, catalogue: Catalogue) -> DraftGroup:
    """The draft that draws this tree, also one that the parser refuses (a field that is gone)."""
    found = _drafted(tree if isinstance(tree, dict) else {}, catalogue, 0)
    return found if isinstance(found, DraftGroup) else DraftGroup(items=[found])


def _drafted(node: Any, catalogue: Catalogue, level: int) -> Draft:
    if not isinstance(node, dict):
        return DraftRule()
    if "field" not in node:
        rules = node.get("rules")
        items = rules[:MOST] if isinstance(rules, list) and level <= DEEPEST else []
        return DraftGroup(str(node.get("match", "all")), [_drafted(item, catalogue, level + 1) for item in items])
    made = DraftRule(str(node["field"]), str(node.get("op", "")))
    known = catalogue.fields.get(made.field)
    shape = OPERATORS[known.kind].get(made.op) if known else None
    if known is None or shape is None:
        return made
    _write(made.typed, "v", shape, node.get("value"))
    where = node.get("where")
    for key, its in NARROWING.get(known.kind, {}).items():
        if isinstance(where, dict) and key in where:
            _write(made.typed, f"w.{key}", its, where[key])
    return made


def _write(typed: dict[str, list[str]], part: str, shape: str, value: Any) -> None:
    """The texts that a form shows for a value of this shape."""
    if shape == "none" or value is None:
        return
    if shape in SEVERAL:
        typed[part] = [str(one) for one in (value if isinstance(value, list) else [value])]
    elif shape in ("numbers", "wholes", "ages", "dates", "cents_pair", "year_days"):
        pair = value if isinstance(value, list) and len(value) == 2 else ["", ""]
        for name, one in zip(("low", "high"), pair, strict=True):
            if shape == "year_days":
                month, _dash, day = str(one).partition("-")
                typed[f"{part}.{name}.month"], typed[f"{part}.{name}.day"] = [month], [day]
            else:
                typed[f"{part}.{name}"] = [_amount(one) if shape == "cents_pair" else _plain(one)]
    elif shape == "cents":
        typed[part] = [_amount(value)]
    elif shape == "id_years":
        inside = value if isinstance(value, dict) else {}
        years = inside.get("years", [])
        typed[f"{part}.years"] = [", ".join(map(str, years if isinstance(years, list) else [years]))]
        for key in ("list", "days"):
            typed[f"{part}.{key}"] = [_plain(inside.get(key, ""))]
    elif shape in ("near", "share", "id_days", "fact", "measure"):
        inside = value if isinstance(value, dict) else {"percent": value} if shape == "share" else {}
        for key, one in inside.items():
            typed[f"{part}.{key}"] = [_plain(one)]
        if shape == "near" and inside.get("label"):
            typed[f"{part}.found"] = [str(inside["label"])]
    else:
        typed[part] = [_plain(value)]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(Decimal(repr(value)), "f") if isinstance(value, float) else str(value)


def _amount(cents: Any) -> str:
    if not isinstance(cents, int):
        return str(cents)
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole}" + (f".{rest:02d}" if rest else "")


# --- to a tree


@dataclass(slots=True)
class Meaning:
    """``tree`` is for the parser; ``counted`` leaves out the rules at ``unfinished`` places (nothing typed yet)."""

    tree: dict[str, Any]
    counted: dict[str, Any]
    problems: list[Problem]
    unfinished: set[str]

    @property
    def wrong(self) -> list[Problem]:
        """What is wrong with rules that were begun: those keep a count from being made."""
        return [p for p in self.problems if p.path not in self.unfinished]


# What most people mean, proposed while nothing is typed.
_PROPOSED = {
    "boolean": ("v", "true"),
    "times": ("v", "1"),
    "rhythms": ("v", "1"),
    "spread": ("v", "0"),
    "share": ("v.percent", "10"),
    "percent": ("v", "50"),
    "id_years": ("v.years", "1, 3, 5"),
}


def settle(draft: DraftGroup, catalogue: Catalogue) -> None:
    """Give each rule an operator of its field, and the value most people mean where there is one."""
    for _path, item in places(draft):
        known = catalogue.fields.get(item.field) if isinstance(item, DraftRule) else None
        if known is None or isinstance(item, DraftGroup):
            continue
        operators = OPERATORS[known.kind]
        if item.op not in operators:
            item.op = next(iter(operators))
        proposed = _PROPOSED.get(operators[item.op])
        if proposed and not any(part[0] == "v" for part in item.typed):
            item.typed[proposed[0]] = [proposed[1]]


def tree_of(draft: DraftGroup, catalogue: Catalogue, spot: Spot, *, within: int | None = None) -> Meaning:
    """What the draft means. ``spot`` finds a place by the field's key and a name; ``within`` as in ``parse``."""
    settle(draft, catalogue)
    own: dict[str, Problem] = {}
    unfinished: set[str] = set()
    tree = _tree(draft, "", catalogue, spot, own, unfinished)
    assert isinstance(tree, dict)
    problems = list(own.values())
    try:
        parse({"v": 1, **tree}, catalogue, within=within)
    except SegmentProblem as error:
        # Where the form knows a better sentence, the parser's is left out; so is "empty" of a group that fills.
        problems += [p for p in error.problems if p.path not in own]
    counted = _without(tree, "", unfinished)
    return Meaning({"v": 1, **tree}, {"v": 1, **(counted or {"match": "all", "rules": []})}, problems, unfinished)


def _tree(
    draft: Draft, path: str, catalogue: Catalogue, spot: Spot, own: dict[str, Problem], unfinished: set[str]
) -> dict[str, Any]:
    if isinstance(draft, DraftGroup):
        if path and not draft.items:
            unfinished.add(path)
        below = [
            _tree(item, f"{path}.{n}" if path else str(n), catalogue, spot, own, unfinished)
            for n, item in enumerate(draft.items)
        ]
        return {"match": draft.match if draft.match in MATCHES else "all", "rules": below}
    made: dict[str, Any] = {"field": draft.field, "op": draft.op}
    if not draft.field:
        own[path] = Problem(path, _("Choose what the rule is about."))
        unfinished.add(path)
        return made
    known = catalogue.fields.get(draft.field)
    if known is None:
        return made
    shape = OPERATORS[known.kind][draft.op]
    if shape != "none":
        begun = {part: texts for part, texts in draft.typed.items() if part[0] == "v" and part != "v.op"}
        if not any(text.strip() for texts in begun.values() for text in texts):
            own[path] = Problem(path, _blank(shape))
            unfinished.add(path)
        try:
            made["value"] = _value(draft, "v", shape, lambda name: spot(draft.field, name))
        except _Misread as error:
            own.setdefault(path, Problem(path, str(error)))
    where: dict[str, Any] = {}
    for key, its in NARROWING.get(known.kind, {}).items():
        texts = draft.typed.get(f"w.{key}.name" if its == "fact" else f"w.{key}", [])
        if any(text.strip() for text in texts):
            where[key] = (
                _fact(draft, f"w.{key}", known) if its == "fact" else _value(draft, f"w.{key}", its, lambda name: None)
            )
    if where:
        made["where"] = where
    return made


class _Misread(ValueError):
    """A value of the form means nothing; the sentence says what to write."""


def _blank(shape: str) -> str:
    if shape in ("choice", "id", "boolean", "id_days", "id_years"):
        return _("Choose a value.")
    if shape in SEVERAL:
        return _("Choose or write at least one value.")
    if shape in ("date", "dates", "year_days"):
        return _("Choose a date.")
    if shape == "measure":
        return _("Choose a number that is told with the event, and write with what to compare it.")
    if shape == "near":
        return _("Write the name of a place and a distance.")
    return _("Write a text.") if shape == "text" else _("Write a number.")


def _value(draft: DraftRule, part: str, shape: str, spot: Callable[[str], tuple[float, float] | None]) -> Any:
    """The raw value for the parser, which checks it: what cannot be read stays the text that was typed."""
    text = draft.text(part)
    match shape:
        case "texts" | "choices":
            return [one for one in draft.typed.get(part, []) if one.strip()]
        case "departments" | "regions":
            return [one.strip() for one in draft.typed.get(part, []) if one.strip()]
        case "shops":
            return [_squeezed(one) for one in draft.typed.get(part, []) if one.strip()]
        case "id_years":
            chosen = draft.text(f"{part}.list")
            is_id = chosen.isascii() and chosen.isdigit() and len(chosen) < 19
            years = [one for one in re.split(r"[\s,;]+", draft.text(f"{part}.years")) if one]
            days = _squeezed(draft.text(f"{part}.days")) or "0"
            return {"list": int(chosen) if is_id else chosen, "years": years, "days": days}
        case "countries":
            return [country_code(one) for one in draft.typed.get(part, []) if one.strip()]
        case "number" | "whole" | "days" | "spread" | "times" | "strength" | "percent" | "shop_km" | "rhythms":
            return _squeezed(text)
        case "numbers" | "wholes" | "ages":
            return [_squeezed(draft.text(f"{part}.low")), _squeezed(draft.text(f"{part}.high"))]
        case "dates":
            return [draft.text(f"{part}.low"), draft.text(f"{part}.high")]
        case "cents":
            return _cents(text)
        case "cents_pair":
            return [_cents(draft.text(f"{part}.low")), _cents(draft.text(f"{part}.high"))]
        case "boolean":
            return {"true": True, "false": False}.get(text, text)
        case "year_days":
            return [
                "-".join(draft.text(f"{part}.{end}.{unit}") for unit in ("month", "day")) for end in ("low", "high")
            ]
        case "id":
            return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text
        case "id_days":
            chosen = draft.text(f"{part}.list")
            is_id = chosen.isascii() and chosen.isdigit() and len(chosen) < 19
            return {"list": int(chosen) if is_id else chosen, "days": _squeezed(draft.text(f"{part}.days"))}
        case "share":
            return {"percent": _squeezed(draft.text(f"{part}.percent")), "seed": draft.text(f"{part}.seed")}
        case "near":
            return _near(draft, part, spot)
        case "measure":
            value = _squeezed(draft.text(f"{part}.value"))
            return {"name": draft.text(f"{part}.name"), "op": draft.text(f"{part}.op") or "gte", "value": value}
    return text


def _near(draft: DraftRule, part: str, spot: Callable[[str], tuple[float, float] | None]) -> dict[str, Any]:
    label = draft.text(f"{part}.label")
    lat, lon, km = (_squeezed(draft.text(f"{part}.{key}")) for key in ("lat", "lon", "km"))
    if draft.text(f"{part}.found") not in ("", label):
        lat = lon = ""  # those of another name
    if label.strip() and not (lat or lon):
        found = spot(label)
        if found is None:
            raise _Misread(
                _("Nobody knows where “%(place)s” is; choose a place of the list, or give its latitude and longitude.")
                % {"place": label[:80]}
            )
        lat, lon = _plain(round(found[0], 5)), _plain(round(found[1], 5))
        # From now on the rule is about this spot, whatever places people have later.
        draft.typed[f"{part}.lat"], draft.typed[f"{part}.lon"] = [lat], [lon]
        draft.typed[f"{part}.found"] = [label]
    return {"lat": lat, "lon": lon, "km": km, **({"label": label} if label.strip() else {})}


def _fact(draft: DraftRule, part: str, known: Field) -> dict[str, Any]:
    """A property of an event with its value, read as the property's type."""
    name, op, text = (draft.text(f"{part}.{key}") for key in ("name", "op", "value"))
    types = {str(choice.value): choice.label_en for choice in known.choices}
    value: Any = text
    if types.get(name) == "number":
        try:
            value = float(_squeezed(text).replace(",", "."))
            value = int(value) if value == int(value) else value
        except (ValueError, OverflowError):
            value = text
    elif types.get(name) == "boolean":
        value = {"true": True, "yes": True, "oui": True, "false": False, "no": False, "non": False}.get(
            text.strip().lower(), text
        )
    return {"name": name, "op": op or "is", "value": value}


def _squeezed(text: str) -> str:
    return _SPACES.sub("", text)


def _cents(text: str) -> Any:
    found = re.fullmatch(r"(-?)([0-9]{1,13})(?:[.,]([0-9]{1,2}))?", _squeezed(text).replace("€", ""))
    if not found:
        raise _Misread(_("Write an amount, for example 12.50."))
    sign, whole, rest = found.groups()
    return int(f"{sign}{whole}{(rest or '').ljust(2, '0')}")


def country_code(text: str) -> str:
    """The two letters of a country written by its name in French or English; else the text itself."""
    from babel import Locale

    wanted = text.strip().casefold()
    for language in ("fr", "en"):
        for code, name in Locale(language).territories.items():
            if len(code) == 2 and name.casefold() == wanted:
                return code
    return text


def _without(node: dict[str, Any], path: str, places: set[str]) -> dict[str, Any] | None:
    """The tree without what stands at these places, and without groups that this empties."""
    if path in places:
        return None
    if "rules" not in node:
        return node
    kept = []
    for n, item in enumerate(node["rules"]):
        left = _without(item, f"{path}.{n}" if path else str(n), places)
        if left is not None:
            kept.append(left)
    if path and node["rules"] and not kept:
        return None
    return {**node, "rules": kept}
