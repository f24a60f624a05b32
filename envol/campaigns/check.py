"""One thing that a campaign is told before it is sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

BLOCK, ADVICE = "block", "advice"
GROUPS = ("audience", "sender", "content", "links", "images", "weight", "text", "unsubscribe", "values")
_GROUP_OF = {
    "no_unsubscribe": "unsubscribe",
    "no_text": "text",
    "missing_values": "values",
    "fallback": "values",
    "heavy": "weight",
    "rather_heavy": "weight",
    **dict.fromkeys(
        ["link_example", "link_inside", "link_plain", "link_personal", "link_same_words", "no_link", "button_nowhere"],
        "links",
    ),
    **dict.fromkeys(["image_nowhere", "image_inside", "image_elsewhere", "image_no_words"], "images"),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to mend (``block``) or to think about (``advice``).

    ``where`` names the card that mends it: audience, sender, content, send, domains, settings.
    """

    level: str
    code: str
    fr: str
    en: str
    where: str
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """What was looked at: one of GROUPS."""
        by_card = {"domains": "sender", "settings": "sender", "send": "audience"}.get(self.where, self.where)
        return _GROUP_OF.get(self.code, by_card)

    def sentence(self, language: str = "en") -> str:
        return self.fr if language.startswith("fr") else self.en
