"""What fraud pulls at, whatever its words: something to do with something of hers, or else (`levers.toml`).

Phrases know what was said before; levers are for what nobody heard yet. They are asked only of letters whose shape is
suspicious by itself: they lead away from their sender, want an answer elsewhere, or show a picture to be scanned.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache

from envol.wire.fraud.names import data

MOST_WORDS = 400  # of the beginning: fraud comes to the point
NEAR = 12
_COINS = r"(?:eur|usd|gbp|chf|euros?|pounds?|dollars?|kr|sek|dkk|zł|zl|pln)\b"
MONEY = re.compile(rf"(?i)(?:[$€£]|\b{_COINS}) ?\d|\d[\d.,\u00a0\u202f ]{{0,24}}(?:[$€£]|{_COINS})")
PHONE = re.compile(r"(?:\+|\b0|\(\d|\b1[-. ]\(?\d{3}\b)[\d\s().\u00a0\u202f/-]{7,18}\d")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}\b")
LARGE = re.compile(r"\b\d{2,3}[.,   ]?\d{3}(?:[.,   ]?\d{3})*\b")  # ten thousand and more
SEED = re.compile(
    r"(?i)\b(?:12|18|24)\b[^.\n]{0,25}?\b(?:words?|w[öo]rter\w*|mots|palabras|parole|woorden|palavras|słów|slov|ord|sanaa|szó)\b"
    r"|\b(?:seed|recovery|secret|mnemonic|backup)[ -]phrase\b|\bphrase (?:secrète|de récupération|de restauration)"
    r"|\bfrase (?:semilla|seme|de recuperaci[oó]n|de recuperação|di recupero)|\bwiederherstellungs(?:phrase|wörter)"
)
COINS = re.compile(
    r"\b(?:bc1[a-z0-9]{25,60}|[13][a-km-zA-HJ-NP-Z1-9]{25,34}|0x[0-9a-fA-F]{40})\b"
)  # where coins are sent to
GREETING = re.compile(
    r"\b(?:Hi|Hello|Dear(?: Mrs?| Ms)?\.?|Bonjour(?: Madame| Monsieur| M\.| Mme)?|Ch[eè]re?|Hallo(?: Frau| Herr)?"
    r"|Liebe[rs]?(?: Frau| Herr)?|Sehr geehrter? (?:Frau|Herr)|Lieve|Beste|Hej|Hei|Ciao|Car[oa]|Hola|Olá"
    r"|Estimad[oa](?: señora?)?|Merhaba|Kære|Cze[sś][cć])"
    r" (?!(?:Customer|User|Client|Sir|Madam|Member|Friend|Guest|Kund|Nutzer|Gast|Team|All|Usuari|Account)\w*)"
    r"[A-ZÀ-Þ][a-zà-ÿ]+"
)
"""Somebody is called by a name; fraud that is sent to thousands mostly has none."""
TOLD_PASSWORD = re.compile(
    r"(?i)\b(?:password|passcode|mot de passe|passwort|kennwort|contraseña|clave|wachtwoord|senha|has[lł]o|lösenord"
    r"|heslo)\b"
    r"(?:\W+(?:is|est|ist|lautet|es|è|to open(?: it)?|pour (?:l['’])?ouvrir|for the (?:file|archive)|zum öffnen))?"
    r"\s*[:=]?\s*[«\"“'(]?(?=[^\s]{3,20}(?:\s|[.»\"”')]|$))[^\s]*\d"
)


@cache
def _classes() -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
    """By word and by stem, the classes it belongs to."""
    words: dict[str, set[str]] = {}
    stems: dict[str, set[str]] = {}
    for name, listed in data("levers").items():
        for word in listed.split():
            where = stems if word.endswith("*") else words
            where.setdefault(word.rstrip("*"), set()).add(name)
    return {k: frozenset(v) for k, v in words.items()}, {k: frozenset(v) for k, v in stems.items()}


_NONE: frozenset[str] = frozenset()


@lru_cache(100_000)
def classes_of(word: str) -> frozenset[str]:
    """The classes that a word made plain belongs to."""
    words, stems = _classes()
    found = words.get(word, _NONE)
    for length in range(2, min(len(word), 14) + 1):
        if (more := stems.get(word[:length])) is not None:
            found = found | more
    return found


class Levers:
    """Where the words of each class stand."""

    def __init__(self, words: Sequence[str]) -> None:
        self.count = len(words)
        self.places: dict[str, list[int]] = {}
        known: dict[str, frozenset[str]] = {}
        for place, word in enumerate(words[:MOST_WORDS]):
            if (classes := known.get(word)) is None:
                classes = known[word] = classes_of(word)
            for name in classes:
                self.places.setdefault(name, []).append(place)

    def has(self, name: str) -> bool:
        return name in self.places

    def many(self, name: str, least: int, within: int = 2 * NEAR) -> bool:
        """Do so many words of one class stand together?"""
        places = self.places.get(name, [])
        return any(b - a <= within for a, b in zip(places, places[least - 1 :], strict=False))

    def near(self, *names: str, within: int = NEAR) -> bool:
        """Do words of all these classes stand together, each class with a word of its own?"""
        if any(name not in self.places for name in names):
            return False
        first, *others = sorted((self.places[name] for name in names), key=len)
        for place in first:
            taken = {place}
            for other in others:
                found = next((p for p in other if abs(p - place) <= within and p not in taken), None)
                if found is None:
                    break
                taken.add(found)
            else:
                return True
        return False

    def pressed(self) -> bool:
        """To do something, with something of hers, or else."""
        return self.near("act", "thing") and self.near("thing", "press", within=2 * NEAR)
