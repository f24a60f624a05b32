"""Learn from labelled letters what the judge weighs (`envol/wire/fraud/learnt.tsv`), and say how right it is.

    python -m tests.wire.fraud_learning          # how right: of letters left out in five turns, and of the unseen sets
    python -m tests.wire.fraud_learning --write  # make learnt.tsv anew from all letters but the unseen ones

Letters of `tests/mail/fraud/learnt` were written for this, those of `tests/mail/fraud` are the older sets; `unseen` has
the sets that nothing is ever made from, neither rules nor weights.
"""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from email.message import EmailMessage
from email.utils import parseaddr
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envol.wire.fraud import ALLOW, judge, learnt, letter_of
from envol.wire.fraud.judge import Letter, traits_of
from tests.wire.fraud_letters import FOLDER, SETS, letters, letters_of, whole

WEIGHTS = Path(learnt.__file__).with_name("learnt.tsv")
OFTEN = 4
"""A word is learnt where so many letters have it."""
RIDGE = 1.0
SMALLEST = 0.015
"""Smaller weights are not written."""
TURNS = 5
_OURS = re.compile(r"\bexampl\b")  # the ending of domains that are no real ones
Numbers = NDArray[np.float64]


class Known(NamedTuple):
    fraud: bool
    letter: Letter
    seen: learnt.Traits


def opened(message: EmailMessage) -> Letter:
    name, address = parseaddr(str(message["From"]))
    return letter_of(message.as_bytes(), name=name, address=address, subject=str(message["Subject"]))


def known(fraud: bool, letter: Letter) -> Known:
    return Known(fraud, letter, traits_of(letter))


CAMPAIGN = """

---
{% if language == "fr" %}Vous ne souhaitez plus recevoir ces messages ?
Me désinscrire: {{ unsubscribe_url }}
Mes préférences: {{ preferences_url }}{% else %}You no longer want these messages?
Unsubscribe: {{ unsubscribe_url }}
My preferences: {{ preferences_url }}{% endif %}
{{ workspace.title }}{% if workspace.postal_address %}, {{ workspace.postal_address }}{% endif %}
"""
"""How every campaign ends, as control reads it before it is filled."""


def as_campaigns(letters: Sequence[Known]) -> list[Known]:
    """Every fourth letter of each kind as a campaign would say it: the words of its end then speak for neither."""
    found: list[Known] = []
    for fraud in (False, True):
        for one in [one for one in letters if one.fraud is fraud][::4]:
            html = one.letter.html and one.letter.html + "".join(f"<p>{line}</p>" for line in CAMPAIGN.splitlines())
            found.append(known(fraud, replace(one.letter, text=one.letter.text + CAMPAIGN, html=html)))
    return found


def written() -> list[Known]:
    """The letters that were written to be learnt from."""
    return list(_of("learnt"))


def unseen() -> list[Known]:
    return list(_of("unseen"))


def _of(folder: str) -> Iterator[Known]:
    for path in sorted((FOLDER / folder).glob("*.txt")):
        for _, message in letters_of(path):
            yield known(path.name.startswith("phishing"), opened(message))


def older() -> list[Known]:
    kinds = (("honest", False), ("phishing", True))
    found = [known(fraud, opened(m)) for which in SETS for kind, fraud in kinds for _, m in letters(f"{kind}{which}")]
    return found + [known(fraud, opened(m)) for kind, fraud in kinds for _, m in whole(kind)]


def values(seen: learnt.Traits) -> dict[str, float]:
    """As `Book.odds` weighs them."""
    scale = seen.scale()
    return (
        dict.fromkeys(seen.words, scale)
        | {" ".join(pair): scale for pair in seen.pairs}
        | dict.fromkeys(seen.others, learnt.ONE)
    )


class Table:
    """Letters as the rows of a table that is nearly empty."""

    def __init__(self, rows: Sequence[dict[str, float]], columns: dict[str, int]) -> None:
        here = [(columns[what], value) for row in rows for what, value in row.items() if what in columns]
        sizes = [sum(what in columns for what in row) for row in rows]
        self._column = np.array([column for column, _ in here], np.int64)
        self._value = np.array([value for _, value in here])
        self._row = np.repeat(np.arange(len(rows)), sizes)
        self.shape = len(rows), len(columns)

    def by(self, weights: Numbers) -> Numbers:
        return np.bincount(self._row, self._value * weights[self._column], self.shape[0])

    def back(self, off: Numbers) -> Numbers:
        return np.bincount(self._column, self._value * off[self._row], self.shape[1])


def learn(letters: Sequence[Known], steps: int = 300) -> learnt.Book:
    """Logistic regression by accelerated gradient (Nesterov), both kinds weighing the same."""
    taught = [*letters, *as_campaigns(letters)]
    rows = [values(one.seen) for one in taught]
    counted = Counter(what for row in rows for what in row)
    often = sorted(what for what, count in counted.items() if count >= OFTEN and not _OURS.search(what))
    columns = {what: n for n, what in enumerate(often)}
    table, fraud = Table(rows, columns), np.array([float(one.fraud) for one in taught])
    share = np.where(fraud > 0, (fraud == 0).sum() / (fraud > 0).sum(), 1.0)
    longest = np.random.default_rng(0).normal(size=len(columns))
    for _ in range(20):
        longest = table.back(share * table.by(longest))
        size = float(np.linalg.norm(longest))
        longest /= size
    steep = 0.25 * (1.1 * size + share.sum()) + RIDGE
    weights = ahead = np.zeros(len(columns))
    constant = ahead_constant = 0.0
    pace = 1.0
    for _ in range(steps):
        off = (1 / (1 + np.exp(-(table.by(ahead) + ahead_constant))) - fraud) * share
        new = ahead - (table.back(off) + RIDGE * ahead) / steep
        new_constant = ahead_constant - off.sum() / steep
        next_pace = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
        push = (pace - 1) / next_pace
        ahead, ahead_constant = new + push * (new - weights), new_constant + push * (new_constant - constant)
        weights, constant, pace = new, new_constant, next_pace
    return learnt.Book.of(dict(zip(columns, weights.tolist(), strict=True)), float(constant))


class Judged(NamedTuple):
    """odds: the logarithm, by what was learnt alone. stopped: by that and the rules together."""

    fraud: bool
    odds: float
    stopped: bool


def judged(asked: Sequence[Known], book: learnt.Book) -> list[Judged]:
    return [Judged(one.fraud, book.odds(one.seen), judge(one.letter, taught=book).action != ALLOW) for one in asked]


def left_out(written: Sequence[Known], others: Sequence[Known]) -> list[Judged]:
    """Each letter by what the others taught, in `TURNS` turns."""
    order = list(range(len(written)))
    random.Random(1).shuffle(order)
    found: list[Judged] = []
    for turn in range(TURNS):
        asked = set(order[turn::TURNS])
        taught = learn([*(one for n, one in enumerate(written) if n not in asked), *others])
        found += judged([written[n] for n in sorted(asked)], taught)
    return found


def shares(found: Sequence[Judged]) -> str:
    through = [not one.stopped for one in found if one.fraud]
    stopped = [one.stopped for one in found if not one.fraud]
    return (
        f"{sum(through)} of {len(through):,} frauds let through ({sum(through) / len(through):.1%}),"
        f" {sum(stopped)} of {len(stopped):,} honest ones stopped ({sum(stopped) / len(stopped):.1%})"
    )


def write(book: learnt.Book) -> None:
    told = book.words | {" ".join(pair): weight for pair, weight in book.pairs.items()} | book.others
    lines = [f"{weight:.2f}\t{what}" for what, weight in sorted(told.items()) if abs(weight) >= SMALLEST]
    head = "# Made by tests/wire/fraud_learning.py; a weight and the stem, the pair of stems or the trait it is of.\n"
    WEIGHTS.write_text(f"{head}{book.constant:.2f}\n" + "\n".join(lines) + "\n", "utf-8")


def main() -> None:
    made, others = written(), older()
    found = left_out(made, others)
    print(f"written to be learnt from, each by what the others taught: {shares(found)}")
    honest = sorted((one.odds for one in found if not one.fraud), reverse=True)
    for share in (0.01, 0.02, 0.04):
        least = honest[int(share * len(honest))]
        fraud = [one.odds > least for one in found if one.fraud]
        print(
            f"  by that alone, where {share:.0%} of honest ones are held: {sum(fraud) / len(fraud):.1%} of fraud found"
        )
    book = learn([*made, *others])
    if "--write" in sys.argv:
        write(book)
    print(f"unseen: {shares(judged(unseen(), book))}")


if __name__ == "__main__":
    main()
