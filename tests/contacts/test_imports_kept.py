"""Files that nobody took in yet: an erasure empties what names the person, and what was kept its time goes."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from django.conf import settings

from envol import db
from envol.accounts.models import Member, Role, User, Workspace
from envol.accounts.workspaces import add_member
from envol.consent.models import Erasure
from envol.contacts import bulk, export_files, imports, people, saved_views
from envol.contacts.filters import Filter
from envol.contacts.imports import kept
from envol.contacts.models import BulkAct, Contact, Export, Import, ImportRefusal, SavedView

HEAD = ["E-mail", "Prénom", "Nom", "Mot", "Né(e) le"]
HERS = ["Zoe@Lecteurs.example", "Zoé", "Martin", "à\nrappeler", "31/02/1980"]
OTHERS = [
    ["suzoe@lecteurs.example", "Zoélie", "Martinet", "un\nmot", "1980-02-01"],
    ["lea@lecteurs.example", "Léa", "Prou", "", "1981-03-02"],
    ["max@lecteurs.example", "Max", "Roy", "C4711 fois", "31/02/1982"],
]


def written(rows: list[list[str]], kind: str, separator: str = ";", end: str = "\n") -> str:
    if kind == "jsonl":
        return end.join(json.dumps(dict(zip(HEAD, row, strict=True))) for row in rows[1:]) + end
    return end.join(separator.join(f'"{cell}"' for cell in row) for row in rows) + end


def sent(workspace: Workspace, folder: Path, data: bytes, name: str = "salon.csv") -> Import:
    path = folder / name
    path.write_bytes(data)
    imp = imports.receive(workspace, path, name)
    imports.set_mapping(imp, {column.name: column.target for column in imports.propose(imp)})
    imports.set_origin(imp, imports.PEOPLE)
    return imp


def copy(imp: Import) -> Path:
    return Path(settings.ENVOL.data) / imp.path


def named(where: str) -> bool:
    return re.search(r"(?<!su)zoe@lecteurs\.example|\bmartin\b", where, re.IGNORECASE) is not None


@pytest.mark.parametrize(
    ("kind", "encoding", "end"),
    [("csv", "utf-8", "\n"), ("csv", "utf-8-sig", "\r\n"), ("csv", "cp1252", "\r\n"), ("csv", "utf-16", "\n")]
    + [("csv", "utf-16-le", "\r\n"), ("jsonl", "utf-8", "\n")],
)
def test_an_erasure_empties_her_records_in_a_file_that_waits(
    workspace: Workspace, tmp_path: Path, zoe: Contact, kind: str, encoding: str, end: str
) -> None:
    rows = [HEAD, HERS, OTHERS[0], ["", "Zoé", "MARTIN", "sans adresse", ""], *OTHERS[1:]]
    imp = sent(workspace, tmp_path, written(rows, kind, end=end).encode(encoding), f"salon.{kind}")
    before = copy(imp).read_text(imp.format["encoding"])
    assert any("Zoe@Lecteurs.example" in column for column in imp.format["samples"])
    gone = people.erase(zoe, cause="request 12")
    assert gone["contacts_import"] == 1
    after = copy(imp).read_text(imp.format["encoding"])
    assert before.count("\n") == after.count("\n"), "every line keeps its number"
    assert not named(after) and "rappeler" not in after and "sans adresse" not in after
    imp.refresh_from_db()
    assert not named(json.dumps(imp.format)) and "lea@lecteurs.example" in imp.format["samples"][0]
    assert imports.run(imp)["new"] == 3, "nobody else is lost"
    wrong = ImportRefusal.objects.filter(import_id=imp.pk).values_list("cause", "row")
    assert len(wrong) == 1 and "Max" in wrong[0][1] and not copy(imp).exists()


def test_one_quotation_mark_that_nothing_closes_takes_nobody_along(
    workspace: Workspace, tmp_path: Path, zoe: Contact
) -> None:
    lines = ["e-mail;nom", 'bob@lecteurs.example;"Bob', "zoe@lecteurs.example;Z", "lea@lecteurs.example;Léa"]
    imp = sent(workspace, tmp_path, "\n".join(lines).encode())
    people.erase(zoe, cause="request 12")
    assert copy(imp).read_text().split("\n") == [*lines[:2], "", lines[3]]


def test_a_number_of_hers_is_a_cell_and_a_short_one_may_be_a_year(
    workspace: Workspace, tmp_path: Path, zoe: Contact
) -> None:
    people.identify(zoe, "customer", "C4711")
    people.identify(zoe, "card", "1984")
    lines = ["commande;client;date;montant", "A1;C4711;2026-01-02;12", "A2;X;2026-01-02;1984", "A3;C47112;2026-01-02;3"]
    path = tmp_path / "commandes.csv"
    path.write_text("\n".join(lines))
    imp = imports.receive(workspace, path, path.name, what="orders")
    people.erase(zoe, cause="request 12")
    assert copy(imp).read_text().split("\n") == [lines[0], "", *lines[2:]]


def test_a_workbook_that_holds_her_goes_whole(workspace: Workspace, tmp_path: Path, zoe: Contact) -> None:
    files = []
    for rows in ([HEAD, HERS, *OTHERS], [HEAD, *OTHERS]):
        out = io.BytesIO()
        with xlsxwriter.Workbook(out) as book:
            sheet = book.add_worksheet("Salon")
            for i, row in enumerate(rows):
                sheet.write_row(i, 0, row)
        files.append(sent(workspace, tmp_path, out.getvalue(), "salon.xlsx"))
    hers, others = files
    people.erase(zoe, cause="request 12")
    hers.refresh_from_db()
    assert not copy(hers).exists() and "samples" not in hers.format
    with pytest.raises(imports.ImportProblem, match="import it again"):
        imports.run(hers)
    assert imports.run(others)["new"] == 3


def test_a_file_that_failed_and_a_file_named_after_her(workspace: Workspace, tmp_path: Path, zoe: Contact) -> None:
    imp = sent(workspace, tmp_path, written([HEAD, HERS, *OTHERS], "csv").encode(), "zoe@lecteurs.example.csv")

    def stop(done: int, total: int | None, step: str) -> None:
        if step == "writing":
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        imports.run(imp, stop)
    assert Import.objects.get(pk=imp.pk).state == "failed" and named(copy(imp).read_text())
    people.erase(Contact.objects.get(workspace_id=workspace.pk, email_key="zoe@lecteurs.example"), cause="request 12")
    kept_row = json.dumps(Import.objects.filter(pk=imp.pk).values("file_name", "format", "counts").get())
    sources = db.value("SELECT string_agg(label, ' ') FROM contacts_source WHERE workspace_id = %s", [workspace.pk])
    assert not named(copy(imp).read_text()) and not named(kept_row) and not named(sources)


@pytest.mark.parametrize("step", ["reading", "comparing"])
def test_an_erasure_while_a_file_is_tried_leaves_no_refused_line_of_hers(
    workspace: Workspace, tmp_path: Path, zoe: Contact, step: str
) -> None:
    imp = sent(workspace, tmp_path, written([HEAD, HERS, *OTHERS], "csv").encode())
    erased: list[Any] = []

    def erase(done: int, total: int | None, now: str) -> None:
        if now == step and not erased:
            erased.append(people.erase(zoe, cause="request 12"))

    imports.dry_run(imp, erase)
    assert erased and erased[0]["contacts_import"] == 1
    lines = ImportRefusal.objects.filter(import_id=imp.pk).values_list("row", flat=True)
    assert [line for line in lines if "Max" in line] and not [line for line in lines if named(line)]


def test_a_letter_that_json_writes_by_its_number_is_read(workspace: Workspace, tmp_path: Path, add: Any) -> None:
    eva = add("eva", first_name="Éva", last_name="Ly")
    lines = [
        json.dumps({"email": "", "prenom": "ÉVA", "nom": "LY"}),
        json.dumps({"email": "lea@lecteurs.example", "prenom": "Évangéline", "nom": "Lys"}),
    ]
    assert "\\u00c9VA" in lines[0]
    imp = sent(workspace, tmp_path, "\n".join(lines).encode(), "salon.jsonl")
    people.erase(eva, cause="request 12")
    assert copy(imp).read_text().split("\n") == ["", lines[1]]


def test_a_workbook_that_went_while_it_ran_is_no_failure(workspace: Workspace, tmp_path: Path, zoe: Contact) -> None:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        sheet = book.add_worksheet("Salon")
        for i, row in enumerate([HEAD, HERS, *OTHERS]):
            sheet.write_row(i, 0, row)
    imp = sent(workspace, tmp_path, out.getvalue(), "salon.xlsx")
    gone: list[Any] = []

    def erase(done: int, total: int | None, step: str) -> None:
        if step == "writing" and not gone:
            gone.append(people.erase(zoe, cause="request 12"))

    imports.run(imp, erase)
    imp.refresh_from_db()
    assert gone and imp.state == "done" and not copy(imp).exists()
    assert not ImportRefusal.objects.filter(import_id=imp.pk).exists(), "which lines were hers is not known any more"
    keys = set(Contact.objects.filter(workspace_id=workspace.pk).values_list("email_key", flat=True))
    assert keys == {row[0].lower() for row in OTHERS}


def test_who_is_erased_while_a_file_runs_does_not_come_back(workspace: Workspace, tmp_path: Path, zoe: Contact) -> None:
    imp = sent(workspace, tmp_path, written([HEAD, HERS, *OTHERS], "csv").encode())
    met: list[bool] = []

    def erase(done: int, total: int | None, step: str) -> None:
        if step == "writing" and not met:
            # She has been met as somebody known by then, or is met as somebody new: either way.
            met.append(True)
            people.erase(zoe, cause="request 12")

    imports.run(imp, erase)
    assert met and not Contact.objects.filter(workspace_id=workspace.pk, email_key="zoe@lecteurs.example").exists()
    assert Contact.objects.filter(workspace_id=workspace.pk).count() == 3


def test_a_plan_that_knew_the_list_before_the_erasure_brings_nobody_back(
    workspace: Workspace, tmp_path: Path, zoe: Contact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at who may not come back and the writing of new people."""
    imp = sent(workspace, tmp_path, written([HEAD, HERS, *OTHERS], "csv").encode())
    begun = datetime.now(UTC)
    people.erase(zoe, cause="request 12")
    monkeypatch.setattr("envol.contacts.imports.plan.suppression.digests", lambda workspace_id: {})
    monkeypatch.setattr(kept, "erase_again", lambda *_: 0)
    copy(imp).write_text(written([HEAD, HERS, *OTHERS], "csv"))
    imports.run(imp)
    assert Contact.objects.filter(workspace_id=workspace.pk).count() == 4, "as it would be"
    monkeypatch.undo()
    assert kept.erase_again(imp, begun) == 1
    keys = set(Contact.objects.filter(workspace_id=workspace.pk).values_list("email_key", flat=True))
    assert keys == {row[0].lower() for row in OTHERS}
    assert Erasure.objects.filter(workspace_id=workspace.pk).count() == 2


def test_views_and_filters_that_name_her_name_nobody(workspace: Workspace, zoe: Contact) -> None:
    people.identify(zoe, "customer", "C4711")
    user = User.objects.create_user(f"vue-{workspace.pk}@equipe.example", "x")
    member: Member = add_member(workspace, user, Role.OWNER)
    for name, query in (
        ("hers", "q=zoe%40lecteurs.example&lang=fr"),
        ("name", "q=Zo%C3%A9+Martin"),
        ("number", "q=C4711&lang=fr"),
        ("all", "lang=fr"),
    ):
        saved_views.save(member, name, query)
    act = bulk.prepare(workspace, "tag", {"tag": "amie"}, Filter(text="zoe@lecteurs.example"), member_id=member.pk)
    made = [
        export_files.prepare(workspace, Filter(text=text), "csv", ["email"], reason="A move", name=text, language="en")
        for text in ("Zoe@lecteurs.example", "lea@lecteurs.example")
    ]
    people.erase(zoe, cause="request 12")
    assert set(SavedView.objects.filter(workspace_id=workspace.pk).values_list("name", flat=True)) == {"all"}
    assert BulkAct.objects.get(pk=act.pk).chosen["text"] == "…"
    left = Export.objects.filter(pk__in=[one.pk for one in made]).order_by("pk").values_list("name", "chosen__text")
    assert list(left) == [("…", "…"), ("lea@lecteurs.example", "lea@lecteurs.example")]


def test_what_was_kept_its_time_goes(workspace: Workspace, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    data = written([HEAD, *OTHERS], "csv").encode()
    waiting, tried, done = (sent(workspace, tmp_path, data) for _ in range(3))
    imports.dry_run(tried)
    imports.run(done)

    def left(imp: Import) -> tuple[bool, bool, bool]:
        imp.refresh_from_db()
        changes = db.value("SELECT count(*) FROM contacts_import_change WHERE import_id = %s", [imp.pk])
        refused = ImportRefusal.objects.filter(import_id=imp.pk).exists()
        return bool(imp.path) and copy(imp).exists(), refused, bool(changes)

    assert [left(one) for one in (waiting, tried, done)] == [
        (True, False, False),
        (True, True, False),
        (False, True, True),
    ]
    kept.sweep(now + timedelta(days=6))
    assert [left(one) for one in (waiting, tried, done)] == [
        (True, False, False),
        (True, True, False),
        (False, True, True),
    ]
    kept.sweep(now + timedelta(days=8))
    assert [left(one) for one in (waiting, tried, done)] == [
        (True, False, False),
        (True, True, False),
        (False, True, False),
    ]
    kept.sweep(now + timedelta(days=31))
    assert [left(one) for one in (waiting, tried, done)] == [(False, False, False)] * 3
    with pytest.raises(imports.ImportProblem, match="no longer kept"):
        imports.run(waiting)
