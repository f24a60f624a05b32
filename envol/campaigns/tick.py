"""What campaigns do by themselves. Called once a second; cheap when nothing is due."""

from __future__ import annotations

import time

from envol import db
from envol.campaigns import actions, brake
from envol.campaigns.checks import LATE
from envol.outbound import held
from envol.outbound.models import SendingState

_RETRY_SECONDS = 30.0
_asked: dict[int, float] = {}


def run() -> int:
    """Start what is due, take up what stands still, let states follow rows; how many sendings were looked at.

    What fell due more than an hour ago while nothing ran is not started: somebody confirms it first.
    """
    found = db.rows(
        "SELECT id, state, state = 'scheduled' AND not_before <= now() AND not_before > now() - %s"
        " FROM outbound_sending"
        " WHERE state IN ('scheduled', 'preparing', 'sending') AND kind IN ('campaign', 'resend', 'again', 'test')",
        [LATE],
    )
    for sending_id, state, due in found:
        if due:
            if actions.begin(sending_id):
                _ask(sending_id)
        elif state == SendingState.PREPARING:
            _ask(sending_id)
        elif state == SendingState.SENDING and actions.refresh(sending_id) == SendingState.SENDING:
            brake.look_now_and_then(sending_id)
    _follow_refusals()
    return len(found)


def _follow_refusals() -> None:
    """A sending that was held and refused has ended; its campaign still waits for it."""
    for sending in held.ended_campaigns():
        actions.mirror(sending)


def _ask(sending_id: int) -> None:
    """Have a worker expand it. Asked again now and then, for a worker may have died; doing it twice is harmless."""
    from envol.campaigns import tasks

    now = time.monotonic()
    if now - _asked.get(sending_id, -_RETRY_SECONDS) < _RETRY_SECONDS:
        return
    if len(_asked) > 1000:
        _asked.clear()
    _asked[sending_id] = now
    tasks.ask(sending_id)
