"""Tree and values → text: the tree becomes functions once, and they run for each message.

Steps, depth and size are limited; values are only looked at, never called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from envol.content.mtl.expressions import absent_of, escaped, truth, value_of
from envol.content.mtl.grammar import Call, For, If, MtlError, Operation, Print, Ref, Set, Template, parse
from envol.content.mtl.rows import ROW, loop_of, row_of
from envol.content.mtl.state import (
    MAX_OUTPUT,
    MAX_STEPS,
    MISSING,
    TOO_LARGE,
    TOO_LONG,
    Run,
    Values,
    listed,
)

__all__ = ["Values", "render"]

Act = Callable[["Run"], None]


def render(template: Template | str, values: Values, *, is_html: bool = False) -> str:
    """Raises MtlError. What belongs to a recipient is escaped in HTML; what the caller passes is the caller's."""
    tree = parse(template) if isinstance(template, str) else template
    act = tree.made.get(is_html)
    if act is None:
        act = tree.made[is_html] = _body(tree.body, is_html)
    run = Run(values)
    try:
        act(run)
    except RecursionError:
        raise MtlError("the values are nested too deeply", 1) from None
    text = "".join(run.out)
    if len(text) > MAX_OUTPUT:
        raise MtlError(TOO_LARGE, 1)
    return text


# The tree is walked once and becomes functions that know what they do: nothing is looked up by kind while a message is
# made. What a body costs, apart from the bodies inside it, is counted then too, and added each time it runs.


def _body(nodes: list[Any], is_html: bool) -> Act:
    acts: list[Act] = []
    cost, size = _weight(nodes)
    before = ""
    row: list[Printed] = []

    def close() -> None:
        nonlocal before
        if row:
            acts.append(_prints(row, before))
            row.clear()
        elif before:
            acts.append(_literal(before))
        before = ""

    for node in nodes:
        if isinstance(node, str):
            before += node
        elif isinstance(node, Print):
            row.append((before, node, _escapes(node, is_html)))
            before = ""
            if len(row) == ROW:
                close()
        else:
            close()
            acts.append(_STATEMENTS[node.__class__](node, is_html))
    close()
    steps = tuple(acts)

    def act(run: Run) -> None:
        run.steps += cost
        if run.steps > MAX_STEPS:
            raise MtlError(TOO_LONG, 1)
        run.size += size
        if run.size > MAX_OUTPUT:
            raise MtlError(TOO_LARGE, 1)
        for step in steps:
            step(run)

    return act


def _weight(nodes: Iterable[Any]) -> tuple[int, int]:
    """Steps and characters that a body costs whatever its values are, apart from the bodies inside it."""
    cost, size = 1, 0
    for node in nodes:
        cost += 1
        if isinstance(node, str):
            size += len(node)
        elif isinstance(node, Print | Set):
            cost += _cost(node.value)
        elif isinstance(node, If):
            cost += sum(_cost(condition) for condition, _ in node.branches if condition is not None)
    return cost, size


def _only_prints(nodes: Sequence[Any], is_html: bool) -> tuple[list[Printed], str] | None:
    """The values of a body that one row can hold, and the text behind them; None where it does anything else."""
    row: list[Printed] = []
    before = ""
    for node in nodes:
        if isinstance(node, str):
            before += node
        elif isinstance(node, Print) and len(row) < ROW:
            row.append((before, node, _escapes(node, is_html)))
            before = ""
        else:
            return None
    return row, before


def _escapes(node: Print, is_html: bool) -> bool:
    return is_html and node.personal and not escaped(node.value)


def _cost(node: Any) -> int:
    if isinstance(node, Call):
        return 1 + sum(map(_cost, node.arguments))
    if isinstance(node, Operation):
        return 1 + _cost(node.left) + (_cost(node.right) if node.right is not None else 0)
    return 0


def _literal(text: str) -> Act:
    def act(run: Run) -> None:
        run.write(text)

    return act


Printed = tuple[str, Print, bool]
"""The text before a value, the value, and whether it is escaped."""


def _prints(row: Sequence[Printed], after: str) -> Act:
    """Values one after the other, each with the text that stands before it, and what stands behind the last."""
    shape, given = _shape(row)
    return row_of(shape)(*given, after)


def _shape(row: Sequence[Printed], loop: str = "") -> tuple[str, list[Any]]:
    """The shape of a row and what its values must know; ``loop``: the name of the loop whose body it is."""
    shape: list[str] = []
    given: list[Any] = []
    for before, node, escapes in row:
        kind, known = _place(node.value, loop)
        shape.append(kind.upper() if escapes else kind)
        given += (before, node.line, *known)
    return "".join(shape), given


def _place(node: Any, loop: str) -> tuple[str, tuple[Any, ...]]:
    """The kind of a value that a row looks up itself, and what it must know for that (see `rows`)."""
    if isinstance(node, Ref):
        words = tuple(node.path.split("."))
        if len(words) == 1 and node.space in ("var", ""):
            return "v" if node.space else "i" if node.path == loop else "n", (node.path, absent_of(node))
        if len(words) == 2 and node.space in ("var", ""):
            kind = "w" if node.space else "j" if words[0] == loop else "b"
            return kind, (*words, node.path, words, absent_of(node))
        if node.space == "data":
            return "d", (node.path.lower(), absent_of(node))
    return "o", (value_of(node),)


def _if(node: If, is_html: bool) -> Act:
    branches = tuple(
        (None if condition is None else value_of(condition), _body(inner, is_html))
        for condition, inner in node.branches
    )

    def act(run: Run) -> None:
        for condition, inner in branches:
            if condition is not None:
                holds = condition(run)
                if holds is False or (holds is not True and not truth(holds)):
                    continue
            inner(run)
            return

    return act


def _set(node: Set, _is_html: bool) -> Act:
    name, value = node.name, value_of(node.value)

    def act(run: Run) -> None:
        run.names[name] = value(run)

    return act


def _for(node: For, is_html: bool) -> Act:
    name, line, over_name, over = node.name, node.line, node.over.name, value_of(node.over)
    if (row := _only_prints(node.body, is_html)) is not None:
        printed_in_row, after = row
        shape, given = _shape(printed_in_row, name)
        cost, size = _weight(node.body)
        return loop_of(shape)(name, over, over_name, line, cost, size, *given, after)
    body = _body(node.body, is_html)

    def act(run: Run) -> None:
        items = listed(over(run), over_name, line)
        names = run.names
        before = names.get(name, MISSING)
        for item in items:
            names[name] = item
            body(run)
        if before is MISSING:
            names.pop(name, None)
        else:
            names[name] = before

    return act


_STATEMENTS: dict[type, Callable[[Any, bool], Act]] = {If: _if, Set: _set, For: _for}
