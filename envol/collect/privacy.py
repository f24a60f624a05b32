"""What this room erases, exports and describes of one person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from envol import events
from envol.accounts.models import Workspace
from envol.collect.models import SignupForm, SignupRequest
from envol.consent import data_map, registry
from envol.consent.data_map import Flow
from envol.consent.registry import Data
from envol.contacts import people
from envol.contacts.models import Contact
from envol.db import execute


def _address(workspace_id: int, contact_id: int) -> str:
    found = Contact.objects.filter(workspace_id=workspace_id, pk=contact_id).values_list("email_key", flat=True)
    return found.first() or ""


def erase(workspace_id: int, contact_id: int) -> Mapping[str, int]:
    """Requests at her address, and the request for the mail that confirmed her: it was no contact's then."""
    written = Contact.objects.filter(workspace_id=workspace_id, pk=contact_id).values_list("email", "email_key").first()
    if written:
        events.forget_mail(workspace_id, written)
    gone = execute(
        "DELETE FROM collect_signup_request WHERE workspace_id = %s"
        " AND (contact_id = %s OR (%s <> '' AND %s IN (email_key, parent)))",
        [workspace_id, contact_id, *2 * (_address(workspace_id, contact_id),)],
    )
    return {"collect_signup_request": gone}


def export(workspace_id: int, contact_id: int) -> Mapping[str, Any]:
    """Requests at her address that wait for a confirmation; a confirmed one is in contacts and in the ledger."""
    address = _address(workspace_id, contact_id)
    found = SignupRequest.objects.filter(workspace_id=workspace_id, email_key=address, confirmed_at=None)
    return {
        "signup_requests": [
            {"list": row.form.list.name, "asked_at": row.asked_at.isoformat(), "values": row.values}
            for row in (found.select_related("form__list") if address else ())
        ]
    }


def describe() -> list[Data]:
    return [
        Data(
            "collect_signup_request",
            "sign-ups that wait for a confirmation: address, answers; of a child, a parent's address",
            True,
            "7 days",
        ),
        Data("collect_attempt", "keyed digests of address and network, against list bombing", True, "7 days"),
        Data("collect_day", "sums per form and day", False, "as long as the form"),
    ]


def flows(workspace: Workspace) -> Iterator[Flow]:
    for form in SignupForm.objects.filter(workspace=workspace).select_related("list").order_by("list__name"):
        asked = ", ".join(field["key"] for field in form.fields)
        yield Flow("form", form.list.name, asked, ref=form.list.pk)


def register() -> None:
    data_map.register_flows(flows)
    people.when_address_changes(events.name_mail)
    registry.register("collect", erase=erase, export=export, describe=describe)
