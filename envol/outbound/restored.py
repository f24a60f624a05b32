"""After a backup was restored: what waited when it was made may have left since, and leaves by itself no more.

Streams of single messages and lists are paused as sendings; what comes in anew has streams of its own and leaves at
once. Only a list goes on when it is let go, since all its posts share one sending. Campaigns are paused by their own
room. Nobody can know from here what the lost installation did after its backup, so a person decides.
"""

from __future__ import annotations

from typing import NamedTuple

from django.db import transaction

from envol import db
from envol.outbound import notices, requests, states
from envol.outbound.models import Sending, SendingState

CAMPAIGNS = ("campaign", "resend")
"""Kinds that are paused and resumed on the page of their campaign."""
_WAIT = (
    "(EXISTS (SELECT FROM outbound_chunk c WHERE c.sending_id = x.id AND NOT c.done)"
    " OR EXISTS (SELECT FROM outbound_retry r WHERE r.sending_id = x.id))"
)


class Waiting(NamedTuple):
    """One sending that a restore paused: how many people of it were not reached as far as the backup knows."""

    sending_id: int
    workspace: str
    kind: str
    people: int


def hold() -> list[Waiting]:
    """Pause what waits, in every workspace; before any process of the restored installation starts."""
    while requests.take():  # what was asked for and not made yet is such mail as well
        pass
    notices.take()
    with transaction.atomic():
        db.execute(
            f"UPDATE outbound_sending x SET state = 'paused' WHERE state = 'sending' AND kind <> ALL (%s) AND {_WAIT}",
            [list(CAMPAIGNS)],
        )
    return waiting()


def waiting() -> list[Waiting]:
    """What is paused so, oldest first. Mail for a listed domain waits for its server anyway (`outbound.stored`)."""
    return [
        Waiting(*row)
        for row in db.rows(
            "SELECT x.id, w.name, x.kind, (SELECT count(*) FROM outbound_send s WHERE s.sending_id = x.id"
            "  AND NOT EXISTS (SELECT FROM outbound_outcome o WHERE (o.sending_id, o.no) = (s.sending_id, s.no)))"
            " FROM outbound_sending x JOIN accounts_workspace w ON w.id = x.workspace_id"
            f" WHERE x.state = 'paused' AND x.kind <> ALL (%s) AND {_WAIT} ORDER BY x.id",
            [[*CAMPAIGNS, "stored"]],
        )
    ]


def release(sending_id: int) -> int:
    """Let it go: who got it from the lost installation gets it twice. How many people. Raises ValueError."""
    people = _of(sending_id)
    Sending.objects.filter(pk=sending_id).update(state=SendingState.SENDING)
    return people


def cancel(sending_id: int) -> int:
    """It does not leave: who did not get it gets nothing. How many people. Raises ValueError."""
    _of(sending_id)
    with transaction.atomic():
        Sending.objects.filter(pk=sending_id).update(state=SendingState.STOPPED)
        people = states.cancel(sending_id, "restored")
        if db.value("SELECT kind FROM outbound_sending WHERE id = %s", [sending_id]) == "list":
            Sending.objects.filter(pk=sending_id).update(state=SendingState.SENDING)  # later posts go on
    return people


def _of(sending_id: int) -> int:
    found = next((one for one in waiting() if one.sending_id == sending_id), None)
    if found is None:
        raise ValueError(f"Nothing waits under {sending_id} since a restore: envol restored list.")
    return found.people
