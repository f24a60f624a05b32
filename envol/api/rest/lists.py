"""contactslist, listrecipient and the managing calls: who is on which list, and who unsubscribed from it."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db.models import Count, QuerySet

from envol.accounts.models import Job, Scope
from envol.api import declared
from envol.api.models import Batch
from envol.api.rest import people as persons
from envol.api.rest.ground import Call, Resource, Wrong, missing, number_of, unresolved
from envol.api.rest.values import Field, Invalid, anything, boolean, folded, integer, text, told
from envol.contacts import lists, people, subscriptions
from envol.contacts.models import Contact, List, Membership

ACTIONS = ("addforce", "addnoforce", "remove", "unsub")
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"


# ---- contactslist


def address_of(one: List) -> str:
    """Nine characters by which a list can be named; always the same, and telling nothing of its number."""
    digest = hmac.digest(settings.SECRET_KEY.encode(), f"list {one.workspace_id}/{one.pk}".encode(), sha256)
    number, found = int.from_bytes(digest[:8], "big"), ""
    for _ in range(9):
        number, place = divmod(number, 36)
        found += _BASE36[place]
    return found


def find(call: Call, key: str) -> List:
    """By number, or by address."""
    number, mine = number_of(key), List.objects.filter(workspace=call.workspace)
    found = mine.filter(pk=number).first() if number is not None else None
    if found is None:
        found = next((one for one in mine if address_of(one) == key.partition("@")[0].lower()), None)
    if found is None:
        raise missing()
    return found


def _rows(call: Call) -> QuerySet[List]:
    deleted = call.switch("isdeleted")
    found = List.every.filter(workspace=call.workspace)
    found = found.exclude(removed_at=None) if deleted else found.filter(removed_at=None)
    if "name" in call.query:
        found = found.filter(name=call.query["name"])
    if (number := call.number("id")) is not None:
        found = found.filter(pk=number)
    if (number := call.number("excludeid")) is not None:
        found = found.exclude(pk=number)
    if "address" in call.query:
        wanted = call.query["address"].partition("@")[0].lower()
        found = found.filter(pk__in=[one.pk for one in found if address_of(one) == wanted])
    return found


def _show(call: Call, found: Sequence[List]) -> list[dict[str, Any]]:
    on = Membership.objects.filter(list_id__in=[one.pk for one in found], until=None)
    counts = dict(on.values_list("list_id").annotate(Count("id")))
    return [
        {
            "Address": address_of(one),
            "CreatedAt": told(one.created_at),
            "ID": one.pk,
            "IsDeleted": one.removed_at is not None,
            "Name": one.name,
            "SubscriberCount": counts.get(one.pk, 0),
        }
        for one in found
    ]


def _create(call: Call, given: dict[str, Any]) -> List:
    name = " ".join(given["Name"].split())
    if List.objects.filter(workspace=call.workspace, name=name).exists():
        raise Invalid(f'MJ18 A ContactsList resource with value "{name}" for Name already exists.')
    try:
        made = lists.create(call.workspace, name, by="key", actor_id=call.key.pk)
    except lists.ListProblem as problem:
        raise Invalid(f"MJ08 Property Name is invalid: {problem}") from None
    made.refresh_from_db()
    return made


def _change(call: Call, one: List, given: dict[str, Any]) -> bool:
    if given.get("IsDeleted"):
        _remove(call, one)
        one.refresh_from_db()
        return True
    name = " ".join(given.get("Name", one.name).split())
    if name == one.name:
        return False
    try:
        lists.rename(one, name, by="key", actor_id=call.key.pk)
    except lists.ListProblem as problem:
        raise Invalid(f"MJ08 Property Name is invalid: {problem}") from None
    return True


def _remove(call: Call, one: List) -> None:
    try:
        lists.remove(one, by="key", actor_id=call.key.pk)
    except lists.ListProblem as problem:
        raise Wrong(400, str(problem)) from None


# ---- listrecipient


def _recipient(call: Call, key: str) -> Membership:
    found = subscriptions.listed(call.workspace.pk).filter(pk=number_of(key) or 0).first()
    if found is None:
        raise missing()
    return found


def _recipients(call: Call) -> QuerySet[Membership]:
    found = subscriptions.listed(call.workspace.pk)
    for name, column in (("contact", "contact_id"), ("contactslist", "list_id")):
        if (number := call.number(name)) is not None:
            found = found.filter(**{column: number})
    if "contactemail" in call.query:
        known = people.find(call.workspace, persons.address(call.query["contactemail"]))
        found = found.filter(contact_id=known.pk) if known else found.none()
    if "listname" in call.query:
        mine = List.objects.filter(workspace=call.workspace, name=call.query["listname"])
        found = found.filter(list_id__in=mine.values("pk"))
    for name in ("unsub", "isunsubscribed"):
        if (gone := call.switch(name)) is not None:
            found = found.filter(until__isnull=not gone)
    if (out := call.switch("isexcludedfromcampaigns")) is not None:
        people_out = Contact.objects.filter(workspace_id=call.workspace.pk).exclude(objected=False, suppressed=False)
        found = found.filter(contact_id__in=people_out.values("pk")) if out else found.exclude(
            contact_id__in=people_out.values("pk")
        )  # fmt: skip
    if (acted := persons.active_since(call, "contact_id")) is not None:
        found = found.filter(acted)
    if call.switch("active") is False:
        found = found.none()
    return found


def _told_recipients(call: Call, found: Sequence[Membership]) -> list[dict[str, Any]]:
    named = dict(List.objects.filter(pk__in={row.list_id for row in found}).values_list("pk", "name"))
    return [
        {
            "ContactID": row.contact_id,
            "ID": row.pk,
            "IsActive": True,
            "IsUnsubscribed": row.until is not None,
            "ListID": row.list_id,
            "ListName": named.get(row.list_id, ""),
            "SubscribedAt": told(row.since),
            "UnsubscribedAt": told(row.until),
        }
        for row in found
    ]


def _contact_of(call: Call, given: dict[str, Any]) -> Contact:
    wanted = given.get("ContactID") or given.get("ContactAlt")
    if wanted in (None, ""):
        raise Invalid("MJ08 Property ContactID is invalid: MJ03 A non-empty value is required")
    try:
        return persons.find(call, str(wanted))
    except Wrong:
        raise unresolved("Contact", wanted) from None


def list_of(call: Call, wanted: Any) -> List | None:
    """By number, address or name."""
    if wanted in (None, "") or isinstance(wanted, bool) or not isinstance(wanted, str | int):
        return None
    try:
        return find(call, str(wanted))
    except Wrong:
        return List.objects.filter(workspace=call.workspace, name=str(wanted)).first()


def _join(call: Call, given: dict[str, Any]) -> Membership:
    contact = _contact_of(call, given)
    wanted = given.get("ListID") or given.get("ListAlt")
    one = list_of(call, wanted)
    if one is None:
        raise unresolved("List", wanted or "")
    if subscriptions.row_of(one, contact) is not None:
        raise Wrong(400, "A duplicate ListRecipient already exists.")
    put(call, contact, one, "unsub" if given.get("IsUnsubscribed") else "addforce")
    made = subscriptions.row_of(one, contact)
    assert made is not None
    return made


def put(call: Call, contact: Contact, one: List, action: str) -> None:
    """An action on one person and one list; whoever is added is permitted what was declared for the key."""
    declaration = declared.of(call.key)
    subscriptions.act(one, contact, action, declared.source_of(call.key, declaration))
    row = subscriptions.row_of(one, contact)
    if action in ("addforce", "addnoforce") and row is not None and row.until is None:
        declared.permit(contact, declaration)


def _switch(call: Call, row: Membership, given: dict[str, Any]) -> bool:
    out = given.get("IsUnsubscribed")
    if out is None or out == (row.until is not None):
        return False
    one, contact = List.objects.get(pk=row.list_id), Contact.objects.get(pk=row.contact_id)
    put(call, contact, one, "unsub" if out else "addforce")
    now = subscriptions.row_of(one, contact)
    assert now is not None
    row.pk, row.since, row.until = now.pk, now.since, now.until
    return True


def _take_off(call: Call, row: Membership) -> None:
    subscriptions.take_off(List.objects.get(pk=row.list_id), Contact.objects.get(pk=row.contact_id))


# ---- managing


def _action(raw: Any) -> str:
    word = str(raw or "").strip().lower()
    if word not in ACTIONS:
        raise ValueError(word)
    return word


def _manage(call: Call, one: List, behind: str) -> list[Any]:
    """``managecontact``: a person, made where she is missing, and what she is to this list."""
    wrong: dict[str, Any] = {}
    email = call.body.get("email")
    if not isinstance(email, str) or not email.strip():
        wrong["Email"] = "MJ08 Property email is invalid: MJ03 A non-empty value is required"
    try:
        action = _action(call.body.get("action"))
    except ValueError as error:
        wrong["Action"] = f"Invalid action: {error}"
    if wrong:
        raise Wrong(400, "Object properties invalid", wrong)
    values = persons.values_of(call, persons.pairs(call.body.get("properties") or {}))
    contact, _ = persons.take_in(call, persons.address(str(email)), _name(call.body.get("name")), values)
    if "isexcludedfromcampaigns" in call.body:
        persons.exclude(call, contact, boolean(call.body["isexcludedfromcampaigns"]))
    put(call, contact, one, action)
    return [
        {
            "Action": call.body["action"],
            "ContactID": contact.pk,
            "Email": contact.email,
            "Name": call.body.get("name") or "",
            "Properties": call.body.get("properties") or {},
        }
    ]


def _name(raw: Any) -> str | None:
    return text(raw) if raw not in (None, "") else None


def wanted_lists(call: Call, raw: Any) -> list[tuple[List, str]]:
    """``[{"ListID": …, "Action": …}]``; each fault is told beside its entry."""
    found: list[tuple[List, str]] = []
    faults: list[dict[str, Any]] = []
    bad = False
    for one in raw if isinstance(raw, list) else []:
        given = folded(one) if isinstance(one, dict) else {}
        told_back = {"Action": given.get("action", ""), "ListID": given.get("listid", "")}
        there = list_of(call, given.get("listid"))
        try:
            action, fault = _action(given.get("action")), ""
        except ValueError:
            action, fault = "", "action missing or not valid"
        if there is None:
            fault = "listID missing or not valid"
        elif action:
            found.append((there, action))
        faults.append(told_back | ({"Error": fault} if fault else {}))
        bad = bad or bool(fault)
    if bad or not found:
        raise Wrong(400, {"ContactsLists": faults})
    return found


def _manage_lists(call: Call, contact: Contact, behind: str) -> list[Any]:
    """``managecontactslists``: several lists of one person."""
    wanted = wanted_lists(call, call.body.get("contactslists"))
    for one, action in wanted:
        put(call, contact, one, action)
    return [{"ContactsLists": [{"ListID": one.pk, "Action": action} for one, action in wanted]}]


# ---- many at once


def _many(call: Call, one: List | None, behind: str) -> list[Any]:
    """A job: its people are kept with it until they are taken in."""
    given = call.body.get("contacts")
    if not isinstance(given, list) or not given or not all(isinstance(each, dict) for each in given):
        raise Wrong(400, "Object properties invalid", {"Contacts": "MJ03 A non-empty value is required"})
    if one is not None:
        try:
            wanted = [(one, _action(call.body.get("action")))]
        except ValueError as error:
            raise Wrong(400, "Object properties invalid", {"Action": f"Invalid action: {error}"}) from None
    else:
        raw = call.body.get("contactslists")
        wanted = wanted_lists(call, raw) if raw else []
    job = Job.objects.create(
        workspace=call.workspace, kind="api.contacts", object_id=one.pk if one else None, total=len(given)
    )
    body = {"contacts": given, "lists": [[each.pk, action] for each, action in wanted]}
    batch = Batch.objects.create(workspace=call.workspace, key=call.key, job=job, body=body)
    from envol.api import tasks  # the queue: only where something is put into it

    tasks.start(batch)
    return [{"JobID": job.pk}]


STATES = {
    "waiting": "Allocated",
    "running": "Importing",
    "done": "Completed",
    "failed": "Error",
    "cancelled": "Abort",
}


def _job(call: Call, one: List | None, behind: str) -> list[Any]:
    mine = Job.objects.filter(workspace=call.workspace, kind="api.contacts", pk=number_of(behind) or 0)
    job = mine.filter(object_id=one.pk if one else None).first()
    if job is None:
        raise missing()
    refused = job.result.get("refused", [])
    row: dict[str, Any] = {
        "Count": job.done,
        "Error": job.error or (f"{len(refused)} contacts were refused" if refused else ""),
        "ErrorFile": f"{settings.ENVOL.base_url}/v3/DATA/Batchjob/{job.pk}/JSONError/application:json/LAST"
        if refused
        else "",
        "JobEnd": told(job.ended_at),
        "JobStart": told(job.started_at),
        "Status": STATES[job.state],
    }
    if one is None:
        row["ContactsLists"] = job.result.get("lists", [])
    return [row]


MANY = {"POST": _many, "GET": _job}
LIST = Resource(
    "contactslist", _rows, find, _show, Scope.CONTACTS,
    {"Name": Field(text, required=True), "IsDeleted": Field(boolean)},
    sorts={"id": ("pk", True), "name": ("name", True), "createdat": ("created_at", True),
           "isdeleted": ("removed_at", True)},
    create=_create, change=_change, remove=_remove,
    acts={"managecontact": {"POST": _manage}, "managemanycontacts": MANY},
)  # fmt: skip
RECIPIENT = Resource(
    "listrecipient", _recipients, _recipient, _told_recipients, Scope.CONTACTS,
    {"ContactID": Field(integer), "ContactAlt": Field(text), "ListID": Field(anything), "ListAlt": Field(text),
     "IsUnsubscribed": Field(boolean), "IsActive": Field(boolean)},
    absent=frozenset({"blocked", "opened", "status"}),
    create=_join, change=_switch, remove=_take_off,
)  # fmt: skip
CONTACT = replace(
    persons.CONTACT,
    acts={**persons.CONTACT.acts, "managecontactslists": {"POST": _manage_lists}},
    wide={"managemanycontacts": MANY},
)
