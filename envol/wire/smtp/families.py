"""What a refusal means in words that nobody listed: families of stems, and which of them stand together.

A rule knows a sentence; a family knows what mailboxes are called in twenty languages, and what it is called when they
are not there. `word_families.toml` has the stems and their weights. A family alone says little, two beside each other
nearly all. Dead is only what is clearly so: where another reading weighs nearly as much, the other one holds.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

MOST_TEXT = 4000
_NEAR = 60  # characters between two families that speak of each other
_CODE_ADDS = 1.5
_LEAST = 1.9
_DEAD = frozenset({"user_unknown", "host_unknown", "mailbox_disabled"})
_LEAST_DEAD, _MARGIN = 3.0, 0.5
_LETTERS = str.maketrans({"ß": "ss", "ł": "l", "ø": "o", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "’": "'"})
_ADDRESS = re.compile(r"[^\s<>()\[\]:;,\"'@]{1,64}@[a-z0-9.-]{1,255}[a-z0-9]")
_IP = re.compile(
    r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])|[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){4,7}"
    r"|\bip[ -]?(?:address|adresse|adres|アドレス|地址|주소)|\b(?:adresse|adres|direccion|indirizzo|endereco) ip\b"
    r"|(?<![a-z])ip(?![a-z])"
)


class Weighed(NamedTuple):
    """kind: a class of `replies.CLASSES`. why: the families that decided."""

    kind: str
    why: str
    score: float


def plain(text: str) -> str:
    """Lower case, without accents, in every script alike."""
    text = text.lower()
    if text.isascii():
        return text
    spread = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return "".join(one for one in spread if not unicodedata.combining(one)).translate(_LETTERS)


def weigh(text: str, enhanced: str = "", *, domain: str = "") -> Weighed | None:
    """What the words add up to, or None where they say nothing. enhanced: X.Y.Z, which adds to its class.
    domain: whose name in the text is the other side's domain and not a word."""
    said = plain(text[:MOST_TEXT])
    said = _IP.sub(" % ", _ADDRESS.sub(" @ ", said))
    if domain:
        said = said.replace(domain, " # ")
    where = {name: [one.span() for one in pattern.finditer(said)] for name, pattern in _book().items()}
    best: dict[str, tuple[float, str]] = {}
    for kind, rules in _weights().items():
        for names, whole in rules:
            weight = whole * _together(where, names)
            if weight > best.get(kind, (0.0, ""))[0]:
                best[kind] = (weight, " + ".join(names))
    if not best:
        return None
    if where["perhaps"]:
        best = {kind: one for kind, one in best.items() if kind not in _DEAD}
    coded = _codes().get(enhanced[2:]) if enhanced[:1] in ("4", "5") else None
    if coded:
        weight, why = best.get(coded, (0.0, "code"))
        best[coded] = (weight + _CODE_ADDS, why)
    ordered = sorted(((score, kind, why) for kind, (score, why) in best.items()), reverse=True)
    alive = next((one for one in ordered if one[1] not in _DEAD), None)
    if not ordered:
        return None
    score, kind, why = ordered[0]
    if kind in _DEAD and (score < _LEAST_DEAD or (alive and alive[0] > score - _MARGIN)):
        if alive is None:
            return None
        score, kind, why = alive
    return Weighed(kind, why, score) if score >= _LEAST else None


class Signs(NamedTuple):
    """What a text shows of being returned mail. failed: places where something was not delivered."""

    failed: list[int]
    slow: bool
    labelled: bool
    parcel: bool


def signs(text: str) -> Signs:
    """text: made plain before."""
    book = _returned()
    carried = [one.span() for one in book["carry"].finditer(text)]
    failed = [one.span() for one in book["failed"].finditer(text)]
    places = [a for a, b in failed if any(_gap((a, b), other) <= 40 for other in carried)]
    return Signs(
        places,
        book["slow"].search(text) is not None,
        book["label"].search(text) is not None,
        book["parcel"].search(text) is not None,
    )


def _together(where: dict[str, list[tuple[int, int]]], names: tuple[str, ...]) -> float:
    """1 for neighbours, less for words farther apart, 0 beyond `_NEAR`."""
    if len(names) == 1:
        return float(bool(where[names[0]]))
    first, second = (where[name][:40] for name in names)
    gap = min((_gap(one, other) for one in first for other in second), default=_NEAR + 1)
    return 1.0 - 0.15 * gap / _NEAR if gap <= _NEAR else 0.0


def _gap(one: tuple[int, int], other: tuple[int, int]) -> int:
    return max(other[0] - one[1], one[0] - other[1], 0)


def _stem(stem: str) -> str:
    whole = stem.endswith(".")
    stem = plain(stem.rstrip("."))
    words = re.escape(stem).replace("_", r"[\W_]{1,3}").replace(r"\~", ".{0,24}?").replace("~", ".{0,24}?")
    if not stem[0].isalpha() or ord(stem[0]) >= 0x1100:  # a sign, or a script without spaces
        return words
    return rf"(?<![^\W\d_]){words}" + (r"(?![^\W\d_])" if whole else "")


def _compiled(families: dict[str, str]) -> dict[str, re.Pattern[str]]:
    return {name: re.compile("|".join(_stem(one) for one in stems.split())) for name, stems in families.items()}


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads((files("envol.wire.smtp") / "word_families.toml").read_text("utf-8"))


@cache
def _book() -> dict[str, re.Pattern[str]]:
    return _compiled(_data()["families"])


@cache
def _returned() -> dict[str, re.Pattern[str]]:
    return _compiled(_data()["returned"])


@cache
def _weights() -> dict[str, list[tuple[tuple[str, ...], float]]]:
    return {
        kind: [(tuple(names.split()), float(weight)) for names, weight in rules]
        for kind, rules in _data()["weigh"].items()
    }


@cache
def _codes() -> dict[str, str]:
    return dict(_data()["enhanced"])
