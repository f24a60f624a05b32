"""Everything that Mailjet's own API tells of an account: lists, properties, people, who left which list, templates."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

from envol.api.moving.found import Found, Letter
from envol.net import Fetcher, NotFetched

Ask = Callable[[str], Any]
"""A path behind the address of the service, with its query → the JSON of its answer. Raises NotFetched."""
PAGE = 1000
_TYPES = {"int": "number", "float": "number", "bool": "boolean", "datetime": "date"}


def asking(address: str, key: str, secret: str) -> Ask:
    """By HTTPS, with the key pair of the account."""
    authorization = "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()
    fetcher = Fetcher(seconds=60.0, most_bytes=64 * 2**20, headers={"Authorization": authorization})

    def ask(path: str) -> Any:
        return json.loads(fetcher.get(address.rstrip("/") + path))

    return ask


def _rows(ask: Ask, resource: str, **filters: Any) -> Iterator[dict[str, Any]]:
    """All objects of a resource, a page at a time, in order of their number."""
    offset = 0
    while True:
        query = urlencode({**filters, "Limit": PAGE, "Offset": offset, "Sort": "ID"})
        found = ask(f"/v3/REST/{resource}?{query}").get("Data") or []
        yield from found
        if len(found) < PAGE:
            return
        offset += PAGE


def read(ask: Ask, tell: Callable[[int], None] = lambda done: None) -> Found:
    """Raises NotFetched with a sentence. ``tell``: people read so far."""
    found = Found("Mailjet")
    lists = {one["ID"]: one["Name"] for one in _rows(ask, "contactslist") if not one.get("IsDeleted")}
    for name in lists.values():
        found.list_named(name)
    for one in _rows(ask, "contactmetadata"):
        found.types[one["Name"]] = _TYPES.get(one["Datatype"], "text")
    by_number = {}
    for one in _rows(ask, "contact"):
        person = found.person(one["Email"])
        if person is None:
            continue
        by_number[one["ID"]] = person
        if one.get("Name"):
            person.values["full_name"] = one["Name"]
        if one.get("IsExcludedFromCampaigns"):
            person.refuse("excluded")
        if one.get("UnsubscribedAt"):
            person.refuse("unsubscribed")
        if one.get("IsSpamComplaining"):
            person.refuse("complaint")
        if len(by_number) % PAGE == 0:
            tell(len(by_number))
    for one in _rows(ask, "contactdata"):
        if person := by_number.get(one["ContactID"]):
            for value in one.get("Data") or []:
                if value["Value"] not in ("", None):
                    person.values[value["Name"]] = _written(found.types.get(value["Name"], "text"), value["Value"])
    for one in _rows(ask, "listrecipient"):
        if (person := by_number.get(one["ContactID"])) and one["ListID"] in lists:
            name = found.list_named(lists[one["ListID"]])
            (person.left if one.get("IsUnsubscribed") else person.on).add(name)
    try:
        for one in _rows(ask, "template", OwnerType="apikey"):
            parts = (ask(f"/v3/REST/template/{one['ID']}/detailcontent").get("Data") or [{}])[0]
            if html := parts.get("Html-part"):
                found.letters.append(Letter(one["Name"], html, parts.get("Text-part") or "", str(one["ID"])))
    except NotFetched as error:
        found.notes.append(f"Templates were not read: {error}")
    found.notes.append("Mailjet’s API tells no date and no proof of consent, and not which mailboxes are gone.")
    return found


def _written(kind: str, value: Any) -> str:
    text = str(value)
    return text[:10] if kind == "date" else text
