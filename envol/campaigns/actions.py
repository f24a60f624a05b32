"""What people do with a campaign: check, send, schedule, take back, pause, resume, stop, send again, test.

Every act is one transaction with its line in the journal; an act that the present state does not
allow is refused by a sentence. Couriers look at the sending's state when they lease and once a second
while they hold work, so pause and stop hold back the very next message.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from envol import db
from envol.accounts import jobs
from envol.accounts.models import Job, Member
from envol.audience.days import Days
from envol.campaigns import brake, checks, origins
from envol.campaigns.checks import BLOCK, Check, Summary, check, late, latest_sending, latest_version, summary
from envol.campaigns.drafts import create, delete, duplicate, edit, note
from envol.campaigns.models import Campaign, State
from envol.campaigns.refusals import Conflict, Refused
from envol.consent import gates
from envol.contacts.models import Contact
from envol.content.checks import people_without_value
from envol.content.templates import without_fallback
from envol.outbound import accept, domains, emptying, held, states
from envol.outbound.models import Sending, SendingState
from envol.wire.address import AddressError, normalise
from envol.wire.fraud import HOLD

__all__ = [
    "Check",
    "Conflict",
    "NotReady",
    "Refused",
    "Summary",
    "begin",
    "check",
    "confirm",
    "create",
    "delete",
    "duplicate",
    "edit",
    "late",
    "latest_sending",
    "latest_version",
    "pause",
    "refresh",
    "remainder",
    "resend",
    "resume",
    "schedule",
    "send",
    "send_test",
    "stop",
    "summary",
    "take_back",
]


class NotReady(Refused):
    """Something must be mended first: ``checks`` are those that block."""

    def __init__(self, found: list[Check]) -> None:
        self.checks = found
        super().__init__(" ".join(c.en for c in found))


# ---- beginning


def send(
    campaign: Campaign, member: Member | None = None, take_back: int | None = None, *, at: datetime | None = None
) -> Sending:
    """Decide that the campaign is sent: at once, after the seconds in which it can be taken back, or at ``at``.

    Audience, version and sender are frozen here. Raises :class:`NotReady` with what must be mended,
    :class:`Refused` when the campaign is past that.
    """
    return _decide(campaign, member, "campaign", take_back=take_back, at=at)


def schedule(campaign: Campaign, at: datetime, member: Member | None = None) -> Sending:
    """Send it at ``at``, which lies in the future; without a zone it is the workspace's time."""
    return _decide(campaign, member, "campaign", at=at)


def remainder(campaign: Campaign, member: Member | None = None, *, take_back: int | None = None) -> Sending:
    """A new sending of a stopped or sent campaign for those its audience chooses and who were not sent it."""
    return _decide(campaign, member, "campaign", take_back=take_back, again=True)


def resend(campaign: Campaign, member: Member | None = None, *, take_back: int | None = None) -> Sending:
    """A new sending for those who received the campaign and of whom no click is known."""
    return _decide(campaign, member, "resend", take_back=take_back, again=True)


def _decide(
    campaign: Campaign,
    member: Member | None,
    kind: str,
    *,
    take_back: int | None = None,
    at: datetime | None = None,
    again: bool = False,
) -> Sending:
    now = timezone.now()
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=Days.of(now, campaign.workspace.time_zone).zone)  # as the workspace's clock shows it
    if at is not None and at < now - timedelta(minutes=1):
        raise Refused(_("This moment has passed; choose one in the future, or send at once."))
    allowed = (State.SENT, State.STOPPED) if again else (State.DRAFT,)
    if again and emptying.emptied(campaign.pk):
        raise Refused(_("Who got this campaign is no longer kept person by person: duplicate it to send it anew."))
    with _locked(campaign, *allowed, act=_("sent again") if again else _("sent")):
        if blocks := [c for c in check(campaign) if c.level == BLOCK]:
            raise NotReady(blocks)
        version = latest_version(campaign)
        assert version is not None and campaign.purpose is not None
        wait = checks.take_back_seconds(campaign, take_back)
        found = checks.verdict(campaign)
        waits = found is not None and found.action == HOLD
        sending = Sending.objects.create(
            workspace=campaign.workspace,
            kind=kind,
            campaign_id=campaign.pk,
            purpose_id=campaign.purpose.pk,
            version_id=version.pk,
            sender=_sender(campaign),
            product_family=campaign.product_family,
            seller=campaign.seller,
            audience=checks.tree_of(campaign, freeze=True),
            state=SendingState.HELD if waits else SendingState.SCHEDULED,
            not_before=at or now,
        )
        if found is not None and waits:
            held.hold(sending.pk, campaign.workspace.pk, found)
        job = Job.objects.create(workspace=campaign.workspace, kind="campaign", object_id=sending.id)
        changes: dict[str, Any] = {"job_id": job.pk}
        if at is None:
            # By the database's clock, as everything that falls due.
            changes["not_before"] = db.value("SELECT now() + make_interval(secs => %s)", [wait])
        Sending.objects.filter(id=sending.id).update(**changes)
        _set(campaign, State.SCHEDULED, scheduled_at=at)
        action = "campaign.resent" if kind == "resend" else "campaign.scheduled" if at else "campaign.sent"
        note(campaign, action, member, sending=sending.id, take_back=wait if at is None else None)
    sending.refresh_from_db()
    return sending


def _sender(campaign: Campaign) -> dict[str, str]:
    """What letters say of their sender, frozen with the sending: names that change later change nothing."""
    return {
        "name": campaign.from_name,
        "address": campaign.from_address,
        "reply_to": campaign.reply_to,
        "campaign_name": campaign.name,
        **({"unmeasured": "yes"} if campaign.unmeasured else {}),
    }


def confirm(campaign: Campaign, member: Member | None = None) -> Sending:
    """Yes, send it now although its moment passed while nothing ran."""
    with _locked(campaign, State.SCHEDULED, act=_("confirmed")):
        sending = _present(campaign)
        if not late(sending):
            raise Refused(_("This sending is not late; it starts by itself."))
        Sending.objects.filter(id=sending.id).update(not_before=Now())
        note(campaign, "campaign.confirmed", member, sending=sending.id)
    sending.refresh_from_db()
    return sending


def take_back(campaign: Campaign, member: Member | None = None) -> Campaign:
    """Nothing has left: the campaign is a draft again."""
    with _locked(campaign, State.SCHEDULED, act=_("taken back")):
        sending = _present(campaign)
        if sending.state not in (SendingState.SCHEDULED, SendingState.HELD):
            raise Refused(_("The first messages are leaving; stop the campaign instead."))
        _end(sending)
        before = Sending.objects.filter(campaign_id=campaign.pk, kind__in=checks.KINDS, started_at__isnull=False)
        last = before.order_by("-id").first()
        _set(campaign, State(last.state) if last else State.DRAFT, scheduled_at=None)
        note(campaign, "campaign.taken_back", member, sending=sending.id)
    campaign.refresh_from_db()
    return campaign


# ---- on its way


def pause(campaign: Campaign, member: Member | None = None) -> Campaign:
    """Hold everything that has not left; couriers give back what they hold."""
    with _locked(campaign, State.PREPARING, State.SENDING, act=_("paused")):
        sending = _present(campaign)
        Sending.objects.filter(id=sending.id).update(state=SendingState.PAUSED)
        _set(campaign, State.PAUSED)
        note(campaign, "campaign.paused", member, sending=sending.id)
    campaign.refresh_from_db()
    return campaign


def resume(campaign: Campaign, member: Member | None = None) -> Campaign:
    """Go on where it was paused, or where preparing failed."""
    with _locked(campaign, State.PAUSED, State.FAILED, act=_("resumed")):
        sending = _present(campaign)
        state = SendingState.SENDING if sending.expanded_at else SendingState.PREPARING
        Sending.objects.filter(id=sending.id).update(state=state, ended_at=None)
        _set(campaign, State(state))
        brake.release(campaign, member.pk if member else None)
        note(campaign, "campaign.resumed", member, sending=sending.id)
    campaign.refresh_from_db()
    return campaign


def stop(campaign: Campaign, member: Member | None = None) -> Campaign:
    """End it: whoever was not sent to yet gets nothing. The remainder can be sent later, as a new sending."""
    states_ = (State.SCHEDULED, State.PREPARING, State.SENDING, State.PAUSED, State.FAILED)
    with _locked(campaign, *states_, act=_("stopped")):
        sending = _present(campaign)
        _end(sending)
        cancelled = states.cancel(sending.id)
        origins.note_told(sending)
        _set(campaign, State.STOPPED, scheduled_at=None)
        note(campaign, "campaign.stopped", member, sending=sending.id, cancelled=cancelled)
    campaign.refresh_from_db()
    return campaign


def _end(sending: Sending) -> None:
    Sending.objects.filter(id=sending.id).update(state=SendingState.STOPPED, ended_at=Now())
    if sending.job_id:
        jobs.cancel(sending.job_id)
        Job.objects.filter(id=sending.job_id, state="waiting").update(state="cancelled", ended_at=Now())


def begin(sending_id: int) -> bool:
    """A scheduled sending is due: from now on it is prepared. False when somebody was faster."""
    with _both(sending_id) as sending:
        if sending.state != SendingState.SCHEDULED or sending.kind not in checks.KINDS:
            return False
        sending.state = SendingState.PREPARING
        Sending.objects.filter(id=sending_id).update(state=sending.state, started_at=Now())
        mirror(sending)
    return True


def refresh(sending_id: int) -> str:
    """Make the states follow the rows; the sending's state afterwards. Called by the tick."""
    with _both(sending_id) as sending:
        if sending.state == SendingState.SENDING and sending.expanded_at and states.finished(sending_id):
            sending.state = SendingState.SENT
            Sending.objects.filter(id=sending_id).update(state=SendingState.SENT, ended_at=Now())
            origins.note_told(sending)
        if sending.campaign_id and sending.kind in checks.KINDS:
            mirror(sending)
    return str(sending.state)


@contextmanager
def _both(sending_id: int) -> Iterator[Sending]:
    """Campaign and sending, locked in the order in which people's acts lock them."""
    with transaction.atomic():
        campaign_id = Sending.objects.values_list("campaign_id", flat=True).get(id=sending_id)
        list(Campaign.objects.select_for_update().filter(pk=campaign_id or 0).values_list("pk"))
        yield Sending.objects.select_for_update().get(id=sending_id)


def mirror(sending: Sending) -> None:
    """Give the campaign the state of its last sending, unless people have decided otherwise since."""
    newer = Sending.objects.filter(campaign_id=sending.campaign_id, kind__in=checks.KINDS, id__gt=sending.id)
    if newer.exists():
        return
    moving = (State.SCHEDULED, State.PREPARING, State.SENDING, State.PAUSED)
    Campaign.objects.filter(pk=sending.campaign_id or 0, state__in=moving).exclude(state=sending.state).update(
        state=sending.state, updated_at=Now()
    )


# ---- test messages


def send_test(campaign: Campaign, address: str, member: Member | None = None) -> Sending:
    """One message of the present version to ``address``, marked as a test, by the road of all others.

    If the address is a contact's, she sees her own values; else the fallbacks. Raises :class:`Refused`.
    """
    try:
        to = normalise(address)
    except AddressError as error:
        raise Refused(error.told(_)) from None
    blocks = [c for c in checks.sender_and_content(campaign) if c.level == BLOCK and c.code != "missing_values"]
    if blocks:
        raise NotReady(blocks)
    version = latest_version(campaign)
    assert version is not None
    contact = Contact.objects.filter(workspace_id=campaign.workspace.id, email_key=to.key).first()
    lacking = (
        set(people_without_value(version, "SELECT %(one)s::bigint AS id", {"one": contact.id}))
        if contact
        else without_fallback(version)
    )
    if lacking:
        raise Refused(
            _("There is no value to show for %(what)s; give it a fallback text, or test with a contact who has one.")
            % {"what": ", ".join(sorted(lacking))}
        )
    if campaign.purpose is not None:
        # Colleagues need not have agreed to anything; but a test is no way to reach somebody who said no.
        answer = gates.may_send(
            campaign.workspace.id,
            contact.pk if contact else None,
            to.key,
            campaign.purpose.pk,
            informs=version.informs,
            offer=campaign.offer,
        )
        if answer.reason not in ("", gates.NO_PERMISSION):
            raise Refused(answer.sentence((get_language() or "en")[:2]))
    with transaction.atomic():
        ok, sentence = domains.may_send_from(campaign.workspace.id, campaign.from_address)
        if not ok:
            raise Refused(sentence)
        sending = Sending.objects.create(
            workspace=campaign.workspace,
            kind="test",
            campaign_id=campaign.pk,
            purpose_id=campaign.purpose.pk if campaign.purpose else None,
            version_id=version.pk,
            sender=_sender(campaign),
            product_family=campaign.product_family,
            seller=campaign.seller,
            state=SendingState.SENDING,
            priority=1,
            lifetime_seconds=3600,
        )
        if contact is not None:
            accept.expand_batch(sending, [(contact.id, to.written)])
        else:
            accept.accept_address(sending, to.written)
        Sending.objects.filter(id=sending.id).update(expanded_at=Now(), started_at=Now())
        note(campaign, "campaign.tested", member, sending=sending.id)
    sending.refresh_from_db()
    return sending


# ---- states


_WORDS = {
    State.DRAFT: "a draft",
    State.SCHEDULED: "scheduled",
    State.PREPARING: "being prepared",
    State.SENDING: "being sent",
    State.PAUSED: "paused",
    State.SENT: "sent",
    State.STOPPED: "stopped",
    State.FAILED: "failed",
}
_WAY_OUT = {
    State.DRAFT: "Send it first.",
    State.SCHEDULED: "Take it back, or wait until it starts.",
    State.PREPARING: "Pause or stop it.",
    State.SENDING: "Pause or stop it.",
    State.PAUSED: "Resume or stop it.",
    State.SENT: "Duplicate it, or send it again to those who did not click.",
    State.STOPPED: "Send the remainder, or duplicate it.",
    State.FAILED: "Resume or stop it.",
}


@contextmanager
def _locked(campaign: Campaign, *allowed: State, act: str) -> Iterator[None]:
    """The campaign's row, locked and fresh, in one of the states ``allowed``; else :class:`Refused`."""
    with transaction.atomic():
        list(Campaign.objects.select_for_update().filter(pk=campaign.pk).values_list("pk"))
        campaign.refresh_from_db()
        state = State(campaign.state)
        if state not in allowed:
            raise Refused(
                _("This campaign is %(state)s and cannot be %(act)s. %(way_out)s")
                % {"state": _(_WORDS[state]), "act": act, "way_out": _(_WAY_OUT[state])}
            )
        yield


def _present(campaign: Campaign) -> Sending:
    """The last sending, locked: expansion and tick wait for the act, or it for them."""
    found = (
        Sending.objects.select_for_update()
        .filter(campaign_id=campaign.pk, kind__in=checks.KINDS)
        .order_by("-id")
        .first()
    )
    if found is None:
        raise Refused(_("This campaign was never sent; send it first."))
    return found


def _set(campaign: Campaign, state: State, **more: Any) -> None:
    Campaign.objects.filter(pk=campaign.pk).update(state=state, updated_at=Now(), **more)
    campaign.state = state
    for name, value in more.items():
        setattr(campaign, name, value)
