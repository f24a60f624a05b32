"""The segment language: a typed tree of rules and groups, read strictly, kept in one canonical form.

::

    {"v": 1, "match": "all", "rules": [
        {"field": "prop.city", "op": "is", "value": "Nantes"},
        {"field": "orders.count", "op": "gte", "value": 2, "where": {"within_days": 90}},
        {"match": "none", "rules": [{"field": "mail.clicked", "op": "at_least", "value": 1}]}]}

At most four levels of groups and 200 rules, segments inside segments included. No rules at the top
means everybody. Places in the tree are paths: ``0`` is the first rule, ``2.1`` the second one of
the third.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as having
from typing import Any

from django.utils.translation import gettext as _

from envol.audience import reasons, stages
from envol.audience.catalogue import Catalogue, Field
from envol.audience.operators import NARROWING, OPERATORS, SHAPES, Wrong
from envol.contacts.search import NAMES

VERSION = 1
MAX_LEVELS = 4
MAX_RULES = 200
MAX_NESTING = 8
EVERYBODY: dict[str, Any] = {"v": VERSION, "match": "all", "rules": []}
MATCHES = ("all", "any", "none")


@dataclass(frozen=True, slots=True)
class Rule:
    path: str
    field: Field
    op: str
    value: Any
    where: dict[str, Any] = having(default_factory=dict)
    inner: Group | None = None  # the tree of the segment this rule names


@dataclass(frozen=True, slots=True)
class Group:
    path: str
    match: str
    rules: tuple[Rule | Group, ...]
    people: int | None = None  # the segment whose members by hand come on top of this rule


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at one place of the tree, in a sentence that says what to do."""

    path: str
    sentence: str


class SegmentProblem(ValueError):
    """The tree cannot be used. ``problems`` lists every one of them, with its place."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__(" ".join(f"[{p.path or '·'}] {p.sentence}" for p in problems))


def parse(tree: Any, catalogue: Catalogue, *, within: int | None = None, levels: int = MAX_LEVELS) -> Group:
    """Read and check a tree; ``None`` is everybody.

    ``within`` is the id of the segment being saved: a tree that leads back to it is refused. ``levels``: how deep
    groups may be nested; trees of ours may go deeper than what people make.
    Raises :class:`SegmentProblem` with all problems at once.
    """
    reader = _Reader(catalogue, levels)
    root = reader.tree(tree, "", (within,) if within is not None else ())
    if reader.count > MAX_RULES:
        reader.wrong("", _("More than %(n)s rules, those of inner segments included; use fewer.") % {"n": MAX_RULES})
    if reader.problems:
        raise SegmentProblem(reader.problems)
    return root


class _Reader:
    def __init__(self, catalogue: Catalogue, levels: int = MAX_LEVELS) -> None:
        self.catalogue, self.levels = catalogue, levels
        self.problems: list[Problem] = []
        self.count = 0

    def wrong(self, path: str, sentence: str) -> None:
        if len(self.problems) < 50:
            self.problems.append(Problem(path, sentence))

    def tree(self, raw: Any, path: str, stack: tuple[int, ...]) -> Group:
        if raw is None:
            raw = EVERYBODY
        if isinstance(raw, dict) and raw.get("v", VERSION) != VERSION:
            self.wrong(path, _("This segment was written by a newer version; update Envol to use it."))
            return Group(path, "all", ())
        return self.group(raw, path, 1, stack)

    def group(self, raw: Any, path: str, level: int, stack: tuple[int, ...]) -> Group:
        nothing = Group(path, "all", ())
        if not isinstance(raw, dict) or not isinstance(raw.get("rules"), list):
            self.wrong(path, _('A group is {"match": "all", "rules": [ … ]}.'))
            return nothing
        if raw.get("match") not in MATCHES:
            self.wrong(path, _("Say whether all, any or none of the rules must hold."))
            return nothing
        people = self.people(raw, path) if level == 1 else None
        if unknown := set(raw) - {"v", "match", "rules"} - ({"people"} if level == 1 else set()):
            self.wrong(path, _("A group does not know %(what)s; remove it.") % {"what": _listed(unknown)})
        if level > self.levels:
            self.wrong(path, _("Groups may be nested %(n)s levels deep; move this one up.") % {"n": self.levels})
            return nothing
        if level > 1 and not raw["rules"]:
            self.wrong(path, _("This group is empty; add a rule or remove the group."))
        made: list[Rule | Group] = []
        for n, item in enumerate(raw["rules"]):
            place = f"{path}.{n}" if path else str(n)
            if self.count > MAX_RULES:
                break
            if isinstance(item, dict) and ("rules" in item or "match" in item):
                made.append(self.group(item, place, level + 1, stack))
            elif (rule := self.rule(item, place, stack)) is not None:
                made.append(rule)
        return Group(path, raw["match"], tuple(made), people)

    def people(self, raw: dict[str, Any], path: str) -> int | None:
        """The segment whose people by hand are meant too; see ``Segment.whole``."""
        wanted = raw.get("people")
        if wanted is None:
            return None
        if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted not in self.catalogue.segments:
            self.wrong(path, _("The segment whose people were chosen by hand is gone; remove “people”."))
            return None
        return wanted

    def rule(self, raw: Any, path: str, stack: tuple[int, ...]) -> Rule | None:
        self.count += 1
        if not isinstance(raw, dict) or not isinstance(raw.get("field"), str):
            self.wrong(path, _('A rule is {"field": …, "op": …, "value": …}.'))
            return None
        known = self.catalogue.fields.get(raw["field"])
        if known is None:
            self.wrong(
                path, _("There is no field “%(field)s”; choose one of the catalogue.") % {"field": raw["field"][:80]}
            )
            return None
        if known.sensitive and known.inner not in NAMES:
            self.wrong(
                path,
                _("“%(field)s” is sensitive, so its values are sealed: no rule can ask for them (GDPR article 9).")
                % {"field": raw["field"][:80]},
            )
            return None
        allowed = OPERATORS[known.kind]
        op = raw.get("op")
        if not isinstance(op, str) or op not in allowed:
            self.wrong(
                path,
                _("“%(field)s” cannot be compared with “%(op)s”; use %(ops)s.")
                % {"field": known.key, "op": str(op)[:40], "ops": _listed(allowed, _("or"))},
            )
            return None
        if unknown := set(raw) - {"field", "op", "value", "where", "tree"}:
            self.wrong(path, _("A rule does not know %(what)s; remove it.") % {"what": _listed(unknown)})
        try:
            value = self.value(known, allowed[op], raw.get("value"))
        except Wrong as error:
            self.wrong(path, str(error))
            return None
        where = self.where(known, raw.get("where"), path)
        if where is None:
            return None
        inner = None
        if known.kind == "stage":
            return Rule(
                path, known, op, value, where, parse(stages.meant(value, self.catalogue.by_rhythm), self.catalogue)
            )
        if known.kind == "reason":
            told = reasons.meant(list(reasons.LABELS) if value is None else value, where.get("origin", ""))
            return Rule(path, known, op, value, where, parse(told, self.catalogue, levels=2 * MAX_LEVELS))
        if known.kind == "segment":
            inner = self.inner(value, raw.get("tree"), path, stack)
            if inner is None:
                return None
        return Rule(path, known, op, value, where, inner)

    def value(self, known: Field, shape: str, raw: Any) -> Any:
        if shape == "id":
            return self.chosen(known, raw)
        if shape == "id_days":
            if not isinstance(raw, dict) or set(raw) != {"list", "days"}:
                raise Wrong(_("Give a list and a number of days."))
            return {"list": self.chosen(known, raw["list"]), "days": SHAPES["days"](raw["days"])}
        if shape == "id_years":
            if not isinstance(raw, dict) or set(raw) != {"list", "years", "days"}:
                raise Wrong(_("Give a list, the years, and a number of days."))
            years, days = SHAPES["years"](raw["years"]), SHAPES["spread"](raw["days"])
            return {"list": self.chosen(known, raw["list"]), "years": years, "days": days}
        if shape in ("shops", "shop_km") and not self.catalogue.shops:
            raise Wrong(_("There is no shop yet; add one on the page of shops first."))
        value = SHAPES[shape](raw)
        if shape == "measure":
            _fits(known, value)
        if shape == "shops" and (gone := [one for one in value if one not in self.catalogue.shops]):
            raise Wrong(_("There is no shop %(no)s in this workspace; choose one of the list.") % {"no": gone[0]})
        if shape in {"choice", "choices"} and known.choices:
            offered = {c.value for c in known.choices}
            for one in [value] if shape == "choice" else value:
                if one not in offered:
                    raise Wrong(
                        _("“%(value)s” is not a choice of “%(field)s”; use %(choices)s.")
                        % {"value": one, "field": known.key, "choices": _listed(list(offered)[:20], _("or"))}
                    )
        elif shape == "choice" and known.kind in {"permission", "measured"}:
            raise Wrong(_("There is no purpose to choose from yet; create one first."))
        return value

    def chosen(self, known: Field, raw: Any) -> int:
        """Id of a list or segment, given by id or by name."""
        for choice in known.choices:
            if (isinstance(raw, int) and not isinstance(raw, bool) and raw == choice.value) or raw == choice.label_en:
                return int(choice.value)
        what = _("list") if known.kind == "on_list" else _("segment")
        raise Wrong(
            _("There is no %(what)s “%(name)s” in this workspace; choose one that exists.")
            % {"what": what, "name": str(raw)[:80]}
        )

    def where(self, known: Field, raw: Any, path: str) -> dict[str, Any] | None:
        if raw is None or raw == {}:
            return {}
        allowed = NARROWING.get(known.kind, {})
        if not isinstance(raw, dict) or set(raw) - set(allowed):
            self.wrong(
                path,
                _("“%(field)s” can be narrowed by %(keys)s.") % {"field": known.key, "keys": _listed(allowed)}
                if allowed
                else _("“%(field)s” cannot be narrowed; remove “where”.") % {"field": known.key},
            )
            return None
        made = {}
        for key in sorted(raw):
            try:
                made[key] = SHAPES[allowed[key]](raw[key])
                if allowed[key] == "fact":
                    _fits(known, made[key])
            except Wrong as error:
                self.wrong(path, f"{key}: {error}")
                return None
        return made

    def inner(self, id: int, frozen: Any, path: str, stack: tuple[int, ...]) -> Group | None:
        segment = self.catalogue.segments[id]
        if id in stack:
            self.wrong(path, _("Segment “%(name)s” would contain itself; remove this rule.") % {"name": segment.name})
            return None
        if len(stack) >= MAX_NESTING:
            self.wrong(path, _("Segments inside segments go %(n)s deep at most; copy the rules.") % {"n": MAX_NESTING})
            return None
        before = len(self.problems)
        found = self.tree(segment.whole if frozen is None else frozen, "", (*stack, id))
        if len(self.problems) > before:
            inside = self.problems[before:]
            del self.problems[before:]
            self.wrong(
                path,
                _("Segment “%(name)s” cannot be used: %(why)s")
                % {"name": segment.name, "why": " ".join(p.sentence for p in inside[:3])},
            )
            return None
        return found


def _fits(known: Field, fact: dict[str, Any]) -> None:
    """Whether an event has this property, and the comparison is one of its type. Raises ``Wrong``."""
    types = {str(choice.value): choice.label_en for choice in known.choices}
    type_ = types.get(fact["name"])
    if type_ is None:
        raise Wrong(
            _("“%(event)s” has no property “%(name)s”; use %(names)s.")
            % {"event": known.key, "name": fact["name"], "names": _listed(types, _("or")) or "–"}
        )
    value = fact["value"]
    given = "text" if isinstance(value, str) else "boolean" if isinstance(value, bool) else "number"
    ops = {"text": ("is", "is_not", "contains"), "boolean": ("is", "is_not")}.get(type_)
    if given != type_ or (ops and fact["op"] not in ops) or (type_ == "number" and fact["op"] == "contains"):
        raise Wrong(
            _("The property “%(name)s” is a %(type)s; compare it as one.") % {"name": fact["name"], "type": type_}
        )


def _listed(words: Any, last: str = "") -> str:
    found = [str(w) for w in sorted(words, key=str)]
    if last and len(found) > 1:
        return ", ".join(found[:-1]) + f" {last} {found[-1]}"
    return ", ".join(found)


def to_json(node: Group | Rule, *, freeze: bool = False) -> dict[str, Any]:
    """The canonical JSON of a parsed tree. ``freeze`` writes inner segments out in full, so that
    later changes of theirs do not change who was meant.
    """
    made = _json(node, freeze)
    return {"v": VERSION, **made} if isinstance(node, Group) else made


def _json(node: Group | Rule, freeze: bool) -> dict[str, Any]:
    if isinstance(node, Group):
        people = {} if node.people is None else {"people": node.people}
        return {"match": node.match, "rules": [_json(item, freeze) for item in node.rules], **people}
    made: dict[str, Any] = {"field": node.field.key, "op": node.op}
    if node.value is not None:
        made["value"] = node.value
    if node.where:
        made["where"] = node.where
    if freeze and node.inner is not None:
        made["tree"] = to_json(node.inner, freeze=True)
    return made


def walk(node: Group | Rule) -> Iterator[Rule]:
    """Every rule, in reading order; inner segments are not entered."""
    if isinstance(node, Rule):
        yield node
        return
    for item in node.rules:
        yield from walk(item)
