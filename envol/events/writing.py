"""Writing what happened, and asking that a person be written to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from django.db import transaction

from envol.db import execute, sql
from envol.events import counters
from envol.events.models import MailRequest


class Happening(Protocol):
    """What an event says; :class:`NewEvent` and the model ``Event`` both do."""

    @property
    def workspace_id(self) -> int: ...
    @property
    def kind(self) -> int: ...
    @property
    def contact_id(self) -> int | None: ...
    @property
    def sending_id(self) -> int | None: ...
    @property
    def link(self) -> int | None: ...
    @property
    def machine(self) -> str | None: ...
    @property
    def facts(self) -> Any: ...
    @property
    def at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One thing that happened; ``at`` None: now. ``facts`` is a small JSON object without addresses."""

    workspace_id: int
    kind: int
    contact_id: int | None = None
    sending_id: int | None = None
    link: int | None = None
    machine: str | None = None
    facts: dict[str, Any] | None = None
    at: datetime | None = None


def record(batch: Iterable[Happening]) -> int:
    """Write these events, and the counters that follow from them, in one transaction (the caller's, if it has one).

    Returns how many. Two calls with the same event write it twice: whoever must not, asks before.
    """
    events = list(batch)
    if not events:
        return 0
    reactions = [e for e in events if e.sending_id is not None and e.kind in counters.COUNTED]
    with transaction.atomic():
        tally = counters.Tally((e.sending_id, e.contact_id) for e in reactions)  # type: ignore[misc]
        execute(sql("events", "insert"), _columns(events))
        for e in reactions:
            if e.contact_id is None:
                tally.nameless(e.workspace_id, e.sending_id, e.kind, e.link or 0, bool(e.machine))  # type: ignore[arg-type]
            else:
                tally.named(e.workspace_id, e.sending_id)  # type: ignore[arg-type]
        tally.apply()
    return len(events)


def _columns(events: Sequence[Happening]) -> dict[str, list[Any]]:
    return {
        "at": [e.at for e in events],
        "workspaces": [e.workspace_id for e in events],
        "kinds": [int(e.kind) for e in events],
        "contacts": [e.contact_id for e in events],
        "sendings": [e.sending_id for e in events],
        "links": [e.link for e in events],
        "machines": [e.machine or None for e in events],
        "facts": [None if e.facts is None else json.dumps(e.facts) for e in events],
    }


def forget_mail(workspace_id: int, recipients: Sequence[str]) -> int:
    """Forget which mail was asked for to these addresses: the person behind them is erased."""
    return execute(
        "DELETE FROM events_mail_request WHERE workspace_id = %s AND recipient = ANY(%s)",
        [workspace_id, list(recipients)],
    )


def name_mail(workspace_id: int, contact_id: int, recipients: Sequence[str]) -> int:
    """Mail that was asked for to these addresses before they were anybody's was for this contact."""
    return execute(
        "UPDATE events_mail_request SET contact_id = %s"
        " WHERE workspace_id = %s AND contact_id IS NULL AND recipient = ANY(%s)",
        [contact_id, workspace_id, list(recipients)],
    )


def request_mail(
    kind: str,
    recipient: str,
    facts: dict[str, Any] | None = None,
    *,
    workspace_id: int | None = None,
    contact_id: int | None = None,
    language: str = "fr",
) -> MailRequest:
    """Ask that ``recipient`` be written to (``kind``: password, code, confirmation…); a job of outbound sends it.

    In the caller's transaction: no commit, no mail.
    """
    return MailRequest.objects.create(
        kind=kind,
        recipient=recipient,
        facts=facts or {},
        workspace_id=workspace_id,
        contact_id=contact_id,
        language=language,
    )
