"""Who wants to hear less often: her wish holds for whatever a rule chooses her for, campaign or announcement."""

from __future__ import annotations

from envol.consent import gates, restriction
from envol.consent.models import Purpose, Restriction
from envol.db import sql


def tests(purpose: Purpose) -> list[str]:
    """The gate as a line of CASE over ``c``, for `contacts.beyond.behind`; none where nobody here ever said so."""
    if purpose.kind == "transactional" or not _some(purpose.workspace_id):
        return []
    return [f"WHEN {sql('outbound', 'too_often')} THEN '{gates.TOO_OFTEN}'"]


def _some(workspace_id: int) -> bool:
    """Mostly nobody did, and nobody is asked."""
    said = Restriction.objects.filter(workspace_id=workspace_id, until=None, scope__in=restriction.FREQUENCIES)
    return said.exists()
