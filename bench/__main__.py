"""``python -m bench [names] [--json] [--OPTION VALUE …]``: a table of ratios, or one JSON object a line.

A bench is a module of this folder with ``run(**options) -> dict`` (bench, ours, reference, unit, ratio, goal,
met, notes); a trailing underscore in the file's name is dropped. Exit code 1 when a goal is missed, 2 when a
bench does not exist or fails.
"""

from __future__ import annotations

import json
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

NOT_BENCHES = {"ground", "pages_base", "audience_base", "audience_larger", "audience_stages"}
ORDER = [
    "send",
    "relay",
    "chain",
    "connections",
    "isolation",
    "compose",
    "import",
    "hits",
    "api",
    "memory",
    "pages",
    "builder",
    "audience",
    "clickhouse",
    "ledger",
    "gate",
    "mtl",
]
KEYS = ("bench", "ours", "reference", "unit", "ratio", "goal", "met")


def benches() -> dict[str, str]:
    """Name → module, in the order of the README."""
    found = {
        module.name.rstrip("_"): f"bench.{module.name}"
        for module in pkgutil.iter_modules([str(Path(__file__).parent)])
        if not module.name.startswith("_") and module.name not in NOT_BENCHES
    }
    return {name: found[name] for name in sorted(found, key=lambda n: (n not in ORDER, [*ORDER, n].index(n)))}


def read(arguments: Sequence[str]) -> tuple[list[str], bool, dict[str, Any]]:
    """Names, whether JSON is wanted, and options for the benches (``--lines 100000`` → {"lines": 100000})."""
    names: list[str] = []
    options: dict[str, Any] = {}
    as_json = False
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--json":
            as_json = True
        elif word.startswith("--"):
            key, _, value = word[2:].partition("=")
            if not value:
                if not rest or rest[0].startswith("--"):
                    raise SystemExit(f"--{key} needs a value, for example --{key} 1000.")
                value = rest.pop(0)
            options[key.replace("-", "_")] = int(value) if value.lstrip("-").isdigit() else value
        else:
            names.append(word)
    return names, as_json, options


def main(arguments: Sequence[str]) -> int:
    known = benches()
    names, as_json, options = read(arguments)
    if unknown := [name for name in names if name not in known]:
        print(f"There is no bench {unknown[0]!r}; there are: {', '.join(known)}.", file=sys.stderr)
        return 2
    code = 0
    if not as_json:
        print(f"{'bench':<9}{'ours':>12}{'reference':>12}  {'unit':<16}{'ratio':>6}{'goal':>6}  met")
    for name in names or known:
        try:
            found = import_module(known[name]).run(**options)
        except Exception as error:
            print(f"{name}: {error}", file=sys.stderr)
            code = 2
            continue
        if not found["met"]:
            code = code or 1
        if as_json:
            print(json.dumps(found, ensure_ascii=False), flush=True)
            continue
        ours, reference = (f"{found[key]:,.1f}".removesuffix(".0") for key in ("ours", "reference"))
        print(
            f"{found['bench']:<9}{ours:>12}{reference:>12}  {found['unit']:<16}{found['ratio']:>6.2f}"
            f"{found['goal']:>6.2f}  {'yes' if found['met'] else 'no'}"
        )
        if found.get("notes"):
            print(f"         {found['notes']}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
