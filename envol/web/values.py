"""A property's value between a form and the catalogue: what stands in the field, what a form brings back."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict

from envol.contacts.models import Property
from envol.contacts.sealing import opened


def typed_value(property: Property, given: QueryDict) -> Any:
    """What was typed or ticked, for `catalogue.canonical`; empty means no value."""
    if property.type == "list":
        return ";".join(part.strip() for part in given.getlist("value") if part.strip())
    return given.get("value", "").strip()


def field_value(property: Property, kept: Any) -> Any:
    """A canonical value as the field of a form shows it."""
    kept = opened(property.workspace_id, kept)
    if kept is None:
        return ""
    match property.type:
        case "boolean":
            return "yes" if kept else "no"
        case "money":
            return f"{'-' if kept < 0 else ''}{abs(kept) // 100}.{abs(kept) % 100:02}"
        case "place":
            return kept.get("label") or kept.get("postcode") or kept.get("country") or ""
        case "list":
            return kept if property.choices else "; ".join(kept)
        case _:
            return str(kept)
