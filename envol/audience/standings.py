"""What buyers are called after their scores, and the tiers: key → French, English; best first."""

from __future__ import annotations

NAMED = {
    "champions": ("Champions", "Champions"),
    "loyal": ("Fidèles", "Loyal"),
    "promising": ("Prometteurs", "Promising"),
    "attention": ("À surveiller", "Needs attention"),
    "at_risk": ("À risque", "At risk"),
    "sleeping": ("En sommeil", "About to sleep"),
    "lost": ("Perdus", "Lost"),
}
TIERS = {
    "premium": ("Premium", "Premium"),
    "gold": ("Or", "Gold"),
    "bronze": ("Bronze", "Bronze"),
    "standard": ("Standard", "Standard"),
}
