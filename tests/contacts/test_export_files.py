"""People as a file: every kind reads back, nobody else is in it, and it goes with its time or with a person."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import time_machine
from django.conf import settings
from django.db import transaction
from python_calamine import CalamineWorkbook

from envol.accounts.jobs import Cancelled
from envol.accounts.models import Workspace
from envol.consent import ledger, purposes, suppression
from envol.consent.registry import erase_person
from envol.contacts import catalogue, export_files, people
from envol.contacts.filters import Filter
from envol.contacts.models import Contact, Export, List

Add = Callable[..., Contact]
T0 = datetime(2026, 1, 5, tzinfo=UTC)


def made(workspace: Workspace, kind: str, columns: list[str], chosen: Filter | None = None) -> tuple[Export, Path]:
    export = export_files.prepare(
        workspace, chosen or Filter(), kind, columns, reason="A move", name="Essai", language="en"
    )
    export_files.write(export)
    path = export_files.file_of(export)
    assert path is not None and path.stat().st_mode & 0o077 == 0
    return export, path


@pytest.fixture
def richly(workspace: Workspace, add: Add) -> list[str]:
    catalogue.declare(workspace, "spent", "money", "Dépensé", "Spent")
    catalogue.declare(workspace, "genres", "list", "Genres", "Genres")
    catalogue.declare(workspace, "club", "boolean", "Club", "Club")
    catalogue.declare(workspace, "points", "number", "Points", "Points")
    zoe = add(
        "zoe", first_name="=cmd|'/c calc'!A1", spent=-1205, genres="jazz;polar", club=True, points=3.5,
        birth_date="1990-02-28",
    )  # fmt: skip
    people.tag(zoe, "vip")
    add("ali", first_name="Ali")
    keys = ("first_name", "spent", "genres", "club", "points", "birth_date")
    return ["email", "tags", "created_at", *(f"property:{key}" for key in keys)]


def test_a_workbook_holds_typed_cells_and_no_formula(workspace: Workspace, richly: list[str]) -> None:
    _, path = made(workspace, "xlsx", richly)
    rows = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()
    assert rows[0][:3] == ["email", "tags", "created_at"]
    zoe = dict(zip(rows[0], rows[1], strict=True))
    assert zoe["First name"] == "=cmd|'/c calc'!A1" and zoe["email"] == "zoe@lecteurs.example"
    assert (zoe["Spent"], zoe["Points"], zoe["Club"], zoe["Genres"]) == (-12.05, 3.5, True, "jazz;polar")
    assert zoe["Birth date"] == date(1990, 2, 28) and isinstance(zoe["created_at"], datetime)
    import zipfile

    with zipfile.ZipFile(path) as book:
        assert b"<f>" not in book.read("xl/worksheets/sheet1.xml")


def test_parquet_is_typed(workspace: Workspace, richly: list[str]) -> None:
    _, path = made(workspace, "parquet", richly)
    table = pq.read_table(path)
    zoe = table.to_pylist()[0]
    assert zoe["Spent"] == Decimal("-12.05") and zoe["Genres"] == ["jazz", "polar"] and zoe["tags"] == ["vip"]
    assert zoe["Birth date"] == date(1990, 2, 28) and zoe["Club"] is True and zoe["created_at"].tzinfo is not None
    assert table.to_pylist()[1]["Spent"] is None


def test_a_csv_is_disarmed_and_holds_the_filter_only(workspace: Workspace, richly: list[str], add: Add) -> None:
    club = List.objects.create(workspace=workspace, name="Club")
    people.join(club, add("lou"))
    _, path = made(workspace, "csv", ["email", "property:first_name"])
    rows = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
    assert rows[1] == ["zoe@lecteurs.example", "'=cmd|'/c calc'!A1"] and len(rows) == 4
    _, path = made(workspace, "csv", ["email"], Filter(list_id=club.pk))
    assert path.read_text("utf-8-sig").split() == ["email", "lou@lecteurs.example"]


def test_a_platform_gets_digests_of_who_agreed_to_it_by_consent_and_of_nobody_else(
    workspace: Workspace, add: Add
) -> None:
    with pytest.raises(export_files.ExportProblem, match="Nobody was asked"):
        export_files.prepare(workspace, Filter(), "hashed")
    fr, en = next((one[4], one[5]) for one in purposes.proposed(workspace) if one[0] == purposes.AD_MATCHING)
    ads = purposes.add(workspace, purposes.AD_MATCHING, "Publicité", "Advertising", texts={"fr": fr, "en": en})
    letter = purposes.get(workspace, "newsletter")
    agreed, customer, reader, gone, objected = (add(n) for n in ("zoe", "ali", "lou", "ben", "mia"))
    lines = [
        ledger.Line(one.pk, ads.pk, "granted", basis, T0)
        for one, basis in ((agreed, "consent"), (customer, "customer"), (gone, "consent"), (objected, "consent"))
    ]
    ledger.append(workspace.id, [*lines, ledger.Line(reader.pk, letter.pk, "granted", "consent", T0)])
    ledger.append(workspace.id, [ledger.Line(gone.pk, ads.pk, "withdrawn", "consent", datetime.now(UTC))])
    suppression.add(workspace.id, objected.email_key, "marketing", "objection", "test")
    export, path = made(workspace, "hashed", ["email"])
    digest = hashlib.sha256(b"zoe@lecteurs.example").hexdigest()
    assert path.read_text().split() == ["email_sha256", digest] and export.columns == ["sha256"]


def test_an_erasure_takes_away_the_files_she_is_in_and_no_other(workspace: Workspace, add: Add) -> None:
    add("ali")
    zoe = add("zoe")
    with_her, path = made(workspace, "csv", ["email"])
    without, other = made(workspace, "csv", ["email"], Filter(text="ali"))
    with transaction.atomic():
        gone = erase_person(workspace.id, zoe.pk, zoe.email_key, cause="request")
        assert path.exists(), "not before it is committed"
    assert gone["contacts_export"] == 1 and not path.exists() and other.exists()
    with_her.refresh_from_db()
    without.refresh_from_db()
    assert (with_her.state, with_her.why, with_her.path, without.state) == ("gone", "erased", "", "done")
    assert not list(export_files.folder().glob(f"{path.name}*"))


def test_who_is_erased_while_the_file_is_written_is_not_in_it(workspace: Workspace, add: Add) -> None:
    zoe = add("zoe")
    export = export_files.prepare(workspace, Filter(), "csv", ["email"], reason="A move")

    def meanwhile(done: int, total: int | None, step: str) -> None:
        if Contact.objects.filter(pk=zoe.pk).exists() and done:
            erase_person(workspace.id, zoe.pk, zoe.email_key, cause="request")

    with pytest.raises(export_files.ExportProblem, match="erased while it was written"):
        export_files.write(export, meanwhile)
    export.refresh_from_db()
    assert (export.state, export.why) == ("gone", "erased") and export_files.file_of(export) is None


def test_a_stopped_export_leaves_nothing(workspace: Workspace, add: Add) -> None:
    add("zoe")
    export = export_files.prepare(workspace, Filter(), "xlsx", ["email"], reason="A move")
    before = set(export_files.folder().iterdir())

    def stop(done: int, total: int | None, step: str) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        export_files.write(export, stop)
    export.refresh_from_db()
    assert export.state == "cancelled" and set(export_files.folder().iterdir()) == before


def test_files_go_after_a_day_and_not_before(workspace: Workspace, add: Add) -> None:
    """By the clock itself: a file of people that nobody fetched within 24 hours is no longer there (GDPR art. 32)."""
    add("zoe")
    export, path = made(workspace, "csv", ["email"])
    end = datetime.now(UTC) + timedelta(hours=24)
    with time_machine.travel(end - timedelta(minutes=2)):
        export_files.sweep()
        export.refresh_from_db()
        assert export_files.file_of(export) == path
    with time_machine.travel(end + timedelta(minutes=2)):
        assert export_files.file_of(export) is None, "not even before the hour"
        export_files.sweep()
    export.refresh_from_db()
    assert (export.state, export.why) == ("gone", "kept") and not path.exists()
    assert str(path).startswith(str(settings.ENVOL.data))


@pytest.mark.parametrize(
    ("kind", "columns", "chosen", "said"),
    [
        ("pdf", ["email"], Filter(), "kind of file"),
        ("csv", [], Filter(), "at least one column"),
        ("csv", ["password"], Filter(), "at least one column"),
        ("csv", ["email"], Filter(list_id=999_999), "does not exist"),
    ],
)
def test_what_cannot_be_exported_is_said(
    workspace: Workspace, kind: str, columns: list[str], chosen: Filter, said: str
) -> None:
    with pytest.raises(export_files.ExportProblem, match=said):
        export_files.prepare(workspace, chosen, kind, columns, reason="A move")
