"""The purchase history of the demonstration in a workspace of its own: 69,659 real orders of 23,570 people."""

from __future__ import annotations

import gzip
import importlib.resources
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import NamedTuple

from django.db import connection

from envol import db
from envol.accounts.models import Workspace


class Bought(NamedTuple):
    customer: int
    on: date
    discs: int
    cents: int


def history() -> Iterator[Bought]:
    packed = importlib.resources.files("envol.run.demo").joinpath("cdnow.txt.gz").read_bytes()
    for line in gzip.decompress(packed).decode().splitlines()[1:]:
        customer, day, discs, dollars = line.split()
        whole, _point, cents = dollars.partition(".")
        on = date(int(day[:4]), int(day[4:6]), int(day[6:]))
        yield Bought(int(customer), on, int(discs), int(whole) * 100 + int(cents.ljust(2, "0")))


def load(workspace: Workspace, before: date | None = None) -> dict[int, int]:
    """Copy people and orders in; customer → contact id. Orders are at noon, so that every zone has the same day."""
    bought = list(history())
    customers = sorted({one.customer for one in bought})
    first = int(db.value("SELECT coalesce(max(id), 0) + 1000 FROM contacts_contact"))
    first_order = int(db.value("SELECT coalesce(max(id), 0) + 1000 FROM contacts_order"))
    ids = {customer: first + n for n, customer in enumerate(customers)}
    if before:
        bought = [one for one in bought if one.on < before]
    with connection.cursor() as cursor:
        with cursor.copy("COPY contacts_contact (id, workspace_id, email, email_key) FROM STDIN") as copy:
            for customer, id in ids.items():
                address = f"client{customer}.{workspace.pk}@cdnow.example"
                copy.write_row((id, workspace.pk, address, address))
        columns = "(id, workspace_id, contact_id, external_id, at, amount, currency)"
        with cursor.copy(f"COPY contacts_order {columns} FROM STDIN") as copy:
            for n, one in enumerate(bought):
                at = datetime.combine(one.on, time(12), UTC)
                copy.write_row((first_order + n, workspace.pk, ids[one.customer], f"c{n}", at, one.cents, "USD"))
        with cursor.copy("COPY contacts_order_line (order_id, product, quantity, amount) FROM STDIN") as copy:
            for n, one in enumerate(bought):
                copy.write_row((first_order + n, "CD", one.discs, one.cents))
        for table in ("contacts_contact", "contacts_order"):
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))")
        for table in ("contacts_contact", "contacts_order", "contacts_order_line"):
            cursor.execute(f"ANALYZE {table}")
    return ids


def unload(workspace: Workspace) -> None:
    db.execute(
        "DELETE FROM contacts_order_line WHERE order_id IN (SELECT id FROM contacts_order WHERE workspace_id = %s)",
        [workspace.pk],
    )
    for table in ("contacts_order", "contacts_contact", "audience_score", "audience_tier"):
        db.execute(f"DELETE FROM {table} WHERE workspace_id = %s", [workspace.pk])
