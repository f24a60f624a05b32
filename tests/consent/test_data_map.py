"""The data map follows the schema as it is, and the records of art. 30 follow the map."""

from __future__ import annotations

from django.db import connection, transaction
from django.utils.translation import override

from envol.accounts.models import Workspace
from envol.consent import data_map, desk, record
from envol.contacts.models import List
from envol.db import execute


def test_every_table_that_leads_to_a_person_is_described_by_its_room(workspace: Workspace) -> None:
    found = data_map.draw(workspace)
    assert [(one.name, one.columns) for one in found.undescribed] == []
    assert found.missing == []
    contact = next(one for one in found.tables if one.name == "contacts_contact")
    assert {"email", "props", "last_open_day"} <= set(contact.columns) and contact.room == "contacts"


def test_a_new_table_and_a_new_column_are_drift_until_somebody_reads_the_map(workspace: Workspace) -> None:
    data_map.confirm(workspace)
    assert not data_map.draw(workspace).drifts
    with transaction.atomic():
        execute("ALTER TABLE contacts_note ADD COLUMN mood text")
        execute("CREATE TABLE drift_probe (id int, email text)")
        found = data_map.draw(workspace)
        assert found.drifts and found.new_columns["contacts_note"] == ["mood"]
        assert [one.name for one in found.undescribed] == ["drift_probe"]
        data_map.confirm(workspace)
        read = data_map.draw(workspace)
        assert not read.new_columns and read.drifts, "a table nobody describes stays drift, read or not"
        transaction.set_rollback(True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('drift_probe')")
        assert cursor.fetchone()[0] is None


def test_a_new_way_in_is_drift(workspace: Workspace) -> None:
    from envol.collect import signup

    data_map.confirm(workspace)
    signup.create(workspace, List.objects.create(workspace=workspace, name="Lettre"), "birthday")
    found = data_map.draw(workspace)
    assert found.new_flows == ["form Lettre"] and found.drifts


def test_the_record_names_what_art_30_asks_for(workspace: Workspace) -> None:
    desk.save(
        workspace, {"legal_name": "Librairie SARL", "dpo_name": "Ana Roy", "serves": "Club X; ses lettres\nMairie"}
    )
    desk.save_processor(workspace, {"name": "Relay Inc.", "country": "US"})
    with override("en"):
        head = {one.label: one.text for one in record.head(workspace)}
        assert head["Controller"].startswith("Librairie SARL") and head["Data protection officer"] == "Ana Roy"
        lines = record.activities(workspace)
        letter = next(one for one in lines if one.title == "Newsletter")
        assert "consent" in letter.basis and "Relay Inc. (United States)" in letter.recipients
        assert "nothing covers it" in letter.transfers
        assert all(all(part for part in line) for line in lines), "no empty cell"
        assert [(one.controller, one.kinds) for one in record.served(workspace)][0] == ("Club X", "ses lettres")
    with override("fr"):
        assert any(one.title == "Lettre d’information" for one in record.activities(workspace))
