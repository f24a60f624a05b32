"""What people said to the organisation's own programs: a withdrawal, or a request about data, passed on by API key."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.utils.translation import override
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from envol.accounts.journal import note
from envol.accounts.models import Scope, Workspace
from envol.consent import purposes, requests
from envol.consent.models import Purpose, RightsRequest
from envol.contacts import people
from envol.outbound import leaving
from envol.web.doors import api_key
from envol.wire.address import AddressError, normalise


def _sent(request: HttpRequest) -> dict[str, Any]:
    """The JSON object that came; ValueError says what to send."""
    try:
        sent = json.loads(request.body)
    except (ValueError, RecursionError, RequestDataTooBig):
        sent = None
    if not isinstance(sent, dict) or not all(isinstance(value, str) and "\0" not in value for value in sent.values()):
        raise ValueError("Send one JSON object whose values are texts.")
    return sent


@csrf_exempt  # an API key is asked for, and no cookie counts
@require_POST
@api_key(Scope.CONSENT)
def withdraw_json(request: HttpRequest) -> JsonResponse:
    """``{"email": …, "purpose": KEY}``; without a purpose, all marketing. It counts at once, as by her own click."""
    workspace: Workspace = request.workspace  # type: ignore[attr-defined]
    with override("en"):
        try:
            sent = _sent(request)
            address = normalise(sent.get("email", ""))
            key = sent.get("purpose", "")
            purpose = purposes.get(workspace, key[:60]) if key else None
        except (AddressError, Purpose.DoesNotExist, ValueError) as error:
            return JsonResponse({"error": str(error)}, status=400)
        with transaction.atomic():
            person = people.find(workspace, address.key)
            number = person.pk if person else None
            # Of somebody we do not know only the address can be kept silent.
            changed = leaving.unsubscribe(
                workspace.pk, number, address.key, purpose if person else None,
                sending_id=None, cause="told by a program", via="program",
            )  # fmt: skip
            if changed:
                note(workspace, "key", "contact.withdrawn", contact=number, purpose=key or "marketing")
    return JsonResponse({"contact": number, "changed": changed})


@csrf_exempt  # an API key is asked for, and no cookie counts
@require_http_methods(["GET", "HEAD", "POST"])
@api_key(Scope.CONSENT)
def requests_json(request: HttpRequest) -> JsonResponse:
    """POST ``{"email", "kind", "words", "language"}`` takes a request and mails the link that proves the mailbox; GET
    ``?id=`` says how it stands. A program never proves who asks, and gets nobody's data here."""
    workspace: Workspace = request.workspace  # type: ignore[attr-defined]
    if request.method != "POST":
        number = request.GET.get("id", "")
        known = int(number) if number.isascii() and number.isdigit() and len(number) < 18 else 0
        found = RightsRequest.objects.filter(workspace_id=workspace.pk, pk=known).first()
        if found is None:
            return JsonResponse({"error": "There is no such request here."}, status=404)
        return JsonResponse(_told(found))
    with override("en"):
        try:
            sent = _sent(request)
            made = requests.receive(
                workspace, sent.get("kind", ""), sent.get("email", ""), channel="api",
                language=sent.get("language", workspace.language), words=sent.get("words", ""),
            )  # fmt: skip
        except (AddressError, ValueError) as error:
            return JsonResponse({"error": str(error)}, status=400)
    return JsonResponse(_told(made), status=202)


def _told(one: RightsRequest) -> dict[str, Any]:
    return {
        "id": one.pk,
        "kind": one.kind,
        "state": one.state,
        "received_at": one.received_at.isoformat(),
        "answer_before": one.due_at.isoformat(),
        "ended_at": one.ended_at.isoformat() if one.ended_at else None,
    }
