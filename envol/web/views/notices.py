"""What ended while a page was open: sentences that the page puts into its status line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from envol.accounts.models import Role
from envol.campaigns import progress
from envol.campaigns.models import Campaign
from envol.web.doors import MemberRequest, audience
from envol.web.figures import outline


@require_safe
@audience(Role.VIEWER)
def notices(request: MemberRequest) -> HttpResponse:
    """Sendings and imports that ended since ``?since=`` (seconds since 1970), at most a quarter of an hour ago."""
    now = timezone.now()
    since = max(_moment(request.GET.get("since", "")), now - progress.WINDOW)
    sendings = progress.ended_since(request.workspace.id, since)
    campaigns = Campaign.objects.filter(workspace=request.workspace).in_bulk({s.campaign_id or 0 for s in sendings})
    ended: list[dict[str, Any]] = [
        {"sending": s, "outline": outline(campaigns[s.campaign_id])}
        for s in reversed(sendings)
        if s.campaign_id in campaigns
    ]
    facts = {"ended": ended, "imports": reversed(progress.imports_since(request.workspace.id, since))}
    answer = render(request, "notices.html", facts)
    # From the very next instant on: what ends within this second is told once more rather than never.
    answer["X-Until"] = str(int(now.timestamp()))
    answer["Cache-Control"] = "no-store"
    return answer


def _moment(text: str) -> datetime:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        return timezone.now() - timedelta(minutes=1)
    return datetime.fromtimestamp(int(text), UTC)
