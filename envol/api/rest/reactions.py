"""openinformation and clickstatistics: single opens and clicks, of people who agreed to be measured one by one.

What nobody in particular did, and what machines did, is in no list. Network address and user agent are not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet

from envol.accounts.models import Scope
from envol.api.rest import campaign_filters, groupings
from envol.api.rest.ground import Call, Resource, missing, number_of
from envol.api.rest.people import address
from envol.api.rest.spans import span
from envol.api.rest.values import told
from envol.contacts.models import Contact
from envol.events.models import Event, Kind
from envol.outbound import single
from envol.outbound import told as copies_told
from envol.outbound.groupings import OF_EVENT, numbers
from envol.outbound.models import Sending

_ABSENT = frozenset({"messagestatus", "messageid"})


def _all(call: Call, kind: Kind) -> QuerySet[Event]:
    return Event.objects.filter(
        workspace_id=call.workspace.pk, kind=kind, machine=None, contact_id__isnull=False, sending_id__isnull=False
    )


def _rows(kind: Kind) -> Callable[[Call], QuerySet[Event]]:
    """Of today, where no time is given."""

    def rows(call: Call) -> QuerySet[Event]:
        query, found = call.query, _all(call, kind)
        since, until = span(call)
        if since:
            found = found.filter(at__gte=since)
        if until:
            found = found.filter(at__lt=until)
        if campaign_filters.NAMES & query.keys():
            word = groupings.named(call)
            sendings = campaign_filters.of_campaigns(call, Sending.objects.filter(workspace=call.workspace), word)
            found = found.filter(sending_id__in=list(sendings.values_list("pk", flat=True)))
            if word is not None:
                found = found.extra(where=[OF_EVENT], params=[word.name])  # noqa: S610 -- the word is a parameter
        if (contact := call.number("contactid", "contact")) is not None:
            found = found.filter(contact_id=contact)
        if "contactalt" in query:
            known = Contact.objects.filter(
                workspace_id=call.workspace.pk, email_key=address(query["contactalt"]).lower()
            )
            found = found.filter(contact_id__in=list(known.values_list("pk", flat=True)))
        return found

    return rows


def _one(kind: Kind) -> Callable[[Call, str], Event]:
    def one(call: Call, key: str) -> Event:
        number = number_of(key)
        found = _all(call, kind).filter(pk=number).first() if number is not None else None
        if found is None:
            raise missing()
        return found

    return one


class _Behind:
    """What the rows of a page need beyond themselves, asked once."""

    def __init__(self, found: Sequence[Event]) -> None:
        sendings = {one.sending_id for one in found if one.sending_id}
        self._sendings = {one.pk: one for one in Sending.objects.filter(pk__in=sendings)}
        self._copies = copies_told.copies(map(_copy, found))
        self._links = copies_told.links(sendings)
        words = [one.campaign for one in self._copies.values() if one.campaign]
        self._words = numbers(next(iter(self._sendings.values())).workspace_id, words) if words else {}
        self._places = single.places((*_copy(one), one.link) for one in found if one.link and one.facts)

    def campaign(self, one: Event) -> int:
        copy = self._copies.get(_copy(one))
        if copy and copy.campaign in self._words:
            return groupings.number(self._words[copy.campaign])
        sending = self._sendings.get(one.sending_id or 0)
        return (sending.campaign_id or 0) if sending else 0

    def began(self, one: Event) -> datetime | None:
        sending = self._sendings.get(one.sending_id or 0)
        return (sending.started_at or sending.created_at) if sending else None

    def number(self, one: Event) -> int:
        copy = self._copies.get(_copy(one))
        return copy.number if copy else 0

    def url(self, one: Event) -> str:
        link = one.link or 0
        return self._links.get((one.sending_id or 0, link)) or self._places.get((*_copy(one), link), "")


def _copy(one: Event) -> tuple[int, int]:
    """Sending and number: of a single message it stands with the event, else it is the contact's."""
    return one.sending_id or 0, int((one.facts or {}).get("no") or one.contact_id or 0)


def _opens(call: Call, found: Sequence[Event]) -> list[dict[str, Any]]:
    behind = _Behind(found)
    return [
        {
            "ArrivedAt": told(behind.began(one)),
            "CampaignID": behind.campaign(one),
            "ContactID": one.contact_id,
            "ID": one.pk,
            "MessageID": behind.number(one),
            "OpenedAt": told(one.at),
            "UserAgentFull": "",
            "UserAgentID": 0,
        }
        for one in found
    ]


def _clicks(call: Call, found: Sequence[Event]) -> list[dict[str, Any]]:
    behind = _Behind(found)
    rows = []
    for one in found:
        began = behind.began(one)
        rows.append(
            {
                "ClickedAt": told(one.at),
                "ClickedDelay": max(0, int((one.at.astimezone(UTC) - began).total_seconds())) if began else 0,
                "ContactID": one.contact_id,
                "ID": one.pk,
                "MessageID": behind.number(one),
                "Url": behind.url(one),
                "UserAgentID": 0,
            }
        )
    return rows


OPENS = Resource(
    "openinformation", _rows(Kind.OPENED), _one(Kind.OPENED), _opens, Scope.RESULTS, absent=_ABSENT,
    sorts={"id": ("pk", True)},
)  # fmt: skip
CLICKS = Resource(
    "clickstatistics", _rows(Kind.CLICKED), _one(Kind.CLICKED), _clicks, Scope.RESULTS, absent=_ABSENT,
    sorts={"id": ("pk", True)},
)  # fmt: skip
