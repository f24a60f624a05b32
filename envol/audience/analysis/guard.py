"""Is this one harmless SELECT over the views? The answer is the statement written anew from its syntax tree.

What may stand in it is learnt from examples: whatever kind of node, and whatever function, no example below holds, is
refused by name. So a grammar that grows grows nothing here. Names of tables are those of the views, or of the
question's own WITH.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import sqlglot
from sqlglot import exp

LONGEST = 20_000  # characters
NODES = 3_000
JOINS = 10
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_OF_THE_SYSTEM = ("duckdb", "pg_", "sqlite", "pragma", "information_schema", "sys")

_EXAMPLES = """
WITH a AS (SELECT 1 AS n), b(x) AS (SELECT n FROM a) SELECT * FROM a JOIN b ON a.n = b.x
SELECT DISTINCT a.*, b AS c, 'x', 1.5, -1, TRUE, NULL FROM t AS a WHERE (x = 1 AND y <> 2) OR NOT z
SELECT * EXCLUDE (a) FROM t
SELECT x FROM t LEFT JOIN u USING (k) CROSS JOIN v
SELECT x FROM t, (SELECT y FROM u) AS s ORDER BY x DESC NULLS LAST, 2 LIMIT 10 OFFSET 5
SELECT x, COUNT(*) FROM t GROUP BY x HAVING COUNT(*) > 1
SELECT x, COUNT(*) FROM t GROUP BY ALL ORDER BY ALL
SELECT x, y, COUNT(*) FROM t GROUP BY ROLLUP (x, y)
SELECT x FROM t UNION ALL SELECT y FROM u EXCEPT SELECT z FROM v INTERSECT SELECT w FROM q
SELECT x FROM t QUALIFY ROW_NUMBER() OVER (PARTITION BY a ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) = 1
SELECT SUM(x) FILTER (WHERE y) OVER w FROM t WINDOW w AS (PARTITION BY a)
SELECT CASE WHEN x > 1 THEN 2 ELSE 3 END, CASE x WHEN 1 THEN 2 END, IF(x, 1, 2)
SELECT x IN (1, 2), x IN (SELECT y FROM u), x BETWEEN 1 AND 2, x IS NULL, x IS NOT TRUE, EXISTS (SELECT 1 FROM t)
SELECT x LIKE 'a%', x ILIKE 'b', x NOT LIKE 'c', x || y, x + y - z * w / 2 % 3, x // 2
SELECT x < y, x <= y, x >= y, x IS DISTINCT FROM y
SELECT x = ANY (SELECT y FROM u), x = ALL (SELECT y FROM u), l[1], [1, 2], (1, 2)
SELECT CAST(x AS INTEGER), TRY_CAST(x AS DOUBLE), x::VARCHAR, x::DATE, CAST(y AS DECIMAL(18, 2)), z::BIGINT, b::BOOLEAN
SELECT DATE '2027-01-01', TIMESTAMP '2027-01-01 12:00:00', x + INTERVAL 1 DAY, x - INTERVAL '3 months', CURRENT_DATE
SELECT COUNT(DISTINCT x), SUM(x), AVG(x), MIN(x), MAX(x), MEDIAN(x), MODE(x), STDDEV(x), VARIANCE(x), STDDEV_POP(x)
SELECT QUANTILE_CONT(x, 0.9), QUANTILE_DISC(x, 0.9), APPROX_COUNT_DISTINCT(x), ANY_VALUE(x), CORR(x, y), COUNT_IF(x)
SELECT ARG_MAX(x, y), ARG_MIN(x, y), BOOL_AND(x), BOOL_OR(x), FIRST(x), LAST(x), STDDEV_SAMP(x), VAR_POP(x)
SELECT RANK() OVER (ORDER BY x), DENSE_RANK() OVER (), PERCENT_RANK() OVER (), CUME_DIST() OVER (), NTILE(4) OVER ()
SELECT LAG(x) OVER (), LEAD(x, 1) OVER (), FIRST_VALUE(x) OVER (), LAST_VALUE(x) OVER (), NTH_VALUE(x, 2) OVER ()
SELECT ABS(x), CEIL(x), FLOOR(x), ROUND(x, 2), SIGN(x), SQRT(x), LN(x), LOG10(x), EXP(x), POWER(x, 2), TRUNC(x)
SELECT GREATEST(x, y), LEAST(x, y), MOD(x, 2), SIN(x), COS(x), ASIN(x), ATAN2(x, y), RADIANS(x), DEGREES(x), PI()
SELECT LOWER(x), UPPER(x), LENGTH(x), TRIM(x), LTRIM(x), RTRIM(x), SUBSTRING(x, 1, 2), SUBSTR(x, 1), LEFT(x, 1)
SELECT RIGHT(x, 1), STARTS_WITH(x, 'a'), ENDS_WITH(x, 'a'), CONTAINS(x, 'a'), STRPOS(x, 'a'), SPLIT_PART(x, '@', 2)
SELECT CONCAT(x, y), REGEXP_MATCHES(x, 'a'), REGEXP_EXTRACT(x, 'a'), COALESCE(x, y), NULLIF(x, y), IFNULL(x, y)
SELECT STRIP_ACCENTS(x)
SELECT DATE_TRUNC('month', x), DATE_PART('year', x), EXTRACT(year FROM x), DATE_DIFF('day', x, y), YEAR(x), MONTH(x)
SELECT DAY(x), WEEK(x), QUARTER(x), DAYOFWEEK(x), ISODOW(x), HOUR(x), MINUTE(x), DAYOFYEAR(x), LAST_DAY(x)
SELECT STRFTIME(x, '%Y-%m'), DAYNAME(x), MONTHNAME(x), MAKE_DATE(2027, 1, 2)
SELECT UNNEST(x), LEN(x), LIST_CONTAINS(x, 'a'), LIST_HAS_ANY(x, y), LIST_HAS_ALL(x, y)
"""


class Refused(Exception):
    """``code`` says what is wrong, for a page in any language; ``what`` names it."""

    def __init__(self, code: str, what: str = "") -> None:
        self.code, self.what = code, what[:200]
        super().__init__(f"{code}: {self.what}" if self.what else code)


@dataclass(frozen=True, slots=True)
class _Known:
    kinds: frozenset[type[exp.Expr]]
    functions: frozenset[str]  # of those that sqlglot has no kind for
    types: frozenset[exp.DType]


@cache
def _known() -> _Known:
    kinds: set[type[exp.Expr]] = set()
    functions: set[str] = set()
    types: set[exp.DType] = set()
    for line in _EXAMPLES.strip().splitlines():
        for node in sqlglot.parse_one(line, dialect="duckdb").walk():
            kinds.add(type(node))
            if isinstance(node, exp.Anonymous):
                functions.add(node.name.lower())
            elif isinstance(node, exp.DataType):
                types.add(node.this)
    return _Known(frozenset(kinds), frozenset(functions), frozenset(types))


def functions() -> list[str]:
    """The functions a question may use, for a page."""
    words = re.findall(r"\b([A-Z_0-9]+)\(", _EXAMPLES)
    return sorted({word.lower() for word in words})


def checked(text: str, views: frozenset[str]) -> exp.Query:
    """The syntax tree of a harmless question. Raises :class:`Refused`."""
    if len(text) > LONGEST:
        raise Refused("long")
    if "\x00" in text:
        raise Refused("unreadable", "NUL")
    try:
        found = [one for one in sqlglot.parse(text, dialect="duckdb") if one is not None]
    except (
        sqlglot.errors.SqlglotError,
        RecursionError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        KeyError,
    ) as error:
        raise Refused("unreadable", _first_line(error)) from None
    if not found:
        raise Refused("empty")
    if len(found) > 1:
        raise Refused("several")
    tree = found[0]
    if isinstance(tree, exp.Subquery):
        tree = tree.unnest()
    if not isinstance(tree, exp.Select | exp.SetOperation):
        raise Refused("no_select", type(tree).__name__.lower())
    try:
        _look_through(tree, views)
    except RecursionError:
        raise Refused("large") from None
    return tree


def _look_through(tree: exp.Expr, views: frozenset[str]) -> None:
    known = _known()
    own = set()
    for cte in tree.find_all(exp.CTE):
        name = cte.alias
        if not _PLAIN.fullmatch(name) or name.lower().startswith(_OF_THE_SYSTEM):
            raise Refused("name", name)
        own.add(name.lower())
    joins = 0
    for nodes, node in enumerate(tree.walk()):
        joins += isinstance(node, exp.Join)
        if nodes > NODES or joins > JOINS:
            raise Refused("large")
        if type(node) not in known.kinds:
            raise Refused("word", node.sql_name() if isinstance(node, exp.Func) else _word(node))
        if isinstance(node, exp.Anonymous) and node.name.lower() not in known.functions:
            raise Refused("word", node.name)
        if isinstance(node, exp.DataType) and node.this not in known.types:
            raise Refused("word", node.sql(dialect="duckdb"))
        if isinstance(node, exp.With) and node.args.get("recursive"):
            raise Refused("recursive")
        if isinstance(node, exp.Table):
            _look_at_table(node, views | own)


def _look_at_table(table: exp.Table, allowed: frozenset[str]) -> None:
    named = table.this
    if not isinstance(named, exp.Identifier) or table.args.get("db") or table.args.get("catalog"):
        raise Refused("table", table.sql(dialect="duckdb"))
    if not _PLAIN.fullmatch(named.name) or named.name.lower() not in allowed:
        raise Refused("table", named.name)
    if more := [key for key, value in table.args.items() if value and key not in ("this", "alias", "joins")]:
        raise Refused("word", more[0])


def _word(node: exp.Expr) -> str:
    return type(node).__name__


def _first_line(error: BaseException) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().split("\n")[0][:200]


def paged(tree: exp.Query, first: int, count: int) -> str:
    """SQL of DuckDB for ``count`` rows from ``first``; without an order of its own, in the order of its columns."""
    text = tree.sql(dialect="duckdb", comments=False)
    rows = f"LIMIT {int(count)} OFFSET {int(first)}"
    if tree.args.get("limit") or tree.args.get("offset"):
        return f"SELECT * FROM ({text}) AS answer {rows}"
    if tree.args.get("order"):
        return f"{text} {rows}"
    return f"SELECT * FROM ({text}) AS answer ORDER BY ALL {rows}"
