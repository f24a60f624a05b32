"""What the law wants settled before a campaign leaves, beyond the permission of each person."""

from __future__ import annotations

from django.conf import settings
from django.utils import translation

from envol.campaigns.check import BLOCK, Check
from envol.campaigns.models import Campaign
from envol.consent import assessments, transfers


def transfer(campaign: Campaign) -> list[Check]:
    """The relay that mail leaves through must be a place where the data may go (GDPR art. 44)."""
    config = settings.ENVOL
    if config.route != "smart_host":
        return []
    host = config.smart_host.rpartition(":")[0]
    said = {}
    for language in ("fr", "en"):
        with translation.override(language):
            said[language] = transfers.may_lead_to(campaign.workspace, "smart_host", host)
    if said["en"].colour != transfers.RED:
        return []
    return [
        Check(
            BLOCK,
            "transfer",
            f"Le relais {host} ne doit pas recevoir ces données\u202f: {said['fr'].why} Voyez Sous-traitants.",
            f"The relay {host} must not get these data: {said['en'].why} Look at Processors.",
            "sender",
        )
    ]


def consultation(campaign: Campaign) -> list[Check]:
    """Where a high risk stays after the impact assessment, the authority is asked beforehand (GDPR art. 36(1))."""
    if campaign.purpose_id not in assessments.must_consult(campaign.workspace):
        return []
    return [
        Check(
            BLOCK,
            "consultation",
            "Un risque élevé subsiste pour cette finalité\u202f: consultez d’abord l’autorité (art. 36).",
            "A high risk stays with this purpose: ask the authority first (art. 36).",
            "audience",
        )
    ]
