"""Demands of third countries' authorities: a register, and no answer that the law does not allow (GDPR art. 48).

A judgment or decision of a third country that asks for data is recognised only where an international agreement in
force between that country and the Union or a Member State says so; without one it is refused. The agreement is the
first step of two: a ground of art. 6 and one of chapter V are named as well, in the reasons.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from envol.accounts.journal import note
from envol.accounts.models import Member, Role, Workspace
from envol.consent import transfers
from envol.consent.models import Demand
from envol.events.writing import request_mail

REFUSED, GIVEN = "refused", "given"
NEAR = timedelta(days=3)
"""So long before the day that the authority set owners are reminded."""


class Refused(ValueError):
    """This cannot be written down so; the sentence says why."""


def receive(
    workspace: Workspace,
    authority: str,
    country: str,
    what: str,
    received_on: date,
    *,
    reference: str = "",
    answer_by: date | None = None,
    member_id: int | None = None,
) -> Demand:
    """Write a demand down. ``country``: two letters, outside the European Economic Area. Raises Refused."""
    authority, what = " ".join(authority.split())[:200], what.strip()[:4000]
    if not authority or not what:
        raise Refused(_("Say who asks, and for which data."))
    if transfers.in_eea(country):
        raise Refused(
            _(
                "This register is for countries outside the European Economic Area: an authority within it acts under"
                " the law of the Union or of its state, and article 48 does not concern it."
            )
        )
    if received_on > workspace.today():
        raise Refused(_("The day on which it came lies ahead: correct it."))
    if answer_by is not None and answer_by < received_on:
        raise Refused(_("The day by which to answer is before the day on which it came: correct one of them."))
    with transaction.atomic():
        made = Demand.objects.create(
            workspace=workspace, authority=authority, country=country, what=what, received_on=received_on,
            reference=" ".join(reference.split())[:200], answer_by=answer_by, member_id=member_id,
        )  # fmt: skip
        note(workspace, "member", "demand.received", made, actor_id=member_id, country=country)
    return made


def decide(demand: Demand, decision: str, why: str, actor_id: int, *, agreement: str = "") -> Demand:
    """Refuse, or give under the international agreement that it rests on; once. Raises Refused."""
    agreement, why = " ".join(agreement.split())[:300], why.strip()[:4000]
    if decision not in (REFUSED, GIVEN):
        raise Refused(_("Choose whether the data are given or refused."))
    if decision == GIVEN and not agreement:
        raise Refused(
            _(
                "Without an international agreement in force between that country and the Union or a Member State"
                " nothing may be given (GDPR, article 48): refuse, and name the way of mutual legal assistance."
            )
        )
    if not why:
        raise Refused(
            _("Write down the reasons: of a refusal, or on which grounds of articles 6 and 46 to 49 you give.")
        )
    with transaction.atomic():
        mine = Demand.objects.select_for_update().get(pk=demand.pk)
        if mine.decision:
            raise Refused(_("It is decided already; what was decided stays."))
        mine.decision, mine.why, mine.agreement = decision, why, agreement if decision == GIVEN else ""
        mine.decided_at, mine.decided_by = timezone.now(), actor_id
        mine.save(update_fields=["decision", "why", "agreement", "decided_at", "decided_by"])
        note(mine.workspace, "member", f"demand.{decision}", mine, actor_id=actor_id)
    return mine


def answer(demand: Demand, said: str, on: date, actor_id: int) -> Demand:
    """What the authority was answered, and on which day; after the decision, and once. Raises Refused."""
    said = said.strip()[:4000]
    if not said:
        raise Refused(_("Write down what was answered."))
    with transaction.atomic():
        mine = Demand.objects.select_related("workspace").select_for_update(of=("self",)).get(pk=demand.pk)
        if not mine.decision:
            raise Refused(_("Decide first: nothing is answered before."))
        if mine.answered_on:
            raise Refused(_("It is answered already; what was answered stays."))
        if not mine.received_on <= on <= mine.workspace.today():
            raise Refused(_("The day of the answer lies before the demand, or ahead: correct it."))
        mine.answer, mine.answered_on = said, on
        mine.save(update_fields=["answer", "answered_on"])
        note(mine.workspace, "member", "demand.answered", mine, actor_id=actor_id)
    return mine


def waiting(workspace: Workspace) -> QuerySet[Demand]:
    return Demand.objects.filter(workspace=workspace, answered_on=None)


def is_late(demand: Demand) -> bool:
    """Is the day over that the authority set, and nothing answered?"""
    return demand.answered_on is None and demand.answer_by is not None and demand.answer_by < demand.workspace.today()


def late(workspace: Workspace) -> bool:
    """Is there one to which nothing was answered by the day that was set?"""
    return waiting(workspace).filter(answer_by__lt=workspace.today()).exists()


def warn() -> int:
    """Tell owners of demands whose day is near, and again once it is over; how many mails."""
    sent = 0
    soon = timezone.now().date() + NEAR + timedelta(days=1)  # it is tomorrow there before it is in UTC
    for one in Demand.objects.select_related("workspace").filter(
        Q(answered_on=None), answer_by__lte=soon, warned__lt=2
    ):
        assert one.answer_by is not None
        left = one.answer_by - one.workspace.today()
        level = 2 if left < timedelta(0) else 1 if left <= NEAR else 0
        if level <= one.warned:
            continue
        with transaction.atomic():
            if not Demand.objects.filter(pk=one.pk, warned=one.warned).update(warned=level):
                continue
            for owner in Member.objects.filter(workspace=one.workspace, role=Role.OWNER).select_related("user"):
                french = owner.user.language == "fr"
                text = (
                    "{who} attend une réponse pour le {due}. Sans accord international en vigueur, rien ne peut être"
                    " remis (RGPD, article 48).\n\n{url}\n"
                    if french
                    else "{who} waits for an answer by {due}. Without an international agreement in force nothing may"
                    " be given (GDPR, article 48).\n\n{url}\n"
                )
                where = f"{settings.ENVOL.base_url.rstrip('/')}/consent/demands/{one.pk}"
                facts = {
                    "subject": "Une autorité étrangère attend" if french else "A foreign authority waits",
                    "text": text.format(who=one.authority, due=f"{one.answer_by:%Y-%m-%d}", url=where),
                }
                request_mail(
                    "notice", owner.user.email, facts, workspace_id=one.workspace.pk, language="fr" if french else "en"
                )
                sent += 1
    return sent


def register(workspace: Workspace) -> list[dict[str, Any]]:
    """The whole register as plain values, the oldest first."""
    fields = (
        "id", "authority", "country", "reference", "what", "received_on", "answer_by", "decision", "agreement", "why",
        "decided_at", "answer", "answered_on",
    )  # fmt: skip
    return list(Demand.objects.filter(workspace=workspace).order_by("pk").values(*fields))
