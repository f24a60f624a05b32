"""Preparing a campaign: made, changed by several people without losing anybody's work, copied."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from envol.accounts import journal
from envol.accounts.models import JournalEntry, Member, Workspace
from envol.audience.models import Segment
from envol.campaigns.models import Campaign, State
from envol.campaigns.refusals import Conflict, Refused
from envol.consent.models import Purpose
from envol.content.models import Template
from envol.wire.address import AddressError, normalise

EDITABLE = (State.DRAFT, State.STOPPED, State.FAILED)
_OFFER = ("product_family", "seller")
_FIELDS = ("name", "purpose", "segment", "template", "from_name", "from_address", "reply_to", "unmeasured", *_OFFER)


def create(workspace: Workspace, name: str, *, member: Member | None = None, **fields: Any) -> Campaign:
    """A new draft. ``fields``: purpose, segment, template (rows or ids of this workspace), from_name,
    from_address, reply_to, unmeasured, product_family, seller. Raises :class:`Refused`.
    """
    values = _checked(workspace, {"name": name, **fields})
    with transaction.atomic():
        campaign = Campaign.objects.create(workspace=workspace, **values)
        note(campaign, "campaign.created", member)
    return campaign


def edit(campaign: Campaign, revision: int, *, member: Member | None = None, **changes: Any) -> Campaign:
    """Change what the page with this ``revision`` showed; the campaign as it is now.

    Raises :class:`Conflict` when somebody saved in between, :class:`Refused` once it is on its way.
    """
    values = _checked(campaign.workspace, changes)
    with transaction.atomic():
        now = Campaign.objects.select_for_update().get(pk=campaign.pk)
        require_editable(now)
        if now.revision != revision:
            raise Conflict(
                _("%(who)s changed this campaign since you opened it; look at it as it is now, then change it again.")
                % {"who": _last_editor(campaign)}
            )
        changed = sorted(k for k, v in values.items() if getattr(now, k) != v)
        Campaign.objects.filter(pk=campaign.pk).update(**values, revision=F("revision") + 1, updated_at=Now())
        note(campaign, "campaign.changed", member, fields=changed)
    campaign.refresh_from_db()
    return campaign


def duplicate(campaign: Campaign, *, member: Member | None = None) -> Campaign:
    """A draft with the same content and audience, never sent."""
    with transaction.atomic():
        made = Campaign.objects.create(
            workspace=campaign.workspace,
            name=(_("%(name)s (copy)") % {"name": campaign.name})[:200],
            **{field: getattr(campaign, field) for field in _FIELDS if field != "name"},
        )
        note(made, "campaign.created", member, copy_of=campaign.pk)
    return made


def delete(campaign: Campaign, *, member: Member | None = None) -> None:
    """Remove a draft. What was sent once stays: its messages lead back to it."""
    from envol.outbound.models import Sending

    with transaction.atomic():
        now = Campaign.objects.select_for_update().get(pk=campaign.pk)
        if now.state != State.DRAFT or Sending.objects.filter(campaign_id=campaign.pk).exists():
            raise Refused(_("Only a draft that was never sent can be deleted; this one is part of the record."))
        note(campaign, "campaign.deleted", member, name=campaign.name)
        now.delete()


def note(campaign: Campaign, action: str, member: Member | None, **facts: Any) -> None:
    """One line of the journal; without a member it was a command."""
    journal.note(
        campaign.workspace,
        "member" if member else "command",
        action,
        campaign,
        actor_id=member.pk if member else None,
        **facts,
    )


@dataclass(frozen=True, slots=True)
class Change:
    """The last change of a campaign: by whom, when, and which of its fields; none of them: the content."""

    who: str
    at: datetime
    fields: list[str]


def last_change(campaign: Campaign) -> Change | None:
    rows = JournalEntry.objects.filter(object_kind="campaign", object_id=campaign.pk, action="campaign.changed")
    last = rows.order_by("-id").first()
    return Change(_last_editor(campaign), last.at, list(last.facts.get("fields", []))) if last else None


def _last_editor(campaign: Campaign) -> str:
    last = JournalEntry.objects.filter(object_kind="campaign", object_id=campaign.pk).order_by("-id").first()
    member = Member.objects.filter(pk=last.actor_id).select_related("user").first() if last and last.actor_id else None
    return str(member.user) if member else _("Somebody")


def require_editable(campaign: Campaign) -> None:
    """Raises Refused once the campaign is on its way or was sent."""
    if campaign.state not in EDITABLE:
        raise Refused(_not_editable(campaign))


def _not_editable(campaign: Campaign) -> str:
    if campaign.state == State.SCHEDULED:
        return _("This campaign is scheduled; take it back before you change it.")
    if campaign.state == State.SENT:
        return _("This campaign was sent; duplicate it to send something else.")
    return _("This campaign is on its way; stop it before you change it.")


def _checked(workspace: Workspace, given: dict[str, Any]) -> dict[str, Any]:
    if unknown := set(given) - set(_FIELDS):
        raise Refused(_("A campaign has no field %(what)s.") % {"what": ", ".join(sorted(unknown))})
    values = dict(given)
    if "name" in values:
        values["name"] = " ".join(str(values["name"]).split())[:200]
        if not values["name"]:
            raise Refused(_("Give the campaign a name."))
    for key, model in (("purpose", Purpose), ("segment", Segment), ("template", Template)):
        if (chosen := values.get(key)) is None:
            continue
        pk = chosen if isinstance(chosen, int) else chosen.pk
        found = model._default_manager.filter(workspace=workspace, pk=pk).first()
        if found is None:
            raise Refused(_("There is no such %(what)s in this workspace; choose one that exists.") % {"what": key})
        values[key] = found
    for key in ("from_address", "reply_to"):
        if values.get(key):
            try:
                values[key] = normalise(str(values[key])).written
            except AddressError as error:
                raise Refused(error.told(_)) from None
    for key in ("from_name", *_OFFER):
        if key in values:
            values[key] = " ".join(str(values[key]).replace("\0", "").split())[:200]
    return values
