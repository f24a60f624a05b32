"""What a contact's row says of permissions follows from the ledger: each night it is held against it."""

from __future__ import annotations

import pytest

from envol import db
from envol.accounts.models import JournalEntry, Workspace
from envol.consent import silence, suppression
from envol.contacts import masks, tasks
from tests.outbound.helpers import NEWSLETTER_BIT, people

pytestmark = pytest.mark.usefixtures("empty_database")

COLUMNS = "SELECT id, allowed, refused, suppressed, objected, silenced FROM contacts_contact ORDER BY id"


@pytest.fixture
def seven(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Of seven people without any answer one is on the list and marketing rests for another; batches are of three."""
    found = people(workspace, 7)
    db.execute("UPDATE contacts_contact SET allowed = 0")
    suppression.add(workspace.id, found[1][1], "all", "hard_bounce", "test")
    silence.open(workspace.id, found[2][0], "an open complaint")
    monkeypatch.setattr(masks, "_BATCH", 3)
    return found


def test_what_differs_is_put_right_and_stands_in_the_journal(
    workspace: Workspace, seven: list[tuple[int, str]]
) -> None:
    right = db.rows(COLUMNS)
    assert [row[3] for row in right] == [False, True, *[False] * 5] and [row[5] for row in right][2]
    wrong = {
        seven[0][0]: f"allowed = {1 << NEWSLETTER_BIT}",  # nobody ever allowed it
        seven[1][0]: "suppressed = false",
        seven[2][0]: "silenced = false",
        seven[3][0]: "objected = true",
        seven[6][0]: "refused = 2",
    }
    for contact_id, what in wrong.items():
        db.execute(f"UPDATE contacts_contact SET {what} WHERE id = %s", [contact_id])
    tasks.compare_masks(timestamp=0)
    assert db.rows(COLUMNS) == right
    (told,) = JournalEntry.objects.filter(workspace=workspace, action="masks.mended")
    assert told.facts["rows"] == len(wrong)


def test_where_nothing_differs_nothing_is_written(workspace: Workspace, seven: list[tuple[int, str]]) -> None:
    before = db.rows("SELECT id, xmin::text FROM contacts_contact ORDER BY id")
    tasks.compare_masks(timestamp=0)
    assert db.rows("SELECT id, xmin::text FROM contacts_contact ORDER BY id") == before
    assert not JournalEntry.objects.filter(action="masks.mended").exists()
