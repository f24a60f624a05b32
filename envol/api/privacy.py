"""What this room keeps about people, for the data map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from envol.accounts.models import ApiKey, Workspace
from envol.api.models import Declaration, Once
from envol.consent import data_map, registry
from envol.consent.data_map import Flow
from envol.consent.registry import Data
from envol.contacts import whence
from envol.contacts.models import Contact
from envol.events.models import Endpoint


def erase(workspace_id: int, contact_id: int) -> dict[str, int]:
    from envol.api import csv_work
    from envol.api.moving import jobs
    from envol.api.rest import batches

    gone, _ = Once.objects.filter(workspace_id=workspace_id, contact_id=contact_id).delete()
    names = Contact.objects.filter(workspace_id=workspace_id, pk=contact_id).values_list("email_key", "email")
    return {
        "api_once": gone,
        "api_batch": batches.forget_person(workspace_id, contact_id),
        "api_csv_data": csv_work.forget_person(workspace_id, contact_id),
        "moves": jobs.forget(workspace_id, {one.lower() for pair in names for one in pair}),
    }


def export(workspace_id: int, contact_id: int) -> dict[str, Any]:
    mine = Once.objects.filter(workspace_id=workspace_id, contact_id=contact_id).order_by("at")
    return {
        "campaigns_of_programs": [
            {"campaign": name, "at": at.isoformat()} for name, at in mine.values_list("campaign", "at")
        ]
    }


def describe() -> list[Data]:
    return [
        Data("api_declaration", "what a member said of a key: where the people it adds agreed", personal=False),
        Data("api_batch", "people handed in by one call", retention="until they are taken in: minutes"),
        Data("api_csv_data", "files of people, from programs", retention="until they are taken in, at most a day"),
        Data("api_contact_filter", "segments as programs wrote them", personal=False),
        Data("api_draft", "parts of campaigns as programs wrote them", personal=False),
        Data("api_once", "who was sent a campaign that a program names", retention="13 months"),
        Data(
            "api_kept_answer", "how calls with an Idempotency-Key were answered, sealed under it", retention="24 hours"
        ),
        Data("api_logged_call", "the last calls of programs, without bodies and addresses", personal=False),
        Data("api_template", "templates that programs keep here", personal=False),
    ]


def flows(workspace: Workspace) -> Iterator[Flow]:
    """Programs that people's data go to, and keys of programs by which people came, nobody having said who gave them.

    What a program brings is kept and not written to until a member declares it (`envol.api.declared`): the origin is
    then said as well (GDPR art. 14).
    """
    said = Declaration.objects.filter(workspace=workspace, ended_at=None).values_list("key_id", flat=True)
    brought = ApiKey.objects.filter(workspace=workspace, revoked_at=None, pk__in=whence.keys_that_brought(workspace.pk))
    for key in brought.exclude(pk__in=said).order_by("name"):
        yield Flow("undeclared", key.name, ref=key.pk)
    for one in Endpoint.objects.filter(workspace=workspace).exclude(state="dead").order_by("id"):
        host = urlsplit(one.url).hostname or ""
        yield Flow("webhook", host, what=one.event or one.address or one.form, host=host, ref=one.pk)


def register() -> None:
    data_map.register_flows(flows)
    registry.register("api", erase=erase, export=export, describe=describe)
