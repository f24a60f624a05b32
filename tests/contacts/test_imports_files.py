"""Files as they come: every dialect is read, every attack is told in a sentence, no neighbour is lost."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from envol.contacts import imports
from envol.contacts.imports import formats, read
from envol.contacts.imports.problem import ImportProblem
from envol.contacts.imports.refused import safe_cell
from envol.contacts.models import Contact, Import, ImportRefusal


def take(workspace: Any, tmp_path: Path, data: bytes | str, name: str = "p.csv", **mapping: str) -> tuple[Import, dict]:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    imp = imports.receive(workspace, path, name)
    found = {c.name: c.target for c in imports.propose(imp)} | mapping
    imports.set_mapping(imp, found)
    imports.set_origin(imp, imports.PEOPLE)
    return imp, imports.run(imp)


def names(workspace: Any) -> set[str]:
    found = Contact.objects.filter(workspace_id=workspace.id).values_list("email_key", flat=True)
    return {key.split("@")[0] for key in found}


def refusals(imp: Import) -> list[tuple[int, str]]:
    return list(ImportRefusal.objects.filter(import_id=imp.id).order_by("line").values_list("line", "cause"))


@pytest.mark.parametrize(
    ("encoding", "separator", "end"),
    [
        ("utf-8", ";", "\n"),
        ("utf-8", ",", "\r"),
        ("utf-8-sig", ",", "\r\n"),
        ("cp1252", "\t", "\r\n"),
        ("cp1252", ";", "\r"),
        ("utf-16", "\t", "\r\n"),
        ("utf-16-le", "|", "\n"),
        ("utf-16-be", ";", "\r\n"),
    ],
)
def test_encodings_separators_and_line_ends_are_found(
    workspace: Any, tmp_path: Path, encoding: str, separator: str, end: str
) -> None:
    lines = [["Adresse e-mail", "Prénom"], ["ann@lecteurs.example", "Élodie"], ["bob@lecteurs.example", "Jérôme"]]
    text = end.join(separator.join(line) for line in lines) + end
    _, counts = take(workspace, tmp_path, text.encode(encoding))
    assert counts["new"] == 2 and not counts["refused"]
    ann = Contact.objects.get(workspace_id=workspace.id, email_key="ann@lecteurs.example")
    assert ann.props == {"first_name": "Élodie"}


def test_a_file_without_header_and_a_sep_hint_are_understood(workspace: Any, tmp_path: Path) -> None:
    take(workspace, tmp_path, "ann@lecteurs.example;Ann\nbob@lecteurs.example;Bob\n")
    take(workspace, tmp_path, "sep=;\nemail;prenom\ncleo@lecteurs.example;Cléo\n")
    assert names(workspace) == {"ann", "bob", "cleo"}


def test_bad_lines_are_refused_alone_with_their_numbers(workspace: Any, tmp_path: Path) -> None:
    data = (
        b"email,first name\n"
        b"ann@lecteurs.example,\xc3\x89lodie-Fran\xc3\xa7oise No\xc3\xablle\n"
        b'bob@lecteurs.example,"Bob\n'  # 3: opened, never closed
        b"cleo@lecteurs.example,Cl\xc3\xa9o-H\xc3\xa9l\xc3\xa8ne\n"
        b"dan@lecteurs.example,D\xc3\xa9n\xff\n"  # 5: no UTF-8
        b"eve@lecteurs.example,E\0ve\n"  # 6
        b"fay@lecteurs.example,Fay,more\n"  # 7
        b"\n"
        b'gus@lecteurs.example,"Gus ""G"" ; x"\n'
        b'"hal@lecteurs.example","two\nlines"\n'
        b"ida@lecteurs.example,\xed\xa0\x80\n"  # 12: half of a surrogate pair
        b"jo@lecteurs.example," + b"x" * (formats.LINE_LIMIT + 10) + b"\n"  # 13
        b"kim@lecteurs.example,Kim"
    )
    imp, counts = take(workspace, tmp_path, data)
    assert names(workspace) == {"ann", "cleo", "gus", "hal", "kim"}
    assert refusals(imp) == [
        (3, "quote"), (5, "encoding"), (6, "nul"), (7, "columns"), (12, "encoding"), (13, "too_long"),
    ]  # fmt: skip
    assert counts["lines"] == 11
    gus = Contact.objects.get(workspace_id=workspace.id, email_key="gus@lecteurs.example")
    assert gus.props["first_name"] == 'Gus "G" ; x'


def test_what_spans_blocks_is_read_as_if_it_did_not(
    workspace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.csv"
    rows = [[f"p{n}@lecteurs.example", 'a "quoted"\nvalue; é' if n % 3 else "plain"] for n in range(200)]
    with open(path, "w", encoding="utf-8", newline="") as out:
        csv.writer(out, delimiter=";").writerows([["email", "note"], *rows])
    form, _ = formats.detect(path, "p.csv")
    for size in (7, 64, 1000, 1 << 20):
        monkeypatch.setattr(read, "BLOCK", size)
        found = [row[2:] for block in read.blocks(path, form) for row in sorted(block.rows.rows())]
        assert sorted(found) == sorted(tuple(row) for row in rows), size
        assert not any(block.refused for block in read.blocks(path, form))


def test_the_last_line_of_an_address_wins_over_all_blocks(
    workspace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read, "BLOCK", 100)
    lines = "".join(f"ANN@lecteurs.example;{n}\nbob{n}@lecteurs.example;x\n" for n in range(50))
    _, counts = take(workspace, tmp_path, "email;prenom\n" + lines)
    assert (counts["new"], counts["repeated"]) == (51, 49)
    ann = Contact.objects.get(workspace_id=workspace.id, email_key="ann@lecteurs.example")
    assert ann.props == {"first_name": "49"}


def test_json_lines_within_limits(workspace: Any, tmp_path: Path) -> None:
    good = {"email": "ann@lecteurs.example", "first_name": "Ann", "city": {"label": "Sète", "country": "FR"}}
    lines = [
        json.dumps(good),
        '{"email": "b@lecteurs.example", "first_name": NaN}',
        '{"email": "c@lecteurs.example", "first_name": 99999999999999999999}',
        '{"email": "d@lecteurs.example", "first_name": "\\ud800"}',
        '{"email": "e@lecteurs.example", "first_name": "\\u0000"}',
        '{"email": "f@lecteurs.example", "first_name": ' + "[" * 70 + "]" * 70 + "}",
        '{"email": "g@lecteurs.example", ' + ",".join(f'"k{n}":1' for n in range(10_001)) + "}",
        '["h@lecteurs.example"]',
        "{",
        '{"email": "i@lecteurs.example", "first_name": "😀 \\ud83d\\ude00"}',
    ]
    imp, _ = take(workspace, tmp_path, "\n".join(lines), "p.jsonl")
    assert names(workspace) == {"ann", "i"}
    assert refusals(imp) == [(n, "json") for n in range(2, 10)]
    ann = Contact.objects.get(workspace_id=workspace.id, email_key="ann@lecteurs.example")
    assert ann.props["city"] == {"label": "Sète", "country": "FR", "lat": 43.4028, "lon": 3.69278}


def test_a_workbook_is_read_and_a_bomb_is_not(workspace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import xlsxwriter

    path = tmp_path / "source.xlsx"
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["E-mail", "Prénom", "Date de naissance"])
    sheet.write_row(1, 0, ["ann@lecteurs.example", "Élodie"])
    from datetime import datetime

    sheet.write_datetime(1, 2, datetime(1980, 12, 31), book.add_format({"num_format": "dd/mm/yyyy"}))
    book.close()
    take(workspace, tmp_path, path.read_bytes(), "p.xlsx")
    ann = Contact.objects.get(workspace_id=workspace.id)
    assert ann.props == {"first_name": "Élodie", "birth_date": "1980-12-31"}

    monkeypatch.setattr(formats, "XLSX_LIMIT", 1 << 20)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", b" " * (2 << 20))
    with pytest.raises(ImportProblem, match="once decompressed"):
        take(workspace, tmp_path, bomb.getvalue(), "b.xlsx")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"  \n ", "empty"),
        (b"PK\x03\x04rubbish", "damaged"),
        (b"\xd0\xcf\x11\xe0old", r"\.xls"),
        (b"\x1f\x8b\x08zipped", "compressed"),
        (b"%PDF-1.7", "PDF"),
        ((",".join("x" * 600) + "\n").encode(), "columns"),
    ],
)
def test_what_cannot_be_read_is_told_and_not_kept(workspace: Any, tmp_path: Path, data: bytes, said: str) -> None:
    from envol.contacts.imports.receive import folder

    before = set(folder().iterdir())
    with pytest.raises(ImportProblem, match=said):
        take(workspace, tmp_path, data)
    assert set(folder().iterdir()) == before
    assert not Import.objects.filter(workspace=workspace).exists()


def test_formulas_stay_data_and_are_harmless_in_the_file_of_refused_lines(workspace: Any, tmp_path: Path) -> None:
    imp, _ = take(
        workspace,
        tmp_path,
        'email,first name\nann@lecteurs.example,=1+1\n=cmd|calc,Bob\n"@x","  +SUM(A1)"\n',
    )
    ann = Contact.objects.get(workspace_id=workspace.id)
    assert ann.props == {"first_name": "=1+1"}
    text = "".join(imports.refused_csv(imp))
    assert text.startswith("\ufeff")
    rows = list(csv.reader(io.StringIO(text[1:])))
    assert rows[0] == ["line", "reason", "details", "row"] and [row[0] for row in rows[1:]] == ["3", "4"]
    assert rows[1][3] == "'=cmd|calc,Bob"
    for row in rows[1:]:
        assert all(cell.lstrip(" \"'")[:1] not in "=+-@" or cell.startswith("'") for cell in row[2:])


def test_plain_numbers_need_no_apostrophe() -> None:
    assert [safe_cell(c) for c in ("-12,5", "+33", "-1+1", "=A1", "＝A1", " =A1", '"=A1', "\tx", "a=b")] == [
        "-12,5", "+33", "'-1+1", "'=A1", "'＝A1", "' =A1", "'\"=A1", "'\tx", "a=b",
    ]  # fmt: skip
