"""May this person be written to, now or at any past moment, and why? One answer for page, API and command line.

The answer is the gate's; what this adds is the line of the ledger behind it, told as one sentence. A past moment is
answered with all that is known today: an answer that was given before it and reached us after it counts, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import formats, translation
from django.utils.translation import gettext as _

from envol.accounts.models import Workspace
from envol.consent import gates
from envol.consent.models import Basis, Evidence, LedgerBlock, Permission, Purpose
from envol.consent.similar import Offer


@dataclass(frozen=True, slots=True)
class Why:
    """The gate's answer with what it rests on; ``permission`` is the answer in force then, if there was one."""

    workspace: Workspace
    purpose: Purpose
    answer: gates.Answer
    at: datetime | None
    permission: Permission | None
    evidence: Evidence | None
    recorded_at: datetime | None
    offer: Offer | None = None
    """What the message would be about; None: no message in particular."""

    @property
    def learnt_later(self) -> bool:
        """Was this answer unknown to us at the moment that is asked about?"""
        return self.at is not None and self.recorded_at is not None and self.recorded_at > self.at

    def sentence(self, language: str = "en") -> str:
        """The whole answer as one sentence, in French or English."""
        with translation.override("fr" if language.startswith("fr") else "en"):
            return self._sentence("fr" if language.startswith("fr") else "en")

    def _sentence(self, language: str) -> str:
        row, label = self.permission, self.purpose.label_fr if language == "fr" else self.purpose.label_en
        facts: dict[str, Any] = {"purpose": label, "reason": self.answer.sentence(language).rstrip(".")}
        if row is not None:
            facts |= {"day": self._day(row.since), "block": row.block, "leaf": row.leaf}
            if row.state == "lapsed" and not self.answer.allowed:
                facts["reason"] = _("the permission ended by its term, and the person was not asked again")
            facts["source"] = self.evidence.source if self.evidence else row.proof or _("no source stated")
        if self.answer.allowed and row is None:
            said = _("Yes: “%(purpose)s” needs no permission, and nothing forbids it.")
        elif self.answer.allowed and row is not None and row.state != "granted":
            said = _("Yes: “%(purpose)s” needs no permission, and the answer of %(day)s does not forbid it (line"
                     " %(leaf)s of block %(block)s).")  # fmt: skip
        elif self.answer.allowed:
            said = _("Yes: “%(purpose)s” was allowed on %(day)s (%(source)s; line %(leaf)s of block %(block)s).")
        elif row is None:
            said = _("No, not for “%(purpose)s”: %(reason)s.")
        else:
            said = _("No, not for “%(purpose)s”: %(reason)s (answer of %(day)s; line %(leaf)s of block %(block)s).")
        told = said % facts
        if self.answer.allowed and self.only is not None:
            told += " " + self._only(self.only)
        if self.learnt_later and self.recorded_at is not None:
            told += " " + _("It was not known here before %(day)s.") % {"day": self._day(self.recorded_at)}
        return told

    @property
    def only(self) -> Offer | None:
        """What she may be written to about, where the answer in force is that of a customer; None: about anything."""
        if self.permission is None or self.permission.basis != Basis.CUSTOMER:
            return None
        facts = self.evidence.facts if self.evidence else {}
        return Offer(str(facts.get("product_family") or ""), str(facts.get("entity_id") or ""))

    def _only(self, offer: Offer) -> str:
        if not offer.family:
            return _("As a customer, whose products are not recorded: about nothing, before they are.")
        if not offer.seller:
            return _("As a customer: only about products like “%(family)s”.") % {"family": offer.family}
        said = _("As a customer: only about products like “%(family)s”, of “%(seller)s”.")
        return said % {"family": offer.family, "seller": offer.seller}

    def _day(self, moment: datetime) -> str:
        local = moment.astimezone(self.workspace.zone)
        return formats.date_format(local, "DATETIME_FORMAT")

    def facts(self) -> dict[str, Any]:
        """As JSON values, with the sentence in both languages."""
        row = self.permission
        return {
            "allowed": self.answer.allowed,
            "reason": self.answer.reason,
            "purpose": self.purpose.key,
            "channel": "email",
            "at": self.at.isoformat() if self.at else None,
            "only": self.only._asdict() if self.answer.allowed and self.only is not None else None,
            "sentence": {language: self.sentence(language) for language in ("fr", "en")},
            "line": {
                "id": row.pk,
                "block": row.block,
                "leaf": row.leaf,
                "state": row.state,
                "basis": row.basis,
                "since": row.since.isoformat(),
                "until": row.until.isoformat() if row.until else None,
                "recorded_at": self.recorded_at.isoformat() if self.recorded_at else None,
                "proof": row.proof,
                "source": self.evidence.source if self.evidence else None,
            }
            if row
            else None,
        }


def why(
    workspace: Workspace,
    contact_id: int | None,
    email_key: str,
    purpose: Purpose,
    *,
    channel: str = "email",
    at: datetime | None = None,
    offer: Offer | None = None,
) -> Why:
    """Ask the gate, and find what its answer rests on. ``at`` None: now; ``offer`` None: no message in particular."""
    answer = gates.may_send(workspace.pk, contact_id, email_key, purpose.pk, channel, at, offer=offer)
    row = evidence = recorded = None
    if answer.permission_id is not None and contact_id is not None:
        row = Permission.objects.filter(
            workspace_id=workspace.pk, contact_id=contact_id, purpose_id=purpose.pk, id=answer.permission_id
        ).first()
    if row is not None:
        recorded = (
            LedgerBlock.objects.filter(workspace_id=workspace.pk, no=row.block).values_list("at", flat=True).first()
        )
        if row.evidence_id is not None:
            evidence = Evidence.objects.filter(workspace=workspace, pk=row.evidence_id).defer("document").first()
    return Why(workspace, purpose, answer, at, row, evidence, recorded, offer)


def read_moment(text: str, workspace: Workspace) -> datetime:
    """A day or a moment as people write it, ISO 8601; a day means its end, without a zone that of the workspace counts.

    ValueError says what may be written, also for what lies in the future: nobody knows what will be withdrawn.
    """
    said = _("Write a day such as %(day)s, or a moment such as %(moment)s.") % {
        "day": "2026-03-31",
        "moment": "2026-03-31T18:00",
    }
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(said) from None
    zone = workspace.zone
    now = datetime.now(zone)
    if len(text.strip()) <= 10:
        day = moment.date()
        moment = moment.replace(hour=23, minute=59, second=59, microsecond=999_999, tzinfo=zone)
        if day == now.date():
            return now
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    if moment > now:
        raise ValueError(_("This lies in the future: what people will answer until then is not known."))
    return moment
