"""What letters that are known to be fraud, or honest, have taught: a weight for each word, pair of words and trait.

Phrases and signs were written by hand and know what their writers thought of; here thousands of labelled letters speak
(`tests/mail/fraud`). Their weights are a regularised logistic regression (`tests/wire/fraud_learning.py` makes
`learnt.tsv`), so that a letter's sum is the logarithm of its odds to be fraud, were half of all letters fraud. It holds
a letter for somebody to look at, or speaks for one; it never refuses one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise, repeat
from math import sqrt

from envol.wire.fraud import levers, links, names, phrases, shape

MOST_WORDS = 250  # of the beginning: fraud comes to the point
STEM = 6
"""Letters of a word that count: inflection is left out."""
TOLD = 1.0
"""Fewer points are none: nearly every letter has a word that fraud has."""
_EACH, _MOST, _LEAST = 2.0, 8.0, -3.0
_SCALE, _FEWEST = 5.0, 20
ONE = 0.6
"""How much a trait counts."""
_BEGINNING = 200  # characters in which somebody is called by a name
_MOST_TEXT, _MOST_LINKS = 4000, 100
_URL = re.compile(r"https?://\S+")
_TELLS = 4  # letters of a word that is shown as a reason
_MONEY = "€$£"
_CURRENCIES = frozenset(["eur", "euro", "euros", "usd", "dollar", "gbp", "pounds", "chf", "kr", "pln", "zl"])
_PATH_WORD = re.compile(r"[a-z]{3,}")
_MADE_BY_PROGRAM = re.compile(r"(?i)\.php|wp-")
_PARTS = re.compile(r"[-_.]+")


class _Stems(dict[str, str]):
    """Word → what counts of it; learnt as words come, forgotten when they are too many."""

    def __missing__(self, word: str) -> str:
        if len(self) > 100_000:
            self.clear()
        self[word] = stem = "#" if word.isdigit() else word[:STEM]
        return stem


_stems = _Stems()


@dataclass(frozen=True, slots=True)
class Traits:
    """What counts of a letter. words, pairs: stems of its text. others: whatever else, each with a letter for its kind
    (`s:` a stem of the subject, `n:` of the sender's name, `d:` a part of its domain, `h:` of a linked host, `p:` a
    word of a path, `t:` a trait)."""

    words: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    others: frozenset[str]

    def scale(self) -> float:
        """How much a word counts: less where there are many."""
        return _SCALE / sqrt(max(_FEWEST, len(self.words)))


def traits(
    name: str,
    address: str,
    subject: str,
    text: str,
    words: Sequence[str],
    found: Iterable[links.Link],
    own: Iterable[str],
    *,
    reply_to: str = "",
    ours: Iterable[str] = (),
    known: bool = False,
) -> Traits:
    """Of a letter. text: with its subject; words: all of it. own, ours: as in `Letter`. known: is the sender's name
    one of the organisation's?"""
    stems = list(map(_stems.__getitem__, spoken(text, words)))
    different = frozenset(stems)
    local, _, domain = address.lower().rpartition("@")
    hosts, targets = _where(found, frozenset(ours))
    count, shown = len(words), text[:_MOST_TEXT]
    others = {f"s:{_stems[word]}" for word in phrases.words_of(names.plain(subject))}
    others.update(f"n:{_stems[word]}" for word in phrases.words_of(names.plain(name)))
    others.update(f"d:{part}" for part in _labels(domain))
    for host in hosts:
        others.update(f"h:{part}" for part in _labels(host) if part != "www")
    for target in targets:
        path = target.split("//", 1)[-1].partition("/")[2]
        others.update(f"p:{word}" for word in _PATH_WORD.findall(names.plain(path[:200])))
        if _MADE_BY_PROGRAM.search(path):
            others.add("p:php")
    foreign = 0 if known else shape.stranger(name, local, domain)
    money = any(sign in shown for sign in _MONEY) or not _CURRENCIES.isdisjoint(different)
    signs = {
        **_who(name, foreign, domain),
        **_where_to(hosts, len(targets), frozenset(own), domain, foreign),
        **_answers(reply_to, domain),
        "money": money,
        "strange_money": money and foreign > 0,
        "greeted": bool(levers.GREETING.search(text[:_BEGINNING])),
        "short": count < 90,
        "glance": count < 40,
        "long": count > 250,
        "strange_short": foreign > 0 and count < 90,
    }
    others.update(f"t:{sign}" for sign, there in signs.items() if there)
    return Traits(different, frozenset(pairwise(stems)), frozenset(others))


def spoken(text: str, words: Sequence[str]) -> Sequence[str]:
    """The first words of a text, but for its addresses of the web, which `others` has. words: all of it."""
    if "://" not in text:
        return words[:MOST_WORDS]
    return phrases.words_of(names.plain(_URL.sub(" ", text[:_MOST_TEXT])))[:MOST_WORDS]


def later(seen: Traits, words: Sequence[str]) -> Iterator[Traits]:
    """The same letter as it goes on, as many words at a time: whoever begins with honest words has not said all."""
    for begin in range(MOST_WORDS, len(words), MOST_WORDS):
        stems = list(map(_stems.__getitem__, words[begin : begin + MOST_WORDS]))
        yield replace(seen, words=frozenset(stems), pairs=frozenset(pairwise(stems)))


def _where(found: Iterable[links.Link], ours: frozenset[str]) -> tuple[list[str], set[str]]:
    """Hosts and addresses of the links, but for those of the platform."""
    hosts: dict[str, None] = {}
    targets: set[str] = set()
    for link in found:
        if link.host and link.host not in ours and len(targets) < _MOST_LINKS:
            hosts[link.host] = None
            targets.add(link.target)
    return list(hosts), targets


def _labels(host: str) -> list[str]:
    return _PARTS.split(names.plain(names.shown(host)))[:-1]


def _who(name: str, foreign: float, domain: str) -> dict[str, bool]:
    claimed = shape.claims(name)
    return {
        "strange_office": foreign == 1,
        "strange": foreign > 1,
        "claim": claimed > 0,
        "claim_said": claimed > 1,
        "strange_claim": foreign > 0 and claimed > 0,
        "made_domain": shape.made_for_it(domain),
        "only_service": shape.only_service(domain),
    }


def _where_to(hosts: Sequence[str], targets: int, own: frozenset[str], domain: str, foreign: float) -> dict[str, bool]:
    kin = [host for host in hosts if names.registrable(host) in own or shape.kin(host, domain)]
    kinds = {host: _kind_of(host) for host in hosts if host not in kin}
    away = [host for host, kind in kinds.items() if not kind]
    return {
        "away": bool(away),
        "home": bool(kin),
        "away_only": bool(away) and not kin,
        "no_link": not hosts,
        "everyday": "everyday" in kinds.values(),
        "free": "free" in kinds.values(),
        "shortener": "shorteners" in kinds.values(),
        "made_host": any(map(shape.made_for_it, away)),
        "set_up": any(map(shape.set_up, kin)),
        "strange_away": foreign > 0 and bool(away),
        "strange_home": foreign > 0 and bool(kin),
        "one_link": targets == 1,
        "many_links": targets > 3,
    }


@lru_cache(8192)
def _kind_of(host: str) -> str:
    """`links.kind_of`, or that it is a known name's; nothing of a stranger's."""
    return links.kind_of(host) or ("known" if any(brand.owns(host) for brand in names.brands()) else "")


def _answers(reply_to: str, domain: str) -> dict[str, bool]:
    answers = reply_to.rpartition("@")[2].lower()
    return {
        "answers_elsewhere": bool(answers) and names.registrable(answers) != names.registrable(domain),
        "answers_free": bool(answers) and links.is_mailbox_host(answers),
    }


@dataclass(frozen=True, slots=True)
class Book:
    """The weights. pairs: by the two stems."""

    constant: float
    words: dict[str, float]
    pairs: dict[tuple[str, str], float]
    others: dict[str, float]

    @classmethod
    def of(cls, weights: Mapping[str, float], constant: float) -> Book:
        """weights: by stem, by two stems with a space between them, and by trait."""
        made = cls(constant, {}, {}, {})
        for what, weight in weights.items():
            first, _, second = what.partition(" ")
            if second:
                made.pairs[first, second] = weight
            elif ":" in what:
                made.others[what] = weight
            else:
                made.words[what] = weight
        return made

    def odds(self, seen: Traits) -> float:
        """The logarithm of the odds that this letter is fraud, were half of all letters fraud."""
        told = sum(map(self.words.get, seen.words, repeat(0.0))) + sum(map(self.pairs.get, seen.pairs, repeat(0.0)))
        return self.constant + seen.scale() * told + ONE * sum(map(self.others.get, seen.others, repeat(0.0)))

    def loudest(self, seen: Traits, text: str, words: Sequence[str], most: int = 4) -> list[str]:
        """The words of the letter that speak most for fraud, the loudest first."""
        told: dict[tuple[str, ...], float] = {(stem,): self.words.get(stem, 0.0) for stem in seen.words}
        told.update((pair, self.pairs.get(pair, 0.0)) for pair in seen.pairs)
        whole = {_stems[word]: word for word in reversed(spoken(text, words))}
        found: list[str] = []
        for stems, weight in sorted(told.items(), key=lambda one: (-one[1], one[0])):
            if weight <= 0 or len(found) == most:
                break
            telling = [whole[stem] for stem in stems if len(stem) > _TELLS]
            if telling and not all(any(word in said for said in found) for word in telling):
                found.append(" ".join(whole[stem] for stem in stems))
        return found


def points(odds: float) -> float:
    """What the logarithm of the odds is worth: 5, which hold a letter by themselves, at 12 to 1; fewer than none where
    a letter is clearly honest."""
    return min(_EACH * odds, _MOST) if odds > 0 else max(min(_EACH * (odds + 1), 0.0), _LEAST)


@cache
def book() -> Book:
    """`learnt.tsv`: a weight and what it is of in each line; the constant is of nothing."""
    told: dict[str, float] = {}
    for line in files(__package__).joinpath("learnt.tsv").read_text("utf-8").splitlines():
        weight, _, what = line.partition("\t")
        if not weight.startswith("#"):
            told[what] = float(weight)
    constant = told.pop("")
    return Book.of(told, constant)
