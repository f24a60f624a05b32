"""A world that ends at this machine: what a process of ours tries to reach beyond it is refused and remembered."""

from __future__ import annotations

import os
from pathlib import Path


class Loopback:
    """`env` for the processes; `calls`: what they tried, one line each."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "calls-outside"
        here = str(Path(__file__).parent)
        kept = os.environ.get("PYTHONPATH")
        self.env = {"PYTHONPATH": f"{here}:{kept}" if kept else here, "CALLS_OUTSIDE": str(self._file)}

    def calls(self, *, but_names: bool = False) -> list[str]:
        """``but_names``: without questions to name servers, which somebody asked for by declaring a domain."""
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        return [line for line in lines if not (but_names and ", 53)" in line)]
