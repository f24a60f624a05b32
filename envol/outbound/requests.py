"""Mail that lower rooms asked for (`events.request_mail`): taken up, worded, accepted."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import transaction
from django.db.models.functions import Now

from envol import disk
from envol.accounts.models import Workspace
from envol.db import TooSlow, rows, within
from envol.events.models import MailRequest
from envol.outbound.accept import Outgoing, Refused, accept_messages
from envol.outbound.perishing import MADE
from envol.outbound.system import NoWorkspace, sender_of, workspace_for
from envol.wire.fraud.judge import ALLOW, Verdict

log = structlog.get_logger()

_WORDS = {
    "confirmation": {
        "fr": ("Confirmez votre inscription", "Pour confirmer votre inscription, ouvrez cette page :\n\n{url}\n"),
        "en": ("Confirm your subscription", "To confirm your subscription, open this page:\n\n{url}\n"),
    },
    "code": {
        "fr": ("Votre code : {code}", "Votre code est {code}. Il est valable 15 minutes.\n"),
        "en": ("Your code: {code}", "Your code is {code}. It is valid for 15 minutes.\n"),
    },
}
"""Words of the kinds we know; a request may bring its own in facts: subject and text."""

_TO_STRANGERS = {"confirmation"}
"""Kinds that go to people a workspace writes to, known or not: suppression is asked, the domain must be ready."""

_OWED = {"breach", "informing", "policy", "rights"}
"""Kinds that the law wants her to get (GDPR art. 12 to 14 and 34): no refusal of other mail holds them back."""


def take(most: int = 200) -> int:
    """Accept what was asked for and not yet taken; how many. One transaction: taken exactly when accepted.
    While a disk is full it waits.

    What cannot be said (an unknown kind without words, a refused address) is taken and logged, never repeated.
    """
    if disk.shortage():
        return 0
    with transaction.atomic():
        asked = list(
            MailRequest.objects.select_for_update(skip_locked=True).filter(taken_at=None).order_by("id")[:most]
        )
        for request in asked:
            try:
                accept_messages([_outgoing(request)])
            except (Refused, NoWorkspace, KeyError) as error:
                log.error("requested mail was not accepted", request=request.pk, kind=request.kind, error=str(error))
        MailRequest.objects.filter(pk__in=[request.pk for request in asked]).update(taken_at=Now())
    return len(asked)


def _outgoing(request: MailRequest) -> Outgoing:
    facts = request.facts
    if "subject" in facts and "text" in facts:
        subject, text = str(facts["subject"]), str(facts["text"])
    else:
        by_language = _WORDS[request.kind]
        words = by_language.get(request.language.split("-")[0], by_language["en"])
        subject, text = (part.format(**{key: str(value) for key, value in facts.items()}) for part in words)
    workspace = (
        Workspace.objects.get(id=request.workspace_id) if request.workspace_id else workspace_for(request.recipient)
    )
    return Outgoing(
        workspace.id,
        sender_of(workspace),
        [("", request.recipient)],
        subject=" ".join(subject.split()),
        text=text,
        html=str(facts.get("html", "")),
        kind="system" if request.contact_id is None and request.kind not in _TO_STRANGERS else "transactional",
        contact_ids=[request.contact_id],
        code=request.kind == "code",
        owed=request.kind in _OWED,
        facts={MADE: request.created_at.isoformat()}
        | ({"for": f"{request.kind} {facts['ref']}"} if "ref" in facts else {}),
        verdict=Verdict(ALLOW, 0.0),  # our own words; who asks to confirm on its own page would look like fraud
    )


def outcomes(workspace_id: int, kind: str, ref: int, since: datetime, seconds: float = 1.0) -> dict[str, int]:
    """What became of the messages that were asked for this one thing, by state: a report without any measuring.

    Messages that wait for the road are ``waiting``; nothing is said when counting takes longer than ``seconds``.
    """
    asked = {"workspace": workspace_id, "for": f"{kind} {ref}", "since": since}
    try:
        with within(seconds):
            return dict(
                rows(
                    "SELECT coalesce(o.state, CASE WHEN r.no IS NULL THEN 'waiting' ELSE 'deferred' END), count(*)"
                    " FROM outbound_message m JOIN outbound_send s ON s.message_id = m.id"
                    " LEFT JOIN outbound_outcome o ON o.sending_id = s.sending_id AND o.no = s.no"
                    " LEFT JOIN outbound_retry r ON r.sending_id = s.sending_id AND r.no = s.no"
                    " WHERE m.workspace_id = %(workspace)s AND m.created_at >= %(since)s"
                    " AND m.header ->> 'for' = %(for)s GROUP BY 1",
                    asked,
                )
            )
    except TooSlow:
        return {}
