"""contactfilter: segments, said in the dialect's expressions.

What a program writes becomes a segment of ours. A segment that members made is told in the dialect where it can say it;
else its expression is ``InSegment(NUMBER)``, which says so, and which a program may use like any other part: it means
whoever is in that segment. The text that a program wrote is told back for as long as the segment means the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import override

from envol.accounts.models import Scope, Workspace
from envol.api.models import ContactFilter
from envol.api.rest import names
from envol.api.rest.expressions import (
    Compared,
    Every,
    Function,
    Name,
    Node,
    Not,
    NotRead,
    Operand,
    Some,
    Value,
    read,
    write,
)
from envol.api.rest.ground import Call, Resource, Wrong, missing, number_of
from envol.api.rest.values import Field, Invalid, text
from envol.audience import segments
from envol.audience.language import SegmentProblem
from envol.audience.models import Segment
from envol.audience.operators import OPERATORS
from envol.contacts.models import Property

Tree = dict[str, Any]
_EVER = 36_500
_NUMBERS = {"=": "is", "!=": "is_not", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_BEHAVIOUR = {"hasopenedsince": "mail.opened", "hasclickedsince": "mail.clicked"}


class Unsaid(Exception):
    """The dialect has no words for it."""


# ---- from the dialect


def tree_of(workspace: Workspace, expression: str) -> Tree:
    """What an expression means, as a segment of ours. Raises Invalid."""
    try:
        made = _Meaning(names.known(workspace)).node(read(expression))
    except NotRead as wrong:
        raise Invalid(f"MJ08 Property Expression is invalid: {wrong}") from None
    return {"v": 1, **(made if "rules" in made else {"match": "all", "rules": [made]})}


class _Meaning:
    def __init__(self, known: Mapping[str, Property]) -> None:
        self.known = known

    def node(self, node: Node) -> Tree:
        if isinstance(node, Every | Some):
            match = "all" if isinstance(node, Every) else "any"
            rules: list[Tree] = []
            for part in map(self.node, node.parts):
                rules += part["rules"] if part.get("match") == match else [part]
            return {"match": match, "rules": rules}
        if isinstance(node, Not):
            made = self.node(node.part)
            return {"match": "none", "rules": made["rules"] if made.get("match") == "any" else [made]}
        if isinstance(node, Compared):
            return self.compared(node)
        if isinstance(node, Function):
            return self.function(node.name, node.given)
        raise NotRead("a comparison or a condition is expected, for example (age>18) or IsProvided(age)")

    def property(self, one: Operand) -> Property:
        found = self.known.get(names.key_of(one.text)) if isinstance(one, Name) else None
        if found is None:
            said = one.text if isinstance(one, Name) else "what stands there"
            raise NotRead(f'"{said}" is not a property of contacts here')
        return found

    def rule(self, one: Property, op: str, value: Any = None) -> Tree:
        if op not in OPERATORS[one.type]:
            raise NotRead(f'"{names.name_of(one)}" is a {one.type}, which cannot be compared so')
        made = {"field": f"prop.{one.key}", "op": op}
        return made if value is None else made | {"value": value}

    # -- comparisons

    def compared(self, node: Compared) -> Tree:
        left, sign, right = node.left, node.sign, node.right
        if isinstance(left, Value) or (isinstance(left, Function) and left.name in ("todate", "datetimenow")):
            left, sign, right = right, _TURNED.get(sign, sign), left
        if isinstance(left, Function):
            return self.formatted(left, sign, right)
        one = self.property(left)
        if one.type == "date":
            return self.day(one, sign, right)
        if not isinstance(right, Value):
            raise NotRead(f'"{names.name_of(one)}" is compared with a value')
        value = right.it
        if one.type in ("number", "money"):
            number = _number(one, value)
            return self.rule(one, _NUMBERS[sign], round(number * 100) if one.type == "money" else number)
        if sign not in ("=", "!="):
            raise NotRead(f'"{names.name_of(one)}" is compared with = or !=')
        if one.type == "boolean":
            same = self.rule(one, "is", _truth(one, value))
            return same if sign == "=" else {"match": "none", "rules": [same]}
        if one.type == "list":
            return self.rule(one, "has_any" if sign == "=" else "has_none", [_words(value)])
        return self.rule(one, "is" if sign == "=" else "is_not", _words(value))

    def day(self, one: Property, sign: str, right: Operand) -> Tree:
        if isinstance(right, Function) and right.name == "datetimenow":
            if sign in ("<", "<="):
                return self.rule(one, "in_last", _EVER)
            if sign in (">", ">="):
                today = self.rule(one, "in_last", 0)
                return {
                    "match": "all",
                    "rules": [self.rule(one, "in_next", _EVER), {"match": "none", "rules": [today]}],
                }
            raise NotRead("a date is compared with DateTimeNow() by < or >")
        day = _day(right)
        same, before, after = (self.rule(one, op, day.isoformat()) for op in ("is", "before", "after"))
        found = {
            "=": same,
            "!=": {"match": "none", "rules": [same]},
            "<": before,
            ">": after,
            "<=": {"match": "any", "rules": [before, same]},
            ">=": {"match": "any", "rules": [after, same]},
        }
        return found[sign]

    def formatted(self, left: Function, sign: str, right: Operand) -> Tree:
        """``FormatDateTime("mm-dd",born)="12-25"``, or against today: a day of the year; with the year: that day."""
        pattern = left.given[0].it if left.given and isinstance(left.given[0], Value) else ""
        if (
            left.name not in ("formatdatetime", "formatdatetimetz")
            or len(left.given) < 2
            or not isinstance(pattern, str)
        ):
            raise NotRead(f"{left.name}() is not compared with anything here")
        one = self.property(left.given[1])
        parts = re.split(r"[-/.]", pattern.lower())
        if isinstance(right, Function) and right.name.startswith("formatdatetime"):
            today = (
                len(right.given) > 1 and right.given[1] == Function("datetimenow") and right.given[0] == left.given[0]
            )
            if not today or sign != "=" or sorted(parts) != ["dd", "mm"]:
                raise NotRead("a date is compared with today by day and month, in the same format")
            return self.rule(one, "anniversary", 0)
        written = re.split(r"[-/.]", right.it) if isinstance(right, Value) and isinstance(right.it, str) else []
        if sign == "=" and sorted(parts) == ["dd", "mm"] and len(written) == 2:
            found = dict(zip(parts, written, strict=True))
            day = f"{found['mm']:>02}-{found['dd']:>02}"
            return self.rule(one, "anniversary_between", [day, day])
        if sorted(parts) == ["dd", "mm", "yyyy"] and len(written) == 3:
            found = dict(zip(parts, written, strict=True))
            return self.day(one, sign, Value(f"{found['yyyy']}-{found['mm']:>02}-{found['dd']:>02}"))
        raise NotRead("a formatted date is compared by mm-dd or by yyyy-mm-dd")

    # -- functions

    def function(self, name: str, given: Sequence[Operand]) -> Tree:
        values = [one.it if isinstance(one, Value) else None for one in given]
        if name in _BEHAVIOUR and len(given) == 1:
            where = {"within_days": _days(values[0])}
            return {"field": _BEHAVIOUR[name], "op": "at_least", "value": 1, "where": where}
        if name == "insegment" and len(given) == 1:
            return {"field": "segment", "op": "in", "value": values[0]}
        if name == "isprovided" and len(given) == 1:
            return self.rule(self.property(given[0]), "known")
        if name in ("startswith", "contains") and len(given) == 2:
            one = self.property(given[0])
            if one.type == "list":
                return self.rule(one, "has_any", [_words(values[1])])
            return self.rule(one, "begins" if name == "startswith" else "contains", _words(values[1]))
        if name == "isbetweennumbers" and len(given) == 3:
            one = self.property(given[0])
            scale = 100 if one.type == "money" else 1
            return self.rule(one, "between", [_number(one, value) * scale for value in values[1:]])
        if name == "between" and len(given) == 3:
            return self.rule(self.property(given[0]), "between", [_day(one).isoformat() for one in given[1:]])
        if name in ("isinnextdays", "isinpreviousdays") and len(given) == 2:
            op = "in_next" if name == "isinnextdays" else "in_last"
            return self.rule(self.property(given[0]), op, _days(values[1]))
        raise NotRead(f"there is no {name}() with {len(given)} values here")


def _words(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return str(value)


def _number(one: Property, value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        value = float(value) if "." in value else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotRead(f'"{names.name_of(one)}" is compared with a number')
    return value


def _truth(one: Property, value: Any) -> bool:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    if not isinstance(value, bool) and value not in (0, 1):
        raise NotRead(f'"{names.name_of(one)}" is true or false')
    return bool(value)


def _days(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _EVER:
        raise NotRead("a number of days is expected")
    return value


def _day(one: Operand) -> date:
    """``ToDate(SECONDS)``, or a day as a text."""
    try:
        if isinstance(one, Function) and one.name == "todate" and len(one.given) == 1:
            inner = one.given[0]
            if isinstance(inner, Value) and isinstance(inner.it, int) and not isinstance(inner.it, bool):
                return datetime.fromtimestamp(inner.it, UTC).date()
            return _day(inner)
        if isinstance(one, Value) and isinstance(one.it, str) and _DAY.match(one.it):
            return date.fromisoformat(one.it[:10])
    except (ValueError, OverflowError, OSError):
        pass
    raise NotRead("a date is compared with a date: ToDate(SECONDS) or a text like 2024-12-31")


# ---- into the dialect


def expression_of(segment: Segment, known: Mapping[str, Property]) -> str:
    try:
        if segment.by_hand or not segment.tree.get("rules"):
            raise Unsaid
        return write(_said(segment.tree, known))
    except Unsaid:
        return write(Function("insegment", (Value(segment.pk),)))


def _said(node: Tree, known: Mapping[str, Property]) -> Node:
    if "rules" in node:
        parts = tuple(_said(one, known) for one in node["rules"])
        if not parts:
            raise Unsaid
        joined = parts[0] if len(parts) == 1 else Every(parts) if node["match"] == "all" else Some(parts)
        return Not(joined) if node["match"] == "none" else joined
    field, op, value, where = node["field"], node["op"], node.get("value"), node.get("where", {})
    if field == "segment":
        here = Function("insegment", (Value(value),))
        return here if op == "in" else Not(here)
    for name, ours in _BEHAVIOUR.items():
        if field == ours and set(where) == {"within_days"} and (op == "never" or (op, value) == ("at_least", 1)):
            acted = Function(name, (Value(where["within_days"]),))
            return Not(acted) if op == "never" else acted
    one = known.get(field.removeprefix("prop.")) if field.startswith("prop.") else None
    if one is None or where:
        raise Unsaid
    name = names.name_of(one)
    if name.lower() in ("and", "or", "not", "true", "false") or name.isdecimal():
        raise Unsaid
    return _of_property(one, Name(name), op, value)


def _of_property(one: Property, name: Name, op: str, value: Any) -> Node:
    if op in ("known", "unknown"):
        there = Function("isprovided", (name,))
        return there if op == "known" else Not(there)
    if one.type == "date":
        return _of_day(name, op, value)
    if one.type in ("number", "money"):
        scale = 100 if one.type == "money" else 1
        if op == "between":
            return Function("isbetweennumbers", (name, *(Value(each / scale if scale > 1 else each) for each in value)))
        sign = next((sign for sign, ours in _NUMBERS.items() if ours == op), None)
        if sign is None:
            raise Unsaid
        return Compared(name, sign, Value(value / scale if scale > 1 else value))
    if one.type == "boolean" or (op in ("is", "is_not") and one.type in ("text", "choice")):
        return Compared(name, "=" if op == "is" else "!=", Value(value))
    if op in ("contains", "not_contains"):
        holds = Function("contains", (name, Value(value)))
        return holds if op == "contains" else Not(holds)
    if op == "begins":
        return Function("startswith", (name, Value(value)))
    if op in ("in", "not_in", "has_any", "has_none", "has_all"):
        each = tuple(Compared(name, "=", Value(text)) for text in value)
        joined = each[0] if len(each) == 1 else Every(each) if op == "has_all" else Some(each)
        return Not(joined) if op in ("not_in", "has_none") else joined
    raise Unsaid


def _of_day(name: Name, op: str, value: Any) -> Node:
    if op in ("is", "before", "after"):
        sign = {"is": "=", "before": "<", "after": ">"}[op]
        return Compared(name, sign, Value(value))
    if op == "between":
        return Function("between", (name, Value(value[0]), Value(value[1])))
    if op in ("in_last", "in_next"):
        return Function("isinpreviousdays" if op == "in_last" else "isinnextdays", (name, Value(value)))
    pattern = Value("mm-dd")
    if op == "anniversary" and value == 0:
        now = Function("formatdatetime", (pattern, Function("datetimenow")))
        return Compared(Function("formatdatetime", (pattern, name)), "=", now)
    if op == "anniversary_between" and value[0] == value[1]:
        return Compared(Function("formatdatetime", (pattern, name)), "=", Value(value[0]))
    raise Unsaid


# ---- contactfilter


def find(call: Call, key: str) -> Segment:
    """By number, or by name."""
    number, mine = number_of(key), _mine(call)
    found = mine.filter(pk=number).first() if number is not None else None
    found = found or mine.filter(name=key).first()
    if found is None:
        raise missing()
    return found


def _mine(call: Call) -> QuerySet[Segment]:
    return Segment.objects.filter(workspace=call.workspace).select_related("api_filter", "workspace")


def _rows(call: Call) -> QuerySet[Segment]:
    found = _mine(call)
    call.switch("showdeleted")  # none that is gone is kept
    status = call.query.get("status", "").lower()
    if status == "deleted":
        return found.none()
    if status in ("used", "unused"):
        users = segments.users_of(list(found))
        found = found.filter(pk__in=[pk for pk, by in users.items() if bool(by) == (status == "used")])
    return found


def _expression(one: Segment, known: Mapping[str, Property]) -> tuple[str, str]:
    """Expression and description."""
    written = getattr(one, "api_filter", None)
    if written is None:
        return expression_of(one, known), ""
    same = written.tree == one.tree and not one.by_hand
    return written.expression if same else expression_of(one, known), written.description


def _show(call: Call, found: Sequence[Segment]) -> list[dict[str, Any]]:
    known, users = names.known(call.workspace), segments.users_of(found)
    rows = []
    for one in found:
        expression, description = _expression(one, known)
        rows.append(
            {
                "Description": description,
                "Expression": expression,
                "ID": one.pk,
                "Name": one.name,
                "Status": "used" if users[one.pk] else "unused",
            }
        )
    return rows


def _named(call: Call, given: str, one: Segment | None = None) -> str:
    """The name as it is kept; Invalid where another segment than ``one`` has it."""
    name = " ".join(given.split())[: Segment._meta.get_field("name").max_length]
    others = Segment.objects.filter(workspace=call.workspace, name=name)
    if (others.exclude(pk=one.pk) if one else others).exists():
        raise Invalid(f'MJ18 A ContactFilter resource with value "{name}" for Name already exists.')
    return name


def _create(call: Call, given: dict[str, Any]) -> Segment:
    name = _named(call, given["Name"])
    return _saved(call, None, name, given["Expression"], given.get("Description", ""))


def _saved(call: Call, one: Segment | None, name: str, expression: str, description: str) -> Segment:
    tree = tree_of(call.workspace, expression)
    try:
        with override("en"):
            made = segments.save(call.workspace, name, tree, segment=one, actor="key", actor_id=call.key.pk)
    except SegmentProblem as problem:
        why = " ".join(each.sentence for each in problem.problems[:3])
        raise Invalid(f"MJ08 Property Expression is invalid: {why}") from None
    facts = {"expression": expression, "description": description[:500], "tree": made.tree}
    ContactFilter.objects.update_or_create(segment=made, defaults={"workspace": call.workspace, **facts})
    return find(call, str(made.pk))


def _change(call: Call, one: Segment, given: dict[str, Any]) -> bool:
    now, about = _expression(one, names.known(call.workspace))
    name = _named(call, given["Name"], one) if "Name" in given else one.name
    expression, description = given.get("Expression", now), given.get("Description", about)
    if (name, expression, description) == (one.name, now, about):
        return False
    if expression == now:  # also where the dialect has no words for what it says
        made = segments.save(call.workspace, name, one.tree, segment=one, actor="key", actor_id=call.key.pk)
        facts = {"workspace": call.workspace, "description": description[:500], "expression": now, "tree": made.tree}
        ContactFilter.objects.update_or_create(segment=made, defaults=facts)
    else:
        made = _saved(call, one, name, expression, description)
    one.name, one.tree = made.name, made.tree
    one.refresh_from_db()
    return True


def _remove(call: Call, one: Segment) -> None:
    try:
        segments.delete(one, actor="key", actor_id=call.key.pk)
    except SegmentProblem as problem:
        raise Wrong(400, " ".join(each.sentence for each in problem.problems)) from None


FILTER = Resource(
    "contactfilter", _rows, find, _show, Scope.CONTACTS,
    {"Name": Field(text, required=True), "Expression": Field(text, required=True), "Description": Field(text)},
    sorts={"id": ("pk", True), "name": ("name", True)}, create=_create, change=_change, remove=_remove,
)  # fmt: skip
