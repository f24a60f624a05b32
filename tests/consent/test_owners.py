"""Only its own room writes a table: what people allowed and who they are has one door each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import envol

HOUSE = Path(envol.__file__).parent
WRITES = re.compile(
    r"\b(?:INSERT\s+INTO|UPDATE(?:\s+ONLY)?|DELETE\s+FROM|COPY|TRUNCATE(?:\s+TABLE)?)\s+\"?([a-z]+)_[a-z_]+", re.I
)
# The rights of the second database role and restoring a backup speak of all tables.
EVERYWHERE = {"run"}


def writers(room: str) -> set[str]:
    """Files of other rooms with a statement that writes a table of ``room``."""
    found = set()
    for path in [*HOUSE.rglob("*.py"), *HOUSE.rglob("*.sql")]:
        home = path.relative_to(HOUSE).parts[0]
        if home in (room, *EVERYWHERE) or "migrations" in path.parts:
            continue
        if any(match[1].lower() == room for match in WRITES.finditer(path.read_text("utf-8"))):
            found.add(str(path.relative_to(HOUSE)))
    return found


@pytest.mark.parametrize("room", ["consent", "contacts"])
def test_no_other_room_writes_these_tables(room: str) -> None:
    assert writers(room) == set()


def test_the_look_out_sees_a_write() -> None:
    assert [m[1] for m in WRITES.finditer("UPDATE contacts_contact SET x\nCOPY consent_permission (a)")] == [
        "contacts",
        "consent",
    ]
