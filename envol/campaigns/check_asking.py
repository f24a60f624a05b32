"""What a campaign must be that asks for an agreement nobody can prove (`envol.consent.purposes.ASKED_ONCE`)."""

from __future__ import annotations

from collections.abc import Callable

from envol.campaigns.check import BLOCK, Check
from envol.campaigns.models import Campaign
from envol.consent.purposes import ASKED_ONCE
from envol.content.gallery import ASKING
from envol.content.models import Version
from envol.outbound.models import Sending


def check(campaign: Campaign, latest: Callable[[Campaign], Version | None]) -> list[Check]:
    """One unmeasured message of the model made for it, and never a second; of other purposes nothing."""
    if campaign.purpose is None or campaign.purpose.key != ASKED_ONCE:
        return []
    version = latest(campaign)
    asks = version is not None and (version.design or {}).get("model") == ASKING
    if not asks or not campaign.unmeasured:
        fr = "Cette finalité permet une seule chose\u202f: demander l’accord, par le modèle prévu, sans rien mesurer."
        en = "This purpose allows one thing only: asking for agreement, by the model made for it, measuring nothing."
        return [Check(BLOCK, "asks_only", fr, en, "audience")]
    if Sending.objects.filter(campaign_id=campaign.pk, kind="campaign", state="sent").exists():
        fr = "Ces personnes ont été sollicitées une fois\u202f: sans réponse de leur part, c’est non."
        en = "These people were asked once: no answer counts as no."
        return [Check(BLOCK, "asked_already", fr, en, "audience")]
    return []
