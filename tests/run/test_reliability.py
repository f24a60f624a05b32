"""What docs/reliability.md says of tests: each that it names is there, and what it tells to type is there too."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text("utf-8")


@cache
def known() -> frozenset[str]:
    """The names of all tests."""
    found: set[str] = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        found |= set(re.findall(r"^(?:async )?def (test_\w+)", file.read_text("utf-8"), re.MULTILINE))
    return frozenset(found)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\b(test_\w+)(?!\w|\.py)", TEXT))))
def test_a_test_that_is_named_is_there(name: str) -> None:
    assert name in known()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\b(?:tests|envol)/[\w/.*]+", TEXT))))
def test_a_file_that_is_named_is_there(path: str) -> None:
    assert any(ROOT.glob(path.rstrip("."))), path


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z]+)", TEXT))))
def test_a_target_that_is_named_is_there(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


def test_every_promise_and_rule_has_its_proof() -> None:
    """Each row of the first two tables names a test, a run or a bench, or points to the next table."""
    rows = [line for line in TEXT.partition("## What strangers try")[0].splitlines() if line.startswith("| ")]
    proofs = [row.rsplit(" | ", 1)[1] for row in rows if not row.startswith(("| ---", "| promise", "| rule"))]
    assert len(proofs) > 25
    assert [one for one in proofs if not re.search(r"`|next table", one)] == []
