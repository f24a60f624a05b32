"""How many examples a property is tried on: a few in `make test`, many more in `make fuzz`."""

from __future__ import annotations

import os

FACTOR = int(os.environ.get("ENVOL_FUZZ", "1"))
"""What `make fuzz` sets: FACTOR=4 takes five minutes on two quick cores, half an hour on slow ones."""
CHEAP = 4.0
"""The share of parsers and other pure functions: an example takes them a millisecond, and strangers write to them."""


def examples(usual: int, share: float = 1.0) -> int:
    """``usual`` times the factor.

    share: of the factor, so that no file takes most of the time: above 1 where an example costs nearly nothing, below
    it where one asks several databases or lives a person's whole life. Never below ``usual``.
    """
    return usual if FACTOR == 1 else max(usual, round(usual * FACTOR * share))
