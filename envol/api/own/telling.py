"""What programs tell: orders and events, some thousands at once; what was kept, known, and refused and why."""

from __future__ import annotations

from typing import Annotated, Any

from django.utils.translation import gettext_lazy as _
from msgspec import Meta, Struct

from envol.accounts.models import Scope
from envol.api.own.ground import Call, Fault, Input, Route, Wrong
from envol.contacts import happenings, telling_orders

MOST = 5000  # of one call

_WHO = {
    "email": {"type": "string"},
    "contact": {"type": "integer"},
    "identifier": {"type": "string", "description": "kind:value, as customer:4711"},
    "at": {"type": "string", "format": "date-time"},
    "id": {"type": "string"},
}
# Each line is judged by itself, so that one that is wrong keeps no other out: read here, described for readers.
Order = Annotated[
    Any,
    Meta(
        extra_json_schema={
            "type": "object",
            "required": ["id", "at"],
            "properties": {
                **_WHO,
                "amount": {"type": "string", "description": "in the currency, not in cents"},
                "currency": {"type": "string"},
                "code": {"type": "string"},
                "lines": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "product": {"type": "string"},
                            "category": {"type": "string"},
                            "quantity": {"type": "integer"},
                            "amount": {"type": "string"},
                        },
                    },
                },
            },
        }
    ),
]
Event = Annotated[
    Any,
    Meta(
        extra_json_schema={
            "type": "object",
            "required": ["event"],
            "properties": {**_WHO, "event": {"type": "string"}, "properties": {"type": "object"}},
        }
    ),
]


class OrdersInput(Input):
    orders: Annotated[list[Order], Meta(min_length=1, max_length=MOST)]


class EventsInput(Input):
    events: Annotated[list[Event], Meta(min_length=1, max_length=MOST)]


class Told(Struct):
    """``known``: was told before, and changed nothing. ``refused``: by their places in the call."""

    added: int
    known: int
    refused: list[Fault]


def _told(found: Any, name: str) -> Told:
    refused = [Fault(f"$.{name}[{place}]", why) for place, why in found.refused]
    if refused and not (found.added or found.known):
        raise Wrong("invalid", f"Nothing of it was kept: {refused[0].detail}", refused)
    return Told(found.added, found.known, refused)


def tell_orders(call: Call) -> Told:
    return _told(telling_orders.tell(call.workspace, call.body.orders), "orders")


def tell_events(call: Call) -> Told:
    return _told(happenings.tell(call.workspace, call.body.events), "events")


ROUTES = (
    Route("POST", "/orders", Scope.ORDERS, tell_orders, _("Tell orders; one that is known changes nothing."), Told,
          body=OrdersInput),
    Route("POST", "/events", Scope.EVENTS, tell_events, _("Tell what people did."), Told, body=EventsInput),
)  # fmt: skip
