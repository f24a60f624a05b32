"""Words in the letters of ASCII, for names and keys that are compared or handed to what knows no others."""

from __future__ import annotations

import unicodedata

_SPELT = str.maketrans({"’": "'", "‘": "'", "œ": "oe", "Œ": "Oe", "æ": "ae", "Æ": "Ae", "ß": "ss", "°": " ", "º": " "})


def ascii_of(text: str) -> str:
    """Without accents, ligatures spelt out, apostrophes straight; what ASCII has no letter for is left out."""
    return unicodedata.normalize("NFKD", text.translate(_SPELT)).encode("ascii", "ignore").decode()
