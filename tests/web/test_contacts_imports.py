"""A file of people from the drop to the result, by form, without a script: the fewest clicks, nothing lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from envol.accounts.models import Job
from envol.consent.models import Evidence
from envol.contacts.models import Contact, Import
from envol.contacts.tasks import dry_run_import, run_import
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]
FILE = "courriel;prénom;date du consentement;preuve\nlou@lecteurs.example;Lou;2026-02-01;bulletin 7\nrien;X;;\n"
COLUMNS = {
    "column.0": "email", "column.1": "property:first_name", "column.2": "permission_date",
    "column.3": "permission_proof",
}  # fmt: skip


@pytest.fixture
def own(tmp_path: Path) -> Shop:
    return open_shop(readers=30, folder=tmp_path, furnished=False)


def bring(client: Client, own: Shop, text: str = FILE) -> tuple[str, Import]:
    where = client.post("/imports", {"file": SimpleUploadedFile("gens.csv", text.encode())})["Location"]
    return where, Import.objects.filter(workspace=own.workspace).latest("id")


def chosen(page: str) -> dict[str, str]:
    """What the form of the columns would send when nobody touches it."""
    found = {}
    for n, part in enumerate(page.split('<select name="column.')[1:]):
        options = part.split("</select>")[0]
        found[f"column.{n}"] = options.split(" selected")[0].rsplit('value="', 1)[1].rstrip('"')
    return found


def _form(page: str) -> str:
    return page.split('id="permission"')[1].split("</form>")[0]


def test_the_proposal_is_kept_by_one_button_and_the_try_follows_by_itself(own: Shop, as_member: Sign) -> None:
    """Journey 2: file, keep the columns, without permission, write: four clicks."""
    client = as_member("editor", own)
    where, imp = bring(client, own)
    page = client.get(where).content.decode()
    assert chosen(page) == COLUMNS, "nothing to correct"
    assert "bulletin 7" in page and 'aria-current="step"' in page and "Keep these columns" in page
    assert client.post(f"{where}/mapping", chosen(page))["Location"] == where
    page = client.get(where).content.decode()
    assert "What did these people agree to?" in page and " checked" not in _form(page), "nothing is ticked beforehand"
    assert client.post(f"{where}/permission", {"nothing": "1", "given_by": "people"})["Location"] == where
    imp.refresh_from_db()
    assert imp.job_id and Job.objects.get(pk=imp.job_id).kind == "import.dry_run"
    assert "nothing is written" in client.get(where).content.decode()
    dry_run_import(imp.pk, imp.job_id)
    page = client.get(where).content.decode()
    assert "Write 2 lines" in page and "marketing never reaches them" in page
    client.post(f"{where}/act", {"act": "run"})
    imp.refresh_from_db()
    run_import(imp.pk, imp.job_id)
    page = client.get(where).content.decode()
    assert "What this file did" in page and "Undo this import" in page and "Download the refused lines" in page
    assert Contact.objects.get(workspace_id=own.workspace.pk, email_key="lou@lecteurs.example").allowed == 0


def test_a_permission_needs_three_more_choices_and_loses_nothing_typed(own: Shop, as_member: Sign) -> None:
    """Journey 3: purpose, basis, proof; the dates and proofs of the file are offered."""
    client = as_member("editor", own)
    where, imp = bring(client, own)
    client.post(f"{where}/mapping", COLUMNS)
    page = client.get(where).content.decode()
    assert "from the column “date du consentement”" in page and "in the column “preuve”" in page
    full = {
        "given_by": "people", "purpose": "newsletter", "basis": "consent", "source": "Salon du livre",
        "evidence": "line",
    }  # fmt: skip
    for lacking in ("given_by", "purpose", "source", "evidence", "basis"):
        answer = client.post(f"{where}/permission", {**full, lacking: ""})
        assert answer.status_code == 422, lacking
        body = answer.content.decode()
        assert 'role="alert"' in body and (lacking == "source" or "Salon du livre" in body)
    imp.refresh_from_db()
    assert imp.job_id is None and imp.permission == {}
    assert client.post(f"{where}/permission", full).status_code == 303
    imp.refresh_from_db()
    dry_run_import(imp.pk, imp.job_id)
    page = client.get(where).content.decode()
    assert "1 of them may be written to for “Newsletter”" in page
    client.post(f"{where}/act", {"act": "run"})
    imp.refresh_from_db()
    run_import(imp.pk, imp.job_id)
    lou = Contact.objects.get(workspace_id=own.workspace.pk, email_key="lou@lecteurs.example")
    assert lou.allowed and Evidence.objects.get(pk=imp.permission["evidence_id"]).strength == "line"


def test_what_was_detected_wrongly_is_corrected_and_read_again(own: Shop, as_member: Sign) -> None:
    """Macintosh accents are no proof of themselves; a file of one column hides its separator."""
    client = as_member("editor", own)
    text = "courriel|prénom\nzoe@lecteurs.example|Zoé\nanais@lecteurs.example|Anaïs\n"
    file = SimpleUploadedFile("mac.csv", text.encode("mac-roman"))
    where = client.post("/imports", {"file": file})["Location"]
    imp = Import.objects.filter(workspace=own.workspace).latest("id")
    page = client.get(where).content.decode()
    assert "Zoé" not in page and "Read as" in page and 'name="separator"' in page
    client.post(f"{where}/mapping", chosen(page))
    answer = client.post(f"{where}/format", {"encoding": "mac-roman", "separator": "|", "header": "on"})
    assert answer.status_code == 303 and answer["Location"] == where
    page = client.get(where).content.decode()
    assert "Zoé" in page and "Anaïs" in page and "Read as Macintosh" in page and "vertical bar" in page
    assert chosen(page) == {"column.0": "email", "column.1": "property:first_name"}
    imp.refresh_from_db()
    assert imp.state == "uploaded", "the columns are to be confirmed again"
    client.post(f"{where}/format", {"encoding": "mac-roman", "separator": "|"})
    page = client.get(where).content.decode()
    assert "Column 1" in page and "No line names the columns." in page and ">courriel<" in page
    client.post(f"{where}/format", {"encoding": "mac-roman", "separator": "|", "header": "on"})
    client.post(f"{where}/mapping", {"column.0": "email", "column.1": "property:first_name"})
    client.post(f"{where}/permission", {"nothing": "1", "given_by": "people"})
    imp.refresh_from_db()
    assert client.post(f"{where}/format", {"encoding": "utf-8"}).status_code == 303, "not while something runs"
    dry_run_import(imp.pk, imp.job_id)
    client.post(f"{where}/act", {"act": "run"})
    imp.refresh_from_db()
    assert imp.format["encoding"] == "mac-roman"
    run_import(imp.pk, imp.job_id)
    zoe = Contact.objects.get(workspace_id=own.workspace.pk, email_key="zoe@lecteurs.example")
    assert zoe.props["first_name"] == "Zoé"
    assert 'id="format"' not in client.get(where).content.decode()


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"encoding": "klingon", "separator": ";"}, "no encoding called"),
        ({"encoding": "utf-8", "separator": ";;"}, "One character stands between"),
        ({"encoding": "utf-8", "separator": ";", "sheet": "A"}, "cannot be set"),
    ],
)
def test_a_format_that_cannot_be_changes_nothing(own: Shop, as_member: Sign, sent: dict[str, str], said: str) -> None:
    client = as_member("editor", own)
    where, imp = bring(client, own)
    answer = client.post(f"{where}/format", sent | {"header": "on"})
    page = answer.content.decode()
    assert answer.status_code == 422 and said in page and "<details open>" in page
    before = imp.format
    imp.refresh_from_db()
    assert imp.format == before and chosen(page) == COLUMNS


def test_another_sheet_of_a_workbook(own: Shop, as_member: Sign, tmp_path: Path) -> None:
    import xlsxwriter

    with xlsxwriter.Workbook(str(tmp_path / "a.xlsx")) as book:
        book.add_worksheet("Ventes").write_row(0, 0, ["Mois", "Total"])
        people = book.add_worksheet("Gens")
        people.write_row(0, 0, ["E-mail", "Prénom"])
        people.write_row(1, 0, ["zoe@lecteurs.example", "Zoé"])
    client = as_member("editor", own)
    file = SimpleUploadedFile("a.xlsx", (tmp_path / "a.xlsx").read_bytes())
    where = client.post("/imports", {"file": file})["Location"]
    page = client.get(where).content.decode()
    assert "Read from the sheet “Ventes”" in page and "<option>Gens</option>" in page
    client.post(f"{where}/format", {"sheet": "Gens", "header": "on"})
    page = client.get(where).content.decode()
    assert "Read from the sheet “Gens”" in page and "Zoé" in page
    assert chosen(page) == {"column.0": "email", "column.1": "property:first_name"}
    assert client.post(f"{where}/format", {"sheet": "Rien", "header": "on"}).status_code == 422


def test_a_wrong_choice_of_columns_is_shown_again_as_it_was(own: Shop, as_member: Sign) -> None:
    client = as_member("editor", own)
    where, _imp = bring(client, own)
    answer = client.post(f"{where}/mapping", {**COLUMNS, "column.0": "property:last_name", "new_list": "Salon"})
    page = answer.content.decode()
    assert answer.status_code == 422 and 'value="Salon"' in page
    assert chosen(page)["column.0"] == "property:last_name"


def test_one_may_go_back_to_an_earlier_step_until_it_is_written(own: Shop, as_member: Sign) -> None:
    client = as_member("editor", own)
    where, imp = bring(client, own)
    assert "Keep these columns" in client.get(f"{where}?step=permission").content.decode(), "columns come first"
    client.post(f"{where}/mapping", COLUMNS)
    assert "Keep these columns" in client.get(f"{where}?step=columns").content.decode()
    client.post(f"{where}/permission", {"nothing": "1", "given_by": "people"})
    imp.refresh_from_db()
    again = client.post(f"{where}/permission", {"nothing": "1", "given_by": "people"})
    assert again.status_code == 303 and Job.objects.filter(object_id=imp.pk).count() == 1, "a double click starts one"
    dry_run_import(imp.pk, imp.job_id)
    page = client.get(where).content.decode()
    assert 'href="?step=columns"' in page and 'href="?step=permission"' in page
    client.post(f"{where}/mapping", COLUMNS)
    assert "What did these people agree to?" in client.get(where).content.decode(), "the try is void"


def test_a_model_file_comes_back_ready_to_import(own: Shop, as_member: Sign) -> None:
    client = as_member("editor", own)
    model = client.get("/imports/model.csv")
    assert model["Content-Disposition"] == 'attachment; filename="model.csv"'
    where = client.post("/imports", {"file": SimpleUploadedFile("model.csv", model.content)})["Location"]
    targets = chosen(client.get(where).content.decode())
    assert list(targets.values()) == [
        "email", "property:first_name", "property:last_name", "property:city", "tag", "permission_date",
        "permission_proof",
    ]  # fmt: skip


def test_three_people_at_the_door_of_an_import(own: Shop, other_shop: Shop, as_member: Sign) -> None:
    owner, viewer, stranger = as_member("owner", own), as_member("viewer", own), as_member("owner", other_shop)
    where, _imp = bring(owner, own)
    for path in (where, f"{where}/refused.csv"):
        assert viewer.get(path).status_code == 403 and stranger.get(path).status_code == 404
    for act in ("format", "mapping", "permission", "act"):
        assert viewer.post(f"{where}/{act}", {"nothing": "1", "given_by": "people"}).status_code == 403
        assert stranger.post(f"{where}/{act}", {"nothing": "1", "given_by": "people"}).status_code == 404
    assert viewer.get("/imports/model.csv").status_code == 403
