from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from envol.accounts.models import Workspace
from envol.consent import ledger, purposes
from envol.consent.ledger import Line
from envol.contacts import catalogue, exports, people
from envol.contacts.exports import csv_rows, safe
from envol.contacts.models import Contact


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        '=HYPERLINK("http://evil.example")',
        "+SUM(A1)",
        "-2+3",
        "@SUM(1)",
        "\t=1",
        "\rx",
        "\nx",
        "  =1",
        "\u00a0=1",
        '"=1"',
        "'=1",
        "＝1+1",
        "＋1x",
        "－1x",
        "＠x",
        "\ufeff=1",
        "\u200b=1",
        "|calc",
    ],
)
def test_what_a_spreadsheet_could_run_begins_with_an_apostrophe(cell: str) -> None:
    assert safe(cell) == "'" + cell


@pytest.mark.parametrize(
    "cell", ["", "Zoé", "-12", "+33612345678", "-12,50", "3.5", "a=b", "zoe@lecteurs.example", "12-13"]
)
def test_plain_text_and_plain_numbers_stay_as_they_are(cell: str) -> None:
    assert safe(cell) == cell


def read(pieces: object, **how: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO("".join(pieces)), **how))  # type: ignore[call-overload]


def test_an_export_holds_every_value_and_reads_back(workspace: Workspace, add: Callable[..., Contact]) -> None:
    catalogue.declare(workspace, "spent", "money", "Dépensé", "Spent")
    catalogue.declare(workspace, "genres", "list", "Genres", "Genres")
    catalogue.declare(workspace, "health", "text", "Santé", "Health", sensitive=True)
    zoe = add(
        "zoe", first_name="=cmd", last_name='Mar"tin, Zoé', city="Lyon", spent=-5, genres="jazz;polar", health="x"
    )
    people.tag(zoe, "vip", "club")
    newsletter = purposes.get(workspace, "newsletter")
    since = datetime(2026, 1, 5, tzinfo=UTC)
    ledger.append(workspace.id, [Line(zoe.pk, newsletter.pk, "granted", "consent", since)])
    header, line = read(csv_rows(workspace, language="fr"))
    assert header[:4] == ["email", "language", "time_zone", "tags"] and "Santé" not in header
    row = dict(zip(header, line, strict=True))
    assert row["email"] == "zoe@lecteurs.example" and row["tags"] == "club;vip"
    assert (row["Prénom"], row["Nom"], row["Ville"]) == ("'=cmd", 'Mar"tin, Zoé', "Lyon")
    assert (row["Dépensé"], row["Genres"]) == ("-0.05", "jazz;polar")
    assert row["Lettre d’information"] == "granted" and row["Offres et promotions"] == ""


def test_columns_selection_separator_and_mask_are_chosen(workspace: Workspace, add: Callable[..., Contact]) -> None:
    zoe, _ = add("zoe", first_name="Zoé"), add("ali")
    catalogue.declare(workspace, "health", "text", "Santé", "Health", sensitive=True)
    pieces = csv_rows(
        workspace,
        ("SELECT id FROM contacts_contact WHERE id = %s", [zoe.pk]),
        columns=["email", "property:first_name", "property:health"],
        language="en",
        delimiter=";",
        bom=True,
        mask=True,
    )
    text = "".join(pieces)
    assert text == "\ufeffemail;First name;Health\r\nz•••@lecteurs.example;Zoé;\r\n"
    for wrong in ({"columns": ["password"]}, {"delimiter": ""}):
        with pytest.raises(ValueError):
            csv_rows(workspace, **wrong)


def test_an_export_comes_in_pieces_and_takes_nobody_of_another_workspace(
    workspace: Workspace, add: Callable[..., Contact], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_BATCH", 3)
    for i in range(7):
        add(f"p{i}")
    pieces = list(csv_rows(workspace, ("SELECT id FROM contacts_contact", []), columns=["email"]))
    lines = [piece.count("\r\n") for piece in pieces]
    assert sum(lines) == 8 and max(lines) <= 3
