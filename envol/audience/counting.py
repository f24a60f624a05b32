"""Counts for a page on which somebody is typing: exact when it is quick, an honest estimate before it is not.

Columns are asked first (:mod:`envol.audience.columns`), which answer exactly and in milliseconds; without them, or
when they cannot, PostgreSQL is.

A count belongs to a page and has a turn. A newer turn of the same page, or the page's end, cancels
the statement inside PostgreSQL, whichever process runs it (``sql/take_turn.sql``); a statement timeout
is the net below. An estimate is the same rule asked of people drawn at random: it says how many.
"""

from __future__ import annotations

import hashlib
import random
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import structlog
from django.conf import settings
from django.db import OperationalError, transaction
from psycopg.errors import QueryCanceled

from envol import db
from envol.audience.catalogue import Catalogue
from envol.audience.columns import ask
from envol.audience.engine import Moved, Tree, Whose, postgres
from envol.audience.language import SegmentProblem, parse
from envol.consent.models import Purpose
from envol.contacts.models import Contact
from envol.db import TooSlow

__all__ = ["Figures", "Page", "Superseded", "TooSlow", "figures", "turn_of"]

log = structlog.get_logger()

PATIENCE = 0.5  # seconds before an estimate is shown
WORTH_ASKING = (
    0.02  # seconds left, below which PostgreSQL is not asked of a large base what columns did not say in time
)
CEILING = 30.0  # seconds after which an exact count is given up
DRAWN = 4000  # ids drawn for an estimate
ENOUGH = 200  # of them that must belong to the workspace
SMALL = 50_000  # people up to which a sample is picked from all of them
LAST_TURN = 2**31 - 1

_TABLE = Contact._meta.db_table


class Superseded(Exception):
    """A newer count of the same page made this one pointless."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a rule means in people. ``drawn`` > 0: an estimate, from that many people drawn at random.

    ``seconds`` it took; ``columns``: "asked" when they answered, "failed" when they exist and could not, else "".
    """

    total: int
    reasons: dict[str, int] = field(default_factory=dict)  # "" → may be written to; else the reason why not
    sample: list[int] = field(default_factory=list)
    drawn: int = 0
    seconds: float = 0.0
    columns: str = ""

    @property
    def count(self) -> int:
        return sum(self.reasons.values())


@dataclass(frozen=True, slots=True)
class Page:
    """An open page of one member: what its counts are known by among all processes."""

    number: int

    @classmethod
    def of(cls, *names: object) -> Page:
        digest = hashlib.sha256("\0".join(str(name) for name in names).encode("utf-8", "replace")).digest()
        return cls(int.from_bytes(digest[:4]) >> 1 or 1)


@contextmanager
def turn_of(page: Page, turn: int, seconds: float) -> Iterator[None]:
    """Statements of the block run as this page's count: older turns are cancelled, a newer one cancels it.

    Raises :class:`Superseded`, or :class:`TooSlow` when one statement takes longer than ``seconds``.
    """
    started = time.monotonic()
    try:
        with transaction.atomic(durable=True):
            if not db.value("SELECT audience_take_turn(%s, %s)", [page.number, max(1, min(turn, LAST_TURN))]):
                raise Superseded
            db.execute(f"SET LOCAL statement_timeout = {max(1, int(seconds * 1000))}")
            yield
            # Out by the door: nobody who holds it may still mean to cancel this session.
            db.execute("SELECT pg_advisory_xact_lock(%s, 0)", [page.number])
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        if time.monotonic() - started >= seconds:
            raise TooSlow from None
        raise Superseded from None


def leave(page: Page) -> None:
    """The page is gone: whatever it counts ends now. (Columns stop when whoever asked hangs up.)"""
    with transaction.atomic(durable=True):
        db.value("SELECT audience_take_turn(%s, %s)", [page.number, LAST_TURN])


def everybody(whose: Whose) -> int:
    workspace = Catalogue.of(whose).workspace
    return int(db.value(f"SELECT count(*) FROM {_TABLE} WHERE workspace_id = %s", [workspace.id]))


@contextmanager
def ahead(whose: Whose, tree: Tree, purpose: Purpose | None, page: Page, turn: int) -> Iterator[ask.Asked | None]:
    """Put to columns now what `figures` will be asked with the same words: they count while a page is drawn.

    None when they cannot be asked or the rule is wrong, which `figures` tells then. The question ends with the block.
    """
    catalogue = Catalogue.of(whose)
    try:
        parse(tree, catalogue)
        asked = ask.Asked(
            settings.ENVOL.data, catalogue.workspace.pk, _question(tree, purpose) | {"page": page.number, "turn": turn}
        )
    except (SegmentProblem, ask.Silent):
        yield None
        return
    try:
        yield asked
    finally:
        asked.close()


def figures(
    whose: Whose,
    tree: Tree,
    purpose: Purpose | None,
    page: Page,
    turn: int,
    *,
    patience: float | None = PATIENCE,
    estimate: bool = True,
    asked: ask.Asked | None = None,
) -> Figures:
    """Count, permissions and ten people. With ``patience``: an estimate when the count takes longer.

    ``asked``: the same question, sent by `ahead`; patience begins now all the same. Without patience the exact
    figures, within ``CEILING``. Raises ``SegmentProblem``, :class:`Superseded`, :class:`TooSlow` (no estimate was
    wanted, or it is slow too).
    """
    catalogue = Catalogue.of(whose)
    began = time.monotonic()
    found, state = _from_columns(catalogue, tree, purpose, page, turn, CEILING if patience is None else patience, asked)
    if found is None:
        # Columns that were late had their share of the patience: both together take no longer than one would.
        left = None if patience is None else patience - (time.monotonic() - began)
        found = _from_postgres(catalogue, tree, purpose, page, turn, left, estimate)
    # Since it was sent: what was drawn meanwhile counts too, so that a page never says less than it took.
    return replace(found, seconds=time.monotonic() - (asked.began if asked else began), columns=state)


def told_by_columns(
    whose: Whose, tree: Tree, purpose: Purpose | None = None, seconds: float = CEILING
) -> dict[str, int] | None:
    """People by the gate's reason (``""``: may be written to, or everybody without a purpose); None: ask PostgreSQL.

    Raises ``SegmentProblem``.
    """
    page = Page(secrets.randbits(31) or 1)  # nothing newer can come from a page on which nobody types
    told, _ = _asked(Catalogue.of(whose), _question(tree, purpose), page, 1, seconds)
    return told["reasons"] if told is not None else None


def masks(whose: Whose, trees: Sequence[Tree], seconds: float = CEILING) -> dict[int, int] | None:
    """People by the trees that they fit, bit n for the n-th, as columns say; None: ask PostgreSQL.

    Raises ``SegmentProblem``.
    """
    question = {"ask": "overlap", "trees": list(trees)}
    told, _ = _asked(Catalogue.of(whose), question, Page(secrets.randbits(31) or 1), 1, seconds)
    return {int(mask): n for mask, n in told["masks"].items()} if told is not None else None


def people(whose: Whose, tree: Tree, after: int, limit: int) -> list[int]:
    """Ids of the next ``limit`` people after this id, in order of id. Raises ``SegmentProblem``."""
    catalogue = Catalogue.of(whose)
    question = {"ask": "ids", "tree": tree, "after": after, "limit": limit}
    told, _ = _asked(catalogue, question, Page(secrets.randbits(31) or 1), 1, CEILING)
    if told is not None:
        return list(told["ids"])
    query, params = postgres.ids_sql(catalogue, tree, after=after, limit=limit)
    return [row[0] for row in db.rows(query, params)]


def moved(whose: Whose, tree: Tree, day: date, page: Page, turn: int = 1) -> Moved:
    """Who is in it now against who was when ``day`` ended. Raises as `figures` does."""
    catalogue = Catalogue.of(whose)
    question = {"ask": "moved", "tree": tree, "day": day.isoformat()}
    told, _ = _asked(catalogue, question, page, turn, CEILING)
    if told is not None:
        return Moved(**told["moved"])
    with turn_of(page, turn, CEILING):
        return postgres.moved(catalogue, tree, day)


def _question(tree: Tree, purpose: Purpose | None) -> dict[str, Any]:
    return {"ask": "figures", "tree": tree, "purpose": purpose.key if purpose else None}


def _from_columns(
    catalogue: Catalogue,
    tree: Tree,
    purpose: Purpose | None,
    page: Page,
    turn: int,
    seconds: float,
    asked: ask.Asked | None = None,
) -> tuple[Figures | None, str]:
    told, state = _asked(catalogue, _question(tree, purpose), page, turn, seconds, asked)
    return (Figures(told["total"], told["reasons"], told["sample"]) if told else None), state


def _asked(
    catalogue: Catalogue,
    question: dict[str, Any],
    page: Page,
    turn: int,
    seconds: float,
    asked: ask.Asked | None = None,
) -> tuple[dict[str, Any] | None, str]:
    """What columns say; None when they do not. The second answer is `Figures.columns`."""
    try:
        if asked is not None:
            return asked.answer(seconds), "asked"
        for tree in question["trees"] if "trees" in question else [question["tree"]]:
            parse(tree, catalogue)  # what is wrong with it is said here, with its places
        question = {**question, "page": page.number, "turn": turn}
        return ask.ask(settings.ENVOL.data, catalogue.workspace.pk, question, seconds), "asked"
    except ask.Overtaken:
        raise Superseded from None
    except (ask.NoSlabs, ask.Late):
        return None, ""
    except ask.Silent as why:
        log.warning("columns did not answer, PostgreSQL is asked", why=str(why))
        return None, "failed"


def _from_postgres(
    catalogue: Catalogue,
    tree: Tree,
    purpose: Purpose | None,
    page: Page,
    turn: int,
    patience: float | None,
    estimate: bool,
) -> Figures:
    try:
        if patience is not None and patience < WORTH_ASKING and db.is_large(_TABLE):
            raise TooSlow
        with turn_of(page, turn, CEILING if patience is None else max(patience, WORTH_ASKING)):
            return _exact(catalogue, tree, purpose, page)
    except TooSlow:
        if patience is None or not estimate:
            raise
    with turn_of(page, turn, max(patience, PATIENCE)):
        total = everybody(catalogue)
        drawn = draw(catalogue, page.number)
        reasons, sample = _among(catalogue, tree, purpose, drawn)
        scale = total / len(drawn) if drawn else 0
        return Figures(total, {why: round(n * scale) for why, n in reasons.items()}, sample, len(drawn))


def _exact(catalogue: Catalogue, tree: Tree, purpose: Purpose | None, page: Page) -> Figures:
    if purpose is None:
        reasons = {"": postgres.count(catalogue, tree)}
    else:
        reasons = postgres.by_reason(catalogue, tree, purpose)
    total = everybody(catalogue)
    found = sum(reasons.values())
    sample: list[int] = []
    if total > SMALL and found:
        # Ten of those drawn: picking from all who match would read them all once more.
        _, sample = _among(catalogue, tree, purpose, draw(catalogue, page.number))
    if len(sample) < min(10, found):
        sample = postgres.sample(catalogue, tree, 10)
    return Figures(total, reasons, sample)


def draw(whose: Whose, seed: int, wanted: int = DRAWN) -> list[int]:
    """Ids of people of the workspace, each as likely as any other; the same ones for the same seed."""
    workspace = Catalogue.of(whose).workspace
    low, high = db.rows(f"SELECT min(id), max(id) FROM {_TABLE}")[0]
    if low is None:
        return []
    dice = random.Random(seed)  # noqa: S311 - a sample, not a secret
    if high - low < wanted * 4:
        ids = list(range(low, high + 1))
    else:
        ids = [dice.randint(low, high) for _ in range(wanted)]
    found = [
        row[0]
        for row in db.rows(
            f"SELECT id FROM {_TABLE} WHERE id = ANY(%s) AND workspace_id = %s ORDER BY id", [ids, workspace.id]
        )
    ]
    if len(found) < ENOUGH:
        # A small workspace in a large installation: few ids hit it, but reading all of its own is quick.
        found = [row[0] for row in db.rows(f"SELECT id FROM {_TABLE} WHERE workspace_id = %s", [workspace.id])]
    dice.shuffle(found)
    return found[:wanted]


def _among(
    catalogue: Catalogue, tree: Tree, purpose: Purpose | None, ids: list[int]
) -> tuple[dict[str, int], list[int]]:
    """Of these people: how many match, by reason, and the first ten in the order drawn."""
    found = postgres.reasons_among(catalogue, tree, purpose, ids)
    reasons: dict[str, int] = {}
    for why in found.values():
        reasons[why] = reasons.get(why, 0) + 1
    return reasons, [id for id in ids if id in found][:10]
