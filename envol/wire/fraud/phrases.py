"""What fraud says (`phrases.toml`), and which language a letter speaks."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from functools import cache

from envol.wire.fraud.names import data

MOST_WORDS = 4000  # of a letter; whoever needs more to deceive deceives nobody
_APART = bytes(octet if chr(octet) in "abcdefghijklmnopqrstuvwxyz0123456789" else 32 for octet in range(256))


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    points: int
    near: int
    own: float  # share of the points where no link leads away
    linked: float  # the same where one leads to the sender's own pages
    unless: frozenset[int]


Phrase = tuple[frozenset[int], ...]
"""Slots of numbers of stems."""


class _Stems(dict[str, tuple[int, ...]]):
    """Word → the numbers of the stems that it fits; learnt as words come, forgotten when they are too many."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: dict[str, int] = {}
        self.prefixes: dict[str, int] = {}

    def number(self, stem: str) -> int:
        known = self.numbers.setdefault(stem, len(self.numbers))
        if stem.endswith("*"):
            self.prefixes[stem[:-1]] = known
        return known

    def __missing__(self, word: str) -> tuple[int, ...]:
        found = [self.numbers[word]] if word in self.numbers else []
        found += [self.prefixes[word[:n]] for n in range(3, min(len(word), 14) + 1) if word[:n] in self.prefixes]
        if len(self) > 100_000:
            self.clear()
        self[word] = answer = tuple(found)
        return answer


@cache
def _book() -> tuple[_Stems, tuple[Group, ...], dict[int, list[tuple[int, Phrase]]]]:
    """The stems, the groups, and by each stem the phrases (number of their group, slots) that cannot do without it or
    another of its slot: a letter has few of them, so nearly no phrase is looked at."""
    stems = _Stems()
    groups: list[Group] = []
    by_stem: dict[int, list[tuple[int, Phrase]]] = {}
    for number, (name, group) in enumerate(data("phrases").items()):
        unless = frozenset(stems.number(stem) for stem in group.get("unless", "").split("|") if stem)
        own = group.get("own", 0.5)
        groups.append(Group(name, group["points"], group["near"], own, group.get("linked", own), unless))
        for text in group["phrases"]:
            phrase = tuple(frozenset(stems.number(stem) for stem in slot.split("|")) for slot in text.split())
            for stem in min(phrase, key=len):
                by_stem.setdefault(stem, []).append((number, phrase))
    return stems, tuple(groups), by_stem


def words_of(plain_text: str) -> list[str]:
    """The words of a text that :func:`~envol.wire.fraud.names.plain` made plain."""
    return plain_text.encode("ascii", "replace").translate(_APART).decode("ascii").split()[:MOST_WORDS]


def said(words: Sequence[str], different: Set[str] | None = None) -> list[Group]:
    """The groups of phrases that these words say. different: the same words, each once, where that is known."""
    stems, groups, by_stem = _book()
    fitting = {word: fits for word in different or set(words) if (fits := stems[word])}
    present = {stem for fits in fitting.values() for stem in fits}
    possible: dict[int, list[Phrase]] = {}
    for stem in present & by_stem.keys():
        for number, phrase in by_stem[stem]:
            if not any(map(present.isdisjoint, phrase)):
                possible.setdefault(number, []).append(phrase)
    if not possible:
        return []
    where: dict[int, list[int]] = {}
    for place, word in [(place, word) for place, word in enumerate(words) if word in fitting]:
        for stem in fitting[word]:
            where.setdefault(stem, []).append(place)
    return [
        groups[number]
        for number, phrases in sorted(possible.items())
        if any(_stands(phrase, where, groups[number]) for phrase in phrases)
    ]


def _stands(slots: Sequence[frozenset[int]], where: dict[int, list[int]], group: Group) -> bool:
    """Is there a place around which every slot has a word of its own, and nothing that takes it back?"""
    near = group.near
    back = [place for stem in group.unless if stem in where for place in where[stem]]
    places: list[list[int]] = []
    for slot in slots:
        here = [place for stem in slot if stem in where for place in where[stem]]
        if not here:
            return False
        places.append(here)
    first, *others = sorted(places, key=len)
    for place in first[:50]:
        if any(abs(place - one) <= near for one in back):
            continue
        taken = {place}
        for other in others:
            found = next((p for p in other if abs(p - place) <= near and p not in taken), None)
            if found is None:
                break
            taken.add(found)
        else:
            return True
    return False


_LANGUAGES = {
    "fr": "le la les des du et est vous votre vos pour avec sur dans une un nous notre que qui par au aux ce cette",
    "en": "the and you your for with of is are to in on we our this that be from have will it as at",
    "de": "der die das und ist sie ihr ihre fur mit auf wir unser nicht ein eine zu von im den dem",
    "es": "el los las del y es usted su sus para con en una nos nuestro que por al este esta",
    "it": "il gli del della e di suo per con su una noi nostro che da al questo questa sono",
    "nl": "het een en van je uw voor met op wij onze niet dat die zijn te de aan",
    "pt": "os as do da e para com em uma nos nosso que por ao este esta voce seu sua nao",
}
_COMMON = {language: frozenset(words.split()) for language, words in _LANGUAGES.items()}


def language_of(different: Set[str]) -> str:
    """The language these words seem to be in, or nothing where they are too few to tell."""
    best, count = max(((name, len(common & different)) for name, common in _COMMON.items()), key=lambda one: one[1])
    return best if count >= 4 else ""
