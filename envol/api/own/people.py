"""Contacts, their properties, and the lists they are on."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import Count
from django.utils.translation import gettext_lazy as _
from msgspec import Meta, Struct

from envol.accounts.models import Scope
from envol.api import declared
from envol.api.own.ground import Call, Email, Fault, Id, Input, Made, Page, Paged, Route, Wrong, missing, page
from envol.api.rest import names
from envol.consent import purposes
from envol.contacts import catalogue, fields, lists, people, sealing, subscriptions
from envol.contacts.models import Contact as ContactRow
from envol.contacts.models import List as ListRow
from envol.contacts.models import Membership, Property
from envol.wire.address import AddressError, normalise

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Key = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,59}$")]
Values = Annotated[dict[str, Any], Meta(description="Values by the key of their property; null removes one.")]


class Contact(Struct):
    """One person at one address. ``refuses``: nothing of marketing may be sent, whatever was permitted."""

    id: int
    email: str
    language: str | None
    time_zone: str | None
    properties: dict[str, Any]
    tags: list[str]
    refuses: bool
    created_at: datetime
    updated_at: datetime


class ContactInput(Input):
    """Who is taken in, or what is added to what is known. ``lists``: numbers of lists she joins."""

    email: Email
    properties: Values = {}
    language: Annotated[str, Meta(max_length=8)] | None = None
    time_zone: Annotated[str, Meta(max_length=64)] | None = None
    tags: Annotated[list[Annotated[str, Meta(min_length=1, max_length=60)]], Meta(max_length=50)] = []
    lists: Annotated[list[Id], Meta(max_length=50)] = []


class ContactChange(Input):
    """What is to change; what is left out stays. ``email``: she has another address now."""

    email: Email | None = None
    properties: Values = {}
    language: Annotated[str, Meta(max_length=8)] | None = None
    time_zone: Annotated[str, Meta(max_length=64)] | None = None
    add_tags: Annotated[list[Annotated[str, Meta(min_length=1, max_length=60)]], Meta(max_length=50)] = []
    remove_tags: Annotated[list[str], Meta(max_length=50)] = []


class ContactQuery(Paged):
    """``email``: of this address alone. ``list``: who is on it now."""

    email: Annotated[str, Meta(max_length=254)] | None = None
    list: Id | None = None


def contact_row(call: Call, number: int) -> ContactRow:
    found = ContactRow.objects.filter(workspace_id=call.workspace.pk, pk=number).first()
    if found is None:
        raise missing("contact")
    return found


def key_of(address: str) -> str:
    try:
        return normalise(address).key
    except AddressError as error:
        raise Wrong("invalid", f"The address: {error}", [Fault("$.email", str(error))]) from None


def _shown(call: Call) -> set[str]:
    """Properties that programs see: nothing sensitive, nothing guessed (GDPR art. 9, 22)."""
    return {key for key, one in catalogue.of(call.workspace).items() if not (one.sensitive or one.inferred)}


def _contact(row: ContactRow, shown: set[str]) -> Contact:
    values = sealing.all_opened(row.workspace_id, {k: v for k, v in row.props.items() if k in shown})
    out = row.suppressed or row.objected
    return Contact(
        row.pk, row.email, row.language, row.time_zone, values, row.tags, out, row.created_at, row.updated_at
    )


def list_contacts(call: Call) -> Page[Contact]:
    rows = ContactRow.objects.filter(workspace_id=call.workspace.pk)
    if call.query.email is not None:
        rows = rows.filter(email_key=key_of(call.query.email))
    if call.query.list is not None:
        on = Membership.objects.filter(list_id=list_row(call, call.query.list).pk, until=None)
        rows = rows.filter(pk__in=on.values("contact_id"))
    shown = _shown(call)
    return page(call, rows, lambda row: _contact(row, shown))


def get_contact(call: Call) -> Contact:
    return _contact(contact_row(call, call.at["contact"]), _shown(call))


def _values(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """As they are kept. A property that programs do not see they do not write either."""
    shown = _shown(call)
    faults = [
        Fault(f"$.properties.{key}", "There is no such property: declare it first, or see /properties.")
        for key in given
        if key not in shown
    ]
    cleaned: dict[str, Any] = {}
    known = catalogue.of(call.workspace)
    for key, value in given.items():
        if key in shown:
            try:
                cleaned |= catalogue.clean(known, {key: value})
            except (ValueError, OverflowError) as error:
                faults.append(Fault(f"$.properties.{key}", str(error)))
    if faults:
        raise Wrong("invalid", "In properties: " + " ".join(one.detail for one in faults[:3]), faults)
    return cleaned


def save_contact(call: Call) -> Made:
    """Permits what a member declared for the key, on lists; nothing else is permitted by being known."""
    given: ContactInput = call.body
    known = ContactRow.objects.filter(workspace_id=call.workspace.pk, email_key=key_of(given.email)).exists()
    joined = [list_row(call, number) for number in given.lists]
    declaration = declared.of(call.key)
    source = declared.source_of(call.key, declaration)
    values = _values(call, given.properties)
    try:
        made = people.upsert(
            call.workspace, given.email, values, source=source, language=given.language, time_zone=given.time_zone
        )
        if given.tags:
            people.tag(made, *given.tags)
    except people.Refused as refusal:
        raise Wrong("conflict", str(refusal)) from None
    except ValueError as error:
        raise Wrong("invalid", str(error)) from None
    for one in joined:
        _join(call, one, made)
    made.refresh_from_db()
    return Made(_contact(made, _shown(call)), 200 if known else 201)


def change_contact(call: Call) -> Contact:
    row, given = contact_row(call, call.at["contact"]), call.body
    held = ContactRow.objects.select_for_update().get(pk=row.pk)
    source = declared.source_of(call.key, declared.of(call.key))
    try:
        if given.email is not None and key_of(given.email) != held.email_key:
            people.change_address(held, given.email)
        if given.properties:
            people.set_values(held, _values(call, given.properties), source)
        if given.language or given.time_zone:
            people.upsert(call.workspace, held.email, source=source, language=given.language, time_zone=given.time_zone)
        if given.add_tags:
            people.tag(held, *given.add_tags)
        if given.remove_tags:
            people.untag(held, *given.remove_tags)
    except ValueError as error:
        raise Wrong("invalid", str(error)) from None
    held.refresh_from_db()
    return _contact(held, _shown(call))


def erase_contact(call: Call) -> None:
    row = contact_row(call, call.at["contact"])
    people.erase(row, cause=f"API key {call.key.pk}", actor="key", actor_id=call.key.pk)


# ---- properties


class PropertyTold(Struct):
    """One property of people. ``purposes``: what it may be shown or used for."""

    key: str
    type: str
    label: dict[str, str]
    choices: list[str]
    purposes: list[str]


class PropertyInput(Input):
    key: Key
    type: Literal["text", "number", "boolean", "date", "choice", "list", "place", "money"]
    label_fr: Name
    label_en: Name
    choices: Annotated[list[Name], Meta(max_length=500)] = []
    purposes: Annotated[list[Annotated[str, Meta(max_length=60)]], Meta(max_length=62)] = []


def list_properties(call: Call) -> Page[PropertyTold]:
    shown = _shown(call)
    keys = {one.bit: one.key for one in call.workspace.purposes.all()}
    rows = Property.objects.filter(workspace=call.workspace, key__in=shown)
    return page(call, rows, lambda one: _property(one, keys))


def _property(one: Property, keys: dict[int, str]) -> PropertyTold:
    serves = [key for bit, key in sorted(keys.items()) if one.purposes >> bit & 1]
    label = {"fr": one.label_fr, "en": one.label_en}
    return PropertyTold(one.key, one.type, label, [choice["value"] for choice in one.choices], serves)


def declare_property(call: Call) -> PropertyTold:
    given: PropertyInput = call.body
    if given.key in catalogue.of(call.workspace) or given.key == names.FULL_NAME:
        raise Wrong("conflict", f"There is a property {given.key} already; its type is for ever.")
    keys = {one.bit: one.key for one in call.workspace.purposes.all()}
    if unknown := [key for key in given.purposes if key not in keys.values()]:
        said = f"There is no purpose {unknown[0]!r} here: see /purposes."
        raise Wrong("invalid", said, [Fault("$.purposes", said)])
    mask = purposes.mask(call.workspace, *given.purposes) if given.purposes else 0
    try:
        made = catalogue.declare(
            call.workspace, given.key, given.type, given.label_fr, given.label_en, given.choices, mask
        )
    except ValueError as error:
        raise Wrong("invalid", str(error)) from None
    fields.note(call.workspace, "key", "property.added", made, actor_id=call.key.pk)
    return _property(made, keys)


# ---- lists


class ListTold(Struct):
    """``contacts``: who is on it now."""

    id: int
    name: str
    contacts: int
    created_at: datetime


class ListInput(Input):
    name: Name


class Member(Struct):
    contact: int
    email: str
    since: datetime


def list_row(call: Call, number: int) -> ListRow:
    found = ListRow.objects.filter(workspace=call.workspace, pk=number).first()
    if found is None:
        raise missing("list")
    return found


def _list(one: ListRow, n: int | None = None) -> ListTold:
    if n is None:
        n = Membership.objects.filter(list_id=one.pk, until=None).count()
    return ListTold(one.pk, one.name, n, one.created_at)


def list_lists(call: Call) -> Page[ListTold]:
    found = page(call, ListRow.objects.filter(workspace=call.workspace), lambda one: one)
    on = Membership.objects.filter(list_id__in=[one.pk for one in found.items], until=None)
    counts = dict(on.values_list("list_id").annotate(Count("id")))
    return Page([_list(one, counts.get(one.pk, 0)) for one in found.items], found.next)


def get_list(call: Call) -> ListTold:
    return _list(list_row(call, call.at["list"]))


def create_list(call: Call) -> ListTold:
    try:
        made = lists.create(call.workspace, call.body.name, by="key", actor_id=call.key.pk)
    except lists.ListProblem as problem:
        raise Wrong("conflict", str(problem)) from None
    made.refresh_from_db()
    return _list(made, 0)


def rename_list(call: Call) -> ListTold:
    one = list_row(call, call.at["list"])
    try:
        lists.rename(one, call.body.name, by="key", actor_id=call.key.pk)
    except lists.ListProblem as problem:
        raise Wrong("conflict", str(problem)) from None
    return _list(one)


def remove_list(call: Call) -> None:
    try:
        lists.remove(list_row(call, call.at["list"]), by="key", actor_id=call.key.pk)
    except lists.ListProblem as problem:
        raise Wrong("conflict", str(problem)) from None


def list_members(call: Call) -> Page[Member]:
    one = list_row(call, call.at["list"])
    on = Membership.objects.filter(workspace_id=call.workspace.pk, list_id=one.pk, until=None)
    found = page(call, on, lambda row: row, by="contact_id")
    ids = [row.contact_id for row in found.items]
    known = dict(ContactRow.objects.filter(workspace_id=call.workspace.pk, pk__in=ids).values_list("pk", "email"))
    members = [Member(row.contact_id, known[row.contact_id], row.since) for row in found.items]
    return Page(members, found.next)


def _join(call: Call, one: ListRow, contact: ContactRow) -> None:
    declaration = declared.of(call.key)
    subscriptions.act(one, contact, "addnoforce", declared.source_of(call.key, declaration))
    row = subscriptions.row_of(one, contact)
    if row is not None and row.until is None:
        declared.permit(contact, declaration)


def join_list(call: Call) -> None:
    """Whoever unsubscribed from the list stays so: only she comes back by herself, or a member brings her."""
    _join(call, list_row(call, call.at["list"]), contact_row(call, call.at["contact"]))


def leave_list(call: Call) -> None:
    one, contact = list_row(call, call.at["list"]), contact_row(call, call.at["contact"])
    if not people.leave(one, contact):
        raise missing("member of this list")


_C = Scope.CONTACTS
ROUTES = (
    Route("GET", "/contacts", _C, list_contacts, _("People, one page after the other."), Page[Contact], ContactQuery),
    Route("POST", "/contacts", _C, save_contact, _("Take somebody in, or add to what is known of her."), Contact,
          body=ContactInput, status=201, also=(200,)),
    Route("GET", "/contacts/{contact}", _C, get_contact, _("One person."), Contact),
    Route("PATCH", "/contacts/{contact}", _C, change_contact, _("Change what is known of her."), Contact,
          body=ContactChange),
    Route("DELETE", "/contacts/{contact}", _C, erase_contact, _("Erase her everywhere, for good (GDPR art. 17)."),
          status=204),
    Route("GET", "/properties", _C, list_properties, _("The properties that people have."), Page[PropertyTold], Paged),
    Route("POST", "/properties", _C, declare_property, _("Declare a property."), PropertyTold, body=PropertyInput,
          status=201),
    Route("GET", "/lists", _C, list_lists, _("Lists, with how many are on each."), Page[ListTold], Paged),
    Route("POST", "/lists", _C, create_list, _("Make a list."), ListTold, body=ListInput, status=201),
    Route("GET", "/lists/{list}", _C, get_list, _("One list."), ListTold),
    Route("PATCH", "/lists/{list}", _C, rename_list, _("Rename a list."), ListTold, body=ListInput),
    Route("DELETE", "/lists/{list}", _C, remove_list, _("Remove a list; its people stay."), status=204),
    Route("GET", "/lists/{list}/members", _C, list_members, _("Who is on it now."), Page[Member], Paged),
    Route("PUT", "/lists/{list}/members/{contact}", _C, join_list, _("Put somebody on it."), status=204),
    Route("DELETE", "/lists/{list}/members/{contact}", _C, leave_list, _("Take somebody off it."), status=204),
)  # fmt: skip
