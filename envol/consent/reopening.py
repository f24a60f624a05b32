"""A decision on a request that was taken too quickly is taken back: for some days, while nothing of it is for ever.

A refusal that was none, an answer to the wrong person's letter, a restriction nobody asked for: accountability (GDPR
art. 5(2)) wants them put right, and the person told (art. 12(3)). What left the house does not come back, and what
protects her is not undone by anybody else: then the sentence says why not.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from envol.accounts.models import JournalEntry
from envol.consent import recipients, requests, restriction
from envol.consent.models_rights import RightsRequest, RightsStep
from envol.consent.requests import Refusal

GRACE = timedelta(days=7)
REOPENED = "reopened"
PACKED = "request.pack"
"""In the journal: a member took the file to hand it over."""


def until(request: RightsRequest) -> datetime | None:
    """Until when the decision can be taken back; None while there is none."""
    return request.ended_at + GRACE if request.ended_at is not None else None


def barred(request: RightsRequest, now: datetime | None = None) -> str:
    """Why this decision stands; empty: it can be taken back."""
    end = until(request)
    if end is None:
        return _("Nothing is decided yet.")
    if (now or datetime.now(UTC)) > end:
        return _("A decision can be taken back for %(n)s days.") % {"n": GRACE.days}
    last = request.steps.filter(what__in=("answered", "refused")).order_by("-pk").first()
    if last is None or last.actor_id is None:
        return _("Nobody decided it here: the person's own link did.")
    if request.state == "refused":
        return ""
    if request.erasure_id is not None:
        return _("The data are erased: nothing brings them back.")
    if request.kind == "objection":
        return _("Marketing was stopped as the person asked: only that person can allow it again.")
    if request.kind == requests.DEATH and requests.wish_of(request, requests.person_of(request)):
        return _("The wish of somebody who died was carried out.")
    if request.steps.filter(what=recipients.TOLD).exists():
        return _("A recipient was told of it already.")
    packed = JournalEntry.objects.filter(
        workspace_id=request.workspace_id, action=PACKED, facts__request=request.pk, at__gte=request.received_at
    )
    if request.steps.filter(what="fetched").exists() or packed.exists():
        return _("The data were handed over already.")
    return ""


def reopen(request: RightsRequest, why: str, actor_id: int, now: datetime | None = None) -> RightsRequest:
    """The request is open again, with the day it had; the person is told by a new link. Raises `Refusal`."""
    why = why.strip()[:4000]
    with transaction.atomic():
        request = RightsRequest.objects.select_for_update().get(pk=request.pk)
        if standing := barred(request, now):
            raise Refusal(standing)
        if not why:
            raise Refusal(_("Say why it is taken back: it stays in the register."))
        person = requests.person_of(request)
        if request.kind == "restriction" and request.state == "answered" and person is not None:
            begun = restriction.now(request.workspace_id, person.contact_id)
            if begun is not None and begun.reason == requests.cause_of(request):
                restriction.end(request.workspace_id, person.contact_id, actor_id=actor_id)
        # Nobody is owed to be told of what is undone.
        RightsStep.objects.filter(request=request, what=recipients.TO_TELL).update(said="")
        request.state, request.ended_at, request.answer = "open" if request.proved_at else "unproven", None, ""
        request.save(update_fields=["state", "ended_at", "answer"])
        RightsStep.objects.create(request=request, what=REOPENED, actor_id=actor_id, said=why)
        requests.tell(request, actor_id)
    return request
