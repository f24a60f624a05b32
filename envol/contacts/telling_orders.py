"""Orders as programs tell them, one at a time or some thousands at once; each is kept once by its id.

::

    {"id": "A-1042", "email": "zoe@lecteurs.example", "at": "2026-03-14T10:30:00+01:00", "amount": "36.90",
     "currency": "EUR", "code": "RENTREE10",
     "lines": [{"product": "Kind of Blue", "category": "jazz", "quantity": 1, "amount": "24.90"}]}

The buyer is named by ``email``, by ``contact`` (our number) or by ``identifier`` ("customer:4711"). An amount is
written in the currency, not in cents; without one the order is worth its lines. Nobody is taken in by an order.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from typing import Any

from django.utils.translation import gettext

from envol.accounts.models import Workspace
from envol.contacts.imports import order_values as values
from envol.contacts.imports.dates import read_moment
from envol.contacts.orders import Added, NewLine, NewOrder, add_bulk
from envol.db import rows
from envol.wire.address import AddressError

_KEYS = {"id", "email", "contact", "identifier", "at", "amount", "currency", "lines", "code"}


def tell(workspace: Workspace, told: Iterable[Any]) -> Added:
    """Keep what is told; an order whose id is known changes nothing, a malformed one is refused with a sentence."""
    result = Added()
    good: list[tuple[int, NewOrder]] = []
    named: dict[int, tuple[str, str]] = {}
    for place, raw in enumerate(told):
        try:
            order, identifier = _read(raw)
        except AddressError as wrong:
            result.refused.append((place, wrong.told(gettext)))
        except ValueError as wrong:
            result.refused.append((place, str(wrong)))
        else:
            good.append((place, order))
            if identifier:
                named[place] = identifier
    people = _people(workspace, set(named.values()))
    ready: list[tuple[int, NewOrder]] = []
    for place, order in good:
        if place in named and named[place] not in people:
            result.refused.append((place, gettext("Nobody here is this buyer; add the person first.")))
        else:
            ready.append((place, order._replace(contact_id=people[named[place]]) if place in named else order))
    kept = add_bulk(workspace, [order for _, order in ready])
    result.added, result.known = kept.added, kept.known
    result.refused += [(ready[at][0], why) for at, why in kept.refused]
    result.refused.sort()
    return result


def _read(raw: Any) -> tuple[NewOrder, tuple[str, str] | None]:
    """One order, and the identifier of its buyer where that is how she is named; ValueError with a sentence."""
    if not isinstance(raw, dict):
        raise ValueError(gettext("An order is an object with id, a buyer, at and amount."))
    if unknown := sorted(set(raw) - _KEYS):
        raise ValueError(gettext("An order does not know “%(name)s”; leave it out.") % {"name": str(unknown[0])[:60]})
    number = values.number(str(raw.get("id") or "").strip())
    if not number:
        raise ValueError(gettext("The id of the order is missing."))
    at = read_moment(str(raw.get("at") or ""), UTC)
    lines = values.listed(raw["lines"]) if raw.get("lines") is not None else []
    if raw.get("amount") is not None:
        amount = values.cents(str(raw["amount"]))
    elif lines and all(line.amount is not None for line in lines):
        amount = sum(line.amount or 0 for line in lines)
    else:
        raise ValueError(gettext("Say the amount of the order, or that of each of its lines."))
    buyers = [key for key in ("email", "contact", "identifier") if raw.get(key)]
    if len(buyers) != 1:
        raise ValueError(gettext("Name the buyer by one of email, contact and identifier."))
    address, contact, identifier = "", None, None
    if buyers == ["email"]:
        address = values.address(str(raw["email"]))
    elif buyers == ["contact"]:
        if not isinstance(raw["contact"], int) or isinstance(raw["contact"], bool) or not 0 < raw["contact"] < 2**63:
            raise ValueError(gettext("The number of a contact is a whole number."))
        contact = raw["contact"]
    else:
        kind, _colon, text = str(raw["identifier"]).partition(":")
        if not kind or not text or len(text) > 200 or "\0" in kind + text:
            said = gettext("Write an identifier with its kind, like %(example)s.")
            raise ValueError(said % {"example": "customer:4711"})
        identifier = (kind[:40], text)
    currency = values.currency(str(raw.get("currency") or "EUR"))
    code = values.name(str(raw["code"]), 60) if raw.get("code") else ""
    alone = len(lines) == 1
    made = [
        NewLine(
            line.product, line.category, line.quantity, (amount if alone else 0) if line.amount is None else line.amount
        )
        for line in lines
    ]
    return NewOrder(number, at, amount, currency, address, contact, made, code), identifier


def _people(workspace: Workspace, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    if not wanted:
        return {}
    found = rows(
        "SELECT i.kind, i.value, i.contact_id FROM contacts_identifier i"
        " JOIN unnest(%s::text[], %s::text[]) AS w(kind, value) ON w.kind = i.kind AND w.value = i.value"
        " WHERE i.workspace_id = %s",
        [[kind for kind, _ in wanted], [text for _, text in wanted], workspace.pk],
    )
    return {(kind, text): contact for kind, text, contact in found}
