"""People and sendings for the tests of the queue."""

from __future__ import annotations

import secrets
from typing import Any

from envol import db
from envol.accounts.models import Workspace
from envol.outbound import accept
from envol.outbound.models import Sending

NEWSLETTER_BIT = 2


def people(workspace: Workspace, count: int, *, domain: str = "lecteurs.example") -> list[tuple[int, str]]:
    """Contacts who allowed the newsletter: (id, address)."""
    mark = secrets.token_hex(3)
    return db.rows(
        "INSERT INTO contacts_contact (workspace_id, email, email_key, allowed)"
        " SELECT %(w)s, a, a, %(allowed)s FROM (SELECT format('p%%s.%%s@%%s', i, %(mark)s::text, %(domain)s::text) AS a"
        " FROM generate_series(1, %(count)s) i) x RETURNING id, email",
        {"w": workspace.id, "allowed": 1 << NEWSLETTER_BIT, "mark": mark, "domain": domain, "count": count},
    )


def sending(workspace: Workspace, **more: Any) -> Sending:
    from envol.consent.purposes import get

    facts: dict[str, Any] = {
        "kind": "campaign",
        "state": "sending",
        "version_id": 1,
        "purpose_id": get(workspace, "newsletter").id,
        "sender": {"name": "La Librairie", "address": "lettre@librairie.example"},
    }
    return Sending.objects.create(workspace=workspace, **{**facts, **more})


def queued(workspace: Workspace, count: int, *, domain: str = "lecteurs.example", **more: Any) -> Sending:
    """A sending to so many people, ready to be leased."""
    row = sending(workspace, **more)
    accept.expand_batch(row, people(workspace, count, domain=domain))
    return row
