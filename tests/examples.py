"""How many examples a property is tried on: a few in `make test`, many more in `make fuzz`."""

from __future__ import annotations

import os


def examples(usual: int) -> int:
    """``usual`` times ENVOL_FUZZ, which `make fuzz` sets."""
    return usual * int(os.environ.get("ENVOL_FUZZ", "1"))
