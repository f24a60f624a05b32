"""Fixed pieces of SQL with places in them: parsed once, filled by expressions.

A snippet is code, never input. Reading one takes a millisecond, a rule is made of a dozen, a page of a dozen rules.
"""

from __future__ import annotations

from functools import lru_cache, partial

from sqlglot import exp, parse_one


@lru_cache(maxsize=1024)
def _kept(snippet: str, dialect: str) -> exp.Expr:
    return parse_one(snippet, dialect=dialect)


def parsed(snippet: str, dialect: str = "postgres") -> exp.Expr:
    """The snippet's tree, the caller's own to change."""
    return _kept(snippet, dialect).copy()


def filled(dialect: str, snippet: str, /, **parts: exp.Expr) -> exp.Expr:
    """The snippet's tree with its ``:name`` places filled."""
    return exp.replace_placeholders(_kept(snippet, dialect), **parts)


in_postgres = partial(filled, "postgres")
in_duckdb = partial(filled, "duckdb")
