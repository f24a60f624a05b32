"""What differs between the record expected and the one found, so that an eye finds the missing letter."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of the found text: ``same``, ``extra`` (not expected), or ``lacking`` (expected, not there)."""

    kind: str
    text: str


def differences(expected: str, found: str) -> list[Piece]:
    """The found text in runs, with what lacks put where it belongs; joined without ``lacking`` it is ``found``."""
    pieces: list[Piece] = []
    for kind, a, b, c, d in SequenceMatcher(None, expected, found, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(Piece("same", found[c:d]))
            continue
        if b > a:
            pieces.append(Piece("lacking", expected[a:b]))
        if d > c:
            pieces.append(Piece("extra", found[c:d]))
    return pieces
