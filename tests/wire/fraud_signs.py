"""Which signs of fraud carry over to letters that nobody has seen: a regularised logistic regression over all labelled
letters, fitted without one set and asked about that set, for each set in turn. It decides nothing at run time: it says
which points deserve to be raised, and which rules know only what they were made of.

    python -m tests.wire.fraud_signs
"""

from __future__ import annotations

from collections import Counter
from email.message import EmailMessage
from email.utils import parseaddr
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from envol.wire.fraud import letter_of, levers, links, names, phrases, shape
from tests.wire.fraud_letters import SETS, letters

CLASSES = sorted(names.data("levers"))
RIDGE = 3.0
OFTEN = 2
"""A word is looked at where so many letters have it."""


class Row(NamedTuple):
    which: str
    fraud: bool
    signs: dict[str, float]
    words: frozenset[str]


def row(which: str, fraud: bool, message: EmailMessage) -> Row:
    name, address = parseaddr(str(message["From"]))
    letter = letter_of(message.as_bytes(), name=name, address=address, subject=str(message["Subject"]))
    domain = address.rpartition("@")[2].lower()
    page = links.page_of(letter.html) if letter.html else None
    text = f"{letter.subject}\n{page.text if page else ''}\n{letter.text}"
    words = phrases.words_of(names.plain(text))
    hosts = {link.host for link in (page.links if page else []) + links.links_of(letter.text) if link.host}
    kin = {h for h in hosts if names.registrable(h) == names.registrable(domain) or shape.kin(h, domain)}
    away = {h for h in hosts - kin if not links.kind_of(h) and not any(b.owns(h) for b in names.brands())}
    pulled = levers.Levers(words)
    strange = shape.stranger(name, address.rpartition("@")[0], domain)
    asked = pulled.near("act", "thing", within=6)
    answers = letter.reply_to.rpartition("@")[2].lower()
    signs = {
        "strange": strange > 0, "strange_claim": strange > 0 and shape.claims(name) > 0, "away": bool(away),
        "home": bool(kin), "no_link": not hosts, "everyday": any(links.kind_of(h) == "everyday" for h in hosts),
        "free": any(links.kind_of(h) in ("free", "shorteners") for h in hosts), "files": bool(letter.files),
        "made_host": any(shape.made_for_it(h) for h in away), "set_up": any(shape.set_up(h) for h in kin),
        "answers_elsewhere": bool(answers) and names.registrable(answers) != names.registrable(domain),
        "asks": asked, "pressed": pulled.pressed(), "money": bool(levers.MONEY.search(text)),
        "phone": bool(levers.PHONE.search(text)), "iban": bool(levers.IBAN.search(text)),
        "called_by_name": bool(levers.GREETING.search(text)), "short": len(words) < 90,
        "strange_short": strange > 0 and len(words) < 90, "strange_asks": strange > 0 and asked,
        "strange_pressed": strange > 0 and pulled.has("press"),
        "strange_money": strange > 0 and bool(levers.MONEY.search(text)),
        **{f"says_{name}": pulled.has(name) for name in CLASSES},
    }  # fmt: skip
    return Row(which, fraud, {key: float(value) for key, value in signs.items()}, frozenset(w[:5] for w in words))


def rows() -> list[Row]:
    return [
        row(which, kind == "phishing", message)
        for which in SETS
        for kind in ("honest", "phishing")
        for _, message in letters(f"{kind}{which}")
    ]


Numbers = NDArray[np.float64]


def fit(given: Numbers, fraud: Numbers, steps: int = 400) -> tuple[Numbers, float]:
    """Weights and the constant: accelerated gradient (Nesterov), both kinds of letters weighing the same."""
    share = np.where(fraud > 0, (fraud == 0).sum() / (fraud > 0).sum(), 1.0)
    steep = 0.25 * np.linalg.norm(np.c_[given, np.ones(len(given))] * np.sqrt(share)[:, None], 2) ** 2 + RIDGE
    weights, constant, ahead, ahead_constant, pace = np.zeros(given.shape[1]), 0.0, np.zeros(given.shape[1]), 0.0, 1.0
    for _ in range(steps):
        off = (1 / (1 + np.exp(-(given @ ahead + ahead_constant))) - fraud) * share
        new, new_constant = ahead - (given.T @ off + RIDGE * ahead) / steep, ahead_constant - off.sum() / steep
        next_pace = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
        push = (pace - 1) / next_pace
        ahead, ahead_constant = new + push * (new - weights), new_constant + push * (new_constant - constant)
        weights, constant, pace = new, new_constant, next_pace
    return weights, float(constant)


def table(known: list[Row], asked: list[Row], by: str) -> tuple[Numbers, Numbers, list[str]]:
    """The letters as numbers; words are those of the known letters only."""
    if by == "words":
        counted = Counter(word for one in known for word in one.words)
        columns = sorted(word for word, count in counted.items() if count >= OFTEN)
        scale = 2.5 / np.sqrt([max(15, len(one.words)) for one in [*known, *asked]])
        made = np.array([[float(word in one.words) for word in columns] for one in [*known, *asked]]) * scale[:, None]
    else:
        columns = sorted(known[0].signs)
        made = np.array([[one.signs[name] for name in columns] for one in [*known, *asked]])
    return made[: len(known)], made[len(known) :], columns


def main() -> None:
    all_rows = rows()
    fraud = np.array([float(one.fraud) for one in all_rows])
    for by in ("signs", "words"):
        told = np.zeros(len(all_rows))
        for which in SETS:
            here = np.array([one.which == which for one in all_rows])
            known, asked, _ = table(
                [one for one in all_rows if one.which != which], [one for one in all_rows if one.which == which], by
            )
            weights, constant = fit(known, fraud[~here])
            told[here] = asked @ weights + constant
        honest = np.sort(told[fraud == 0])[::-1]
        found = [f"{(told[fraud == 1] > honest[int(held * len(honest))]).mean():.0%}" for held in (0.01, 0.02, 0.04)]
        print(f"{by} of letters never seen: fraud found where 1, 2, 4 % of honest letters are held: {', '.join(found)}")
    known, _, columns = table(all_rows, [], "signs")
    weights, _ = fit(known, fraud)
    for weight, name, column in sorted(zip(weights, columns, known.T, strict=True), key=lambda one: -one[0]):
        print(
            f"{weight:+.2f} {name}: {column[fraud == 1].mean():.0%} of fraud, {column[fraud == 0].mean():.0%} of honest"
        )


if __name__ == "__main__":
    main()
