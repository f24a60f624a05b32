"""Leaving, by whichever way a person took: the page, one click, a mail (GDPR art. 7(3), RFC 8058, RFC 2369)."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import transaction

from envol.consent import ledger, suppression
from envol.consent.models import Permission, Purpose
from envol.events.models import Kind
from envol.events.writing import NewEvent, record

_SOURCES = {
    "mail": "mail to the address of List-Unsubscribe",
    "list": "signed mail to the address for leaving a mailing list",
    "program": "told by a program of the organisation",
}


def unsubscribe(
    workspace_id: int,
    contact_id: int | None,
    email_key: str | None,
    purpose: Purpose | None,
    *,
    sending_id: int | None,
    cause: str,
    everything: bool = False,
    via: str = "page",
) -> bool:
    """No more mail for this purpose, or (``everything``, or no purpose is known) no marketing at all; acts at once.

    Returns whether anything changed: asked twice, the second time changes and records nothing.
    """
    everything = everything or purpose is None
    source = _SOURCES.get(via, "preference page")
    with transaction.atomic():
        ledger.lock(workspace_id)
        changed = False
        if contact_id is not None:
            present = Permission.objects.filter(workspace_id=workspace_id, contact_id=contact_id, until=None)
            given = dict(present.values_list("purpose_id", "state"))
            ends = [purpose] if purpose is not None and given.get(purpose.pk) not in ledger.REFUSALS else []
            if everything:
                marketing = Purpose.objects.filter(workspace_id=workspace_id, kind="marketing")
                ends += [one for one in marketing if given.get(one.pk) == "granted" and one not in ends]
            now = datetime.now(UTC)
            lines = [
                ledger.Line(contact_id, one.pk, "withdrawn", "consent", now, proof=f"{source}, {cause}") for one in ends
            ]
            if lines:
                ledger.append(workspace_id, lines)
            changed = bool(lines)
        if everything and email_key:
            changed |= suppression.add(workspace_id, email_key, "marketing", "unsubscribed", cause)
        if changed:
            facts = {"scope": "all" if everything else "purpose", "via": via}
            record([NewEvent(workspace_id, Kind.UNSUBSCRIBED, contact_id, sending_id, facts=facts)])
    return changed
