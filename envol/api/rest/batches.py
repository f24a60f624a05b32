"""The people of one call, taken in one after the other; each who cannot be is named with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.db import transaction

from envol.api.models import Batch
from envol.api.rest import lists, people
from envol.api.rest.ground import Call, Wrong
from envol.api.rest.values import Invalid, boolean, folded, text
from envol.contacts import forgotten_words
from envol.contacts.models import List


def forget_person(workspace_id: int, contact_id: int) -> int:
    """Take her out of calls that wait to be taken in (GDPR art. 17), each place staying its own; out of how many."""
    found = 0
    _words, named = forgotten_words.of_records(workspace_id, contact_id)
    for batch in Batch.objects.filter(workspace_id=workspace_id):
        given = batch.body["contacts"]
        left = [{} if named(json.dumps(one, ensure_ascii=False).lower()) else one for one in given]
        if left != given:
            Batch.objects.filter(pk=batch.pk).update(body=batch.body | {"contacts": left})
            found += 1
    return found


def work(batch: Batch, at: Callable[..., None]) -> dict[str, Any]:
    """How it went: ``refused`` (place, why), without anybody's data. The batch is gone afterwards."""
    call = Call("POST", batch.key)
    given = batch.body["contacts"]
    known = {one.pk: one for one in List.objects.filter(workspace=batch.workspace)}
    wanted = [(known[pk], action) for pk, action in batch.body["lists"] if pk in known]
    refused: list[dict[str, Any]] = []
    for place, raw in enumerate(given):
        at(place, len(given))  # before: what was stopped while it waited takes in nobody
        try:
            with transaction.atomic():
                _one(call, folded(raw), wanted)
        except (Wrong, Invalid) as wrong:
            refused.append({"place": place, "why": str(wrong)})
    at(len(given), len(given), force=True)
    batch.delete()
    told = [{"ListID": one.pk, "Action": action} for one, action in wanted]
    return {"taken": len(given) - len(refused), "refused": refused[:1000], "lists": told}


def _one(call: Call, given: dict[str, Any], wanted: list[tuple[List, str]]) -> None:
    email = given.get("email")
    if not isinstance(email, str) or not email.strip():
        raise Invalid("MJ08 Property email is invalid: MJ03 A non-empty value is required")
    values = people.values_of(call, people.pairs(given.get("properties") or {}))
    name = text(given["name"]) if given.get("name") not in (None, "") else None
    contact, _ = people.take_in(call, people.address(email), name, values)
    if given.get("isexcludedfromcampaigns") is not None:
        people.exclude(call, contact, boolean(given["isexcludedfromcampaigns"]))
    for one, action in wanted:
        lists.put(call, contact, one, action)
