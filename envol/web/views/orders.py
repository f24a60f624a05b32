"""Orders that the organisation's own programs tell of, by API key."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from envol.accounts.models import Scope
from envol.contacts import telling_orders as service
from envol.web import telling
from envol.web.doors import api_key


@csrf_exempt  # an API key is asked for, and no cookie counts
@require_POST
@api_key(Scope.ORDERS)
def tell_orders(request: HttpRequest) -> JsonResponse:
    """``{"orders": [ … ]}`` or one order; 200 with what was kept, what was known and what was refused and why."""
    return telling.tell(request, "order", service.tell)
