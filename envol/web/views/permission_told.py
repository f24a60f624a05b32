"""May this person be written to, and why: told to the organisation's own programs, by API key (scope ``consent``)."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.utils.translation import override
from django.views.decorators.http import require_safe

from envol.accounts.models import Scope, Workspace
from envol.consent import purposes, why
from envol.consent.models import Purpose
from envol.consent.similar import Offer
from envol.contacts import people
from envol.web.doors import api_key
from envol.wire.address import AddressError, normalise


@require_safe
@api_key(Scope.CONSENT)
def why_json(request: HttpRequest) -> JsonResponse:
    """``?email=…&purpose=KEY``, now or ``&at=2026-03-31T18:00``, and of a message about a kind of product
    ``&about=…&seller=…``; for a stranger the answer is no, as for a sending."""
    workspace: Workspace = request.workspace  # type: ignore[attr-defined]
    with override("en"):
        try:
            address = normalise(request.GET.get("email", ""))
            purpose = purposes.get(workspace, request.GET.get("purpose", "")[:60])
            moment = request.GET.get("at", "")
            at = why.read_moment(moment, workspace) if moment else None
        except (AddressError, Purpose.DoesNotExist, ValueError) as error:
            return JsonResponse({"error": str(error)}, status=400)
    person = people.find(workspace, address.key)
    about = request.GET.get("about", "")[:200]
    offer = Offer(about, request.GET.get("seller", "")[:200]) if about else None
    channel = request.GET.get("channel", "email")
    found = why.why(workspace, person.pk if person else None, address.key, purpose, channel=channel, at=at, offer=offer)
    return JsonResponse({"contact": person.pk if person else None, **found.facts(), "channel": channel})
