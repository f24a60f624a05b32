"""Orders, in bulk: what people bought, once each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple

from django.db import connection, transaction

from envol.accounts.models import Workspace
from envol.db import rows
from envol.db_role import as_owner
from envol.wire.address import AddressError, normalise

_BATCH = 10_000
_MOST = 10**15


class NewLine(NamedTuple):
    """``amount``: cents for the whole line."""

    product: str
    category: str = ""
    quantity: int = 1
    amount: int = 0


class NewOrder(NamedTuple):
    """Name the buyer by ``address`` or by ``contact_id``. ``amount`` in cents; below zero for a refund. ``code``: what
    made it cheaper, "" when nothing did.
    """

    external_id: str
    at: datetime
    amount: int
    currency: str = "EUR"
    address: str = ""
    contact_id: int | None = None
    lines: Sequence[NewLine] = ()
    code: str = ""


@dataclass
class Added:
    """``refused``: (place in what was given, from 0, and the sentence that says why)."""

    added: int = 0
    known: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)


def add_bulk(workspace: Workspace | int, orders: Iterable[NewOrder], *, import_id: int | None = None) -> Added:
    """Store orders; one whose external id is known already changes nothing, so a repeated call is harmless.

    Malformed ones are refused each with a sentence, the others stored, 10,000 a transaction. ``import_id`` is the
    file that brings them.
    """
    workspace_id = workspace if isinstance(workspace, int) else workspace.id
    result = Added()
    numbered = enumerate(orders)
    while batch := list(islice(numbered, _BATCH)):
        with transaction.atomic():
            _add(workspace_id, batch, result, import_id)
    result.refused.sort()
    return result


def _add(workspace_id: int, batch: list[tuple[int, NewOrder]], result: Added, import_id: int | None) -> None:
    limit = datetime.now(UTC) + timedelta(days=1)
    good: dict[str, tuple[int, NewOrder, str]] = {}
    for place, order in batch:
        try:
            key = _checked(order, limit)
        except ValueError as wrong:
            result.refused.append((place, str(wrong)))
            continue
        if order.external_id in good:
            result.known += 1
        else:
            good[order.external_id] = (place, order, key)
    buyers = _buyers(workspace_id, [(order.contact_id, key) for _, order, key in good.values()])
    table: list[tuple[NewOrder, int]] = []
    for place, order, key in good.values():
        contact_id = buyers.get(order.contact_id if order.contact_id is not None else key)
        if contact_id is None:
            result.refused.append(
                (place, f"Order {order.external_id}: nobody here is this buyer; add the person first.")
            )
        else:
            table.append((order, contact_id))
    made = dict(
        rows(
            "INSERT INTO contacts_order (workspace_id, import_id, contact_id, external_id, at, amount, currency, code)"
            " SELECT %s, %s, * FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[], %s::bigint[], %s::text[],"
            " %s::text[])"
            " ON CONFLICT (workspace_id, external_id) DO NOTHING RETURNING external_id, id",
            [
                workspace_id,
                import_id,
                [contact_id for _, contact_id in table],
                [order.external_id for order, _ in table],
                [order.at for order, _ in table],
                [order.amount for order, _ in table],
                [order.currency for order, _ in table],
                [order.code for order, _ in table],
            ],
        )
        if table
        else ()
    )
    result.added += len(made)
    result.known += len(table) - len(made)
    with (
        as_owner(),
        connection.cursor() as cursor,
        cursor.copy("COPY contacts_order_line (order_id, product, category, quantity, amount) FROM STDIN") as copy,
    ):
        for order, _ in table:
            if (order_id := made.get(order.external_id)) is not None:
                for line in order.lines:
                    copy.write_row((order_id, *line))


def _checked(order: NewOrder, limit: datetime) -> str:
    """The buyer's normalised address ("" when named by id); ValueError with a sentence."""
    name = order.external_id
    if not isinstance(name, str) or not 0 < len(name.strip()) <= 100 or "\0" in name:
        raise ValueError("An order needs an id of 1 to 100 characters.")
    if not isinstance(order.at, datetime) or order.at.tzinfo is None:
        raise ValueError(f"Order {name}: give its date with a time zone.")
    if not datetime(1900, 1, 1, tzinfo=UTC) <= order.at <= limit:
        raise ValueError(f"Order {name}: its date is not possible; correct it.")
    if not re.fullmatch(r"[A-Z]{3}", order.currency or ""):
        raise ValueError(f"Order {name}: write the currency as three letters, such as EUR.")
    if not isinstance(order.code, str) or len(order.code) > 60 or "\0" in order.code:
        raise ValueError(f"Order {name}: a code has at most 60 characters.")
    for line in order.lines:
        if not line.product.strip() or len(line.product) > 200 or len(line.category) > 100:
            raise ValueError(f"Order {name}: a line needs a product (200 characters) and a category of at most 100.")
        if "\0" in line.product + line.category or not _whole(line.quantity, 10**9):
            raise ValueError(f"Order {name}: a line's quantity is a whole number.")
    if not all(_whole(amount, _MOST) for amount in (order.amount, *(line.amount for line in order.lines))):
        raise ValueError(f"Order {name}: amounts are whole cents.")
    if order.contact_id is not None:
        return ""
    try:
        return normalise(order.address).key
    except AddressError as wrong:
        raise ValueError(f"Order {name}: {wrong}") from None


def _whole(number: object, most: int) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and abs(number) < most


def _buyers(workspace_id: int, wanted: list[tuple[int | None, str]]) -> dict[int | str, int]:
    found = rows(
        "SELECT id, email_key FROM contacts_contact WHERE workspace_id = %s"
        " AND (id = ANY(%s::bigint[]) OR email_key = ANY(%s::text[]))",
        [workspace_id, [i for i, _ in wanted if i is not None], [key for _, key in wanted if key]],
    )
    buyers: dict[int | str, int] = {}
    for contact_id, email_key in found:
        buyers[contact_id] = buyers[email_key] = contact_id
    return buyers
