"""Several segments at once: which of them each person is in, told by columns or read in one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from envol import db
from envol.audience import counting
from envol.audience.compile import ALIAS, contacts, to_sql
from envol.audience.days import When
from envol.audience.engine import Tree, Whose, postgres
from envol.audience.language import parse

MOST = 10  # segments that one statement is asked about


@dataclass(frozen=True, slots=True)
class Overlap:
    """``masks``: people by the segments that they are in; bit n stands for segment n."""

    masks: Mapping[int, int]

    def size(self, n: int) -> int:
        return sum(people for mask, people in self.masks.items() if mask >> n & 1)

    def both(self, a: int, b: int) -> int:
        return sum(people for mask, people in self.masks.items() if mask >> a & 1 and mask >> b & 1)

    def either(self, a: int, b: int) -> int:
        return sum(people for mask, people in self.masks.items() if mask >> a & 1 or mask >> b & 1)

    def jaccard(self, a: int, b: int) -> float | None:
        """The share of those in either who are in both; None when both are empty."""
        either = self.either(a, b)
        return self.both(a, b) / either if either else None

    @property
    def people(self) -> int:
        return sum(self.masks.values())


def masks_sql(whose: Whose, trees: Sequence[Tree], *, now: When = None) -> tuple[str, dict[str, Any]]:
    """A SELECT of ``id`` and ``mask`` of everybody, with its named parameters. Raises ``SegmentProblem``."""
    compiler = postgres.compiler(whose, now)
    mask: exp.Expr = exp.Literal.number(0)
    for n, tree in enumerate(trees):
        holds = exp.paren(compiler.condition(parse(tree, compiler.catalogue)))
        bit = exp.Case().when(holds, exp.Literal.number(1 << n)).else_(exp.Literal.number(0))
        mask = exp.Add(this=mask, expression=bit)
    return to_sql(contacts(compiler, exp.column("id", ALIAS), exp.alias_(mask, "mask"))), compiler.params


def overlap(whose: Whose, trees: Sequence[Tree], *, now: When = None) -> Overlap:
    """Raises ``SegmentProblem``."""
    if now is None and (told := counting.masks(whose, trees)) is not None:
        return Overlap(told)
    query, params = masks_sql(whose, trees, now=now)
    return Overlap({mask: int(n) for mask, n in db.rows(f"SELECT mask, count(*) FROM ({query}) p GROUP BY 1", params)})
