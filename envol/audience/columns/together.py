"""Several rules answered by one reading of the slabs.

One rule is a WHERE, and DuckDB reads no more than it must. Six segments of two rules each would read the same columns
twelve times over; here each rule is a bit of a number, and the number of every row is read once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlglot import exp

from envol.audience.columns.compile import Leaf
from envol.audience.columns.kept import Array

if TYPE_CHECKING:
    from envol.audience.columns.engine import Question

MOST = 30  # bits of an INTEGER that never overflow when they are added up
_SHORT = 15  # bits of a SMALLINT
_ONE_ROW = ("contacts", "totals")  # tables with one row a person


def answer(question: Question, leaves: Iterable[Leaf]) -> None:
    """Answer in one reading what is not kept, where it is more than one question."""
    slabs, people = question.of.slabs, len(question.of.ids)
    question.late.clear()
    unknown = [leaf for leaf in leaves if question.of.answers.get(question.key(leaf)) is None]
    for table, alike in by_table(unknown).items():
        for some in parts([leaf for leaf in alike if slabs.get(leaf.key) is None]):
            rows = question.ask(*reading(some, table))
            whole: Array | None = None
            if table in _ONE_ROW:
                whole = np.zeros(people, rows["fits"].dtype)
                whole[rows["pos"]] = rows["fits"]
            for n, leaf in enumerate(some):
                slabs.put(leaf.key, _placed(rows, n, people) if whole is None else whole & (1 << n) != 0)
        if table == "contacts" and question.delta.dirty["contacts"]:
            for some in parts(alike):
                text, params = reading(some, "d_contacts")
                rows = question.delta.of_people(text, partial(question.ask, params=params))
                question.late |= {leaf.key: rows["pos"][rows["fits"] & (1 << n) != 0] for n, leaf in enumerate(some)}


def by_table(leaves: Iterable[Leaf]) -> dict[str, list[Leaf]]:
    """Those that can be asked together, each question once, by the table that is read."""
    made: dict[str, dict[str, Leaf]] = {}
    for leaf in leaves:
        if (told := _told(leaf)) is not None:
            made.setdefault(told[0], {})[leaf.key] = leaf
    return {table: list(alike.values()) for table, alike in made.items()}


def _told(leaf: Leaf) -> tuple[str, exp.Expr] | None:
    """Which table tells it, and what holds of the rows of whoever fits; None where it takes more than one row."""
    if leaf.kind == "row":
        return "contacts", bare(leaf)
    if leaf.short is not None:
        return "totals", leaf.short.args["where"].this
    return (leaf.source, leaf.query.args["where"].this) if leaf.among else None


def bare(leaf: Leaf) -> exp.Expr:
    """The condition of a rule on people's own rows, where "not known" counts as "no" anyway: files are read by it."""
    return leaf.query.this if isinstance(leaf.query, exp.Coalesce) else leaf.query


def parts(leaves: Sequence[Leaf]) -> list[Sequence[Leaf]]:
    """As many as one reading can answer; one alone is asked in its own words."""
    some = [leaves[start : start + MOST] for start in range(0, len(leaves), MOST)]
    return [one for one in some if len(one) > 1]


def _placed(rows: dict[str, Array], n: int, people: int) -> Array:
    made = np.zeros(people, np.bool_)
    made[rows["pos"][rows["fits"] & (1 << n) != 0]] = True
    return made


def reading(leaves: Sequence[Leaf], table: str) -> tuple[str, dict[str, Any]]:
    """``pos`` and ``fits`` of rows of ``table``: bit n of ``fits`` says whether the n-th of these rules holds there."""
    params: dict[str, Any] = {}
    bits = []
    for n, leaf in enumerate(leaves):
        told = _told(leaf)
        assert told is not None
        condition = told[1].copy()
        for place in list(condition.find_all(exp.Parameter)):
            name = place.this.name
            params[f"r{n}{name}"] = leaf.params[name]
            place.set("this", exp.Var(this=f"r{n}{name}"))
        bits.append(f"CASE WHEN {condition.sql(dialect='duckdb')} THEN {1 << n} ELSE 0 END")
    where = " AND ".join(_among(leaves, params))
    number = f"CAST({' + '.join(bits)} AS {'SMALLINT' if len(leaves) < _SHORT else 'INTEGER'})"
    return f"SELECT pos, {number} AS fits FROM {table}{f' WHERE {where}' if where else ''}", params


def _among(leaves: Sequence[Leaf], params: dict[str, Any]) -> Iterator[str]:
    """What all of them have in common, in words by which only part of the files is read."""
    for column in leaves[0].among:
        if not all(column in leaf.among for leaf in leaves):
            continue
        wanted = sorted({leaf.among[column] for leaf in leaves})
        params |= {f"{column}{n}": value for n, value in enumerate(wanted)}
        yield f"{column} IN ({', '.join(f'${column}{n}' for n in range(len(wanted)))})"
