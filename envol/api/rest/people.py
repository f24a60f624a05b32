"""contact, contactmetadata, contactdata: who is known, which properties there are, and their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import Exists, Max, OuterRef, Q, QuerySet

from envol.accounts.models import Scope
from envol.api import declared
from envol.api.rest import names
from envol.api.rest.ground import Answer, Call, Resource, Wrong, missing, number_of
from envol.api.rest.values import Field, Invalid, anything, boolean, folded, moment, text, told
from envol.consent import suppression
from envol.consent.models import Permission
from envol.contacts import catalogue, fields, people, sealing, subscriptions
from envol.contacts.models import Contact, Property
from envol.events.models import Event, Kind
from envol.outbound import delivered
from envol.wire.address import AddressError, normalise

EXCLUDED = "excluded"
"""Reason of a refusal that a program set, and may take back; what the person decided it may not."""


_LIKE = (
    ("emaillike", "contains"),
    ("emaillikeci", "contains"),
    ("emailllike", "endswith"),
    ("emailllikeci", "endswith"),
    ("emailrlike", "startswith"),
    ("emailrlikeci", "startswith"),
)


# ---- contact


def address(raw: str) -> str:
    """An address as it is written; Invalid in the words that programs look for."""
    try:
        return normalise(raw).written
    except AddressError as error:
        why = str(error) if "@" in raw else "No @ character in mail"
        raise Invalid(f'Invalid email address "{raw[:254]}", reason: "{why}"') from None


def find(call: Call, key: str) -> Contact:
    """By number, or by address."""
    number = number_of(key)
    mine = Contact.objects.filter(workspace_id=call.workspace.pk)
    found = mine.filter(pk=number) if number is not None else mine.filter(email_key=normalise(address(key)).key)
    one = found.first()
    if one is None:
        raise missing()
    return one


def _rows(call: Call) -> QuerySet[Contact]:
    found = Contact.objects.filter(workspace_id=call.workspace.pk)
    query = call.query
    if (wanted := query.get("email") or query.get("emailci")) is not None:
        found = found.filter(email_key=normalise(address(wanted)).key)
    for name, how in _LIKE:
        if name in query:
            found = found.filter(**{f"email_key__{how}": query[name].strip("%").lower()})
    if (excluded := call.switch("isexcludedfromcampaigns")) is not None:
        out = Q(objected=True) | Q(suppressed=True)
        found = found.filter(out) if excluded else found.exclude(out)
    on = subscriptions.listed(call.workspace.pk).filter(contact_id=OuterRef("pk"))
    if (list_id := call.number("contactslist")) is not None:
        on = on.filter(list_id=list_id)
        found = found.filter(Exists(on))
    if (gone := call.switch("isunsubscribed")) is not None:
        left = on.filter(until__isnull=False)
        found = found.filter(Exists(left)) if gone else found.exclude(Exists(left))
    if (acted := active_since(call, "pk")) is not None:
        found = found.filter(acted)
    return found


def active_since(call: Call, contact: str) -> Exists | None:
    """The filter LastActivityAt: who opened or clicked from this moment on. ``contact``: the column with her number."""
    if "lastactivityat" not in call.query:
        return None
    try:
        since = moment(call.query["lastactivityat"])
    except Invalid as wrong:
        raise Wrong(400, f"Filter lastactivityat is invalid: {wrong}") from None
    return Exists(_acts(call.workspace.pk).filter(contact_id=OuterRef(contact), at__gte=since))


def _acts(workspace_id: int) -> QuerySet[Event]:
    """What people did with their mail, and no machine for them."""
    return Event.objects.filter(workspace_id=workspace_id, kind__in=(Kind.OPENED, Kind.CLICKED), machine=None)


def _show(call: Call, found: Sequence[Contact]) -> list[dict[str, Any]]:
    workspace, ids = call.workspace.pk, [one.pk for one in found]
    flagged = [one.email_key for one in found if one.suppressed or one.objected]
    refused = suppression.lookup(workspace, flagged)
    since = {key: suppression.entries(workspace, key) for key in refused} if len(refused) <= 100 else {}
    asked = set(
        Permission.objects.filter(contact_id__in=ids, until=None, state="requested").values_list(
            "contact_id", flat=True
        )
    )
    last = dict(_acts(workspace).filter(contact_id__in=ids).values_list("contact_id").annotate(Max("at")))
    sent = delivered.counts(workspace, ids)
    rows = []
    for one in found:
        out = one.objected or one.suppressed
        why = refused.get(one.email_key)
        entries = since.get(one.email_key, [])
        hers = [entry for entry in entries if entry.reason in suppression.HERS]
        rows.append(
            {
                "CreatedAt": told(one.created_at),
                "DeliveredCount": sent.get(one.pk, 0),
                "Email": one.email,
                "ExclusionFromCampaignsUpdatedAt": told(entries[0].at) if entries else "",
                "ID": one.pk,
                "IsExcludedFromCampaigns": out,
                "IsOptInPending": one.pk in asked,
                "IsSpamComplaining": bool(why and why.reason == "complaint"),
                "LastActivityAt": told(last.get(one.pk)),
                "LastUpdateAt": told(one.updated_at) if one.updated_at != one.created_at else "",
                "Name": names.told_name(one.props),
                "UnsubscribedAt": told(hers[0].at) if hers else "",
                "UnsubscribedBy": "",
            }
        )
    return rows


def _create(call: Call, given: dict[str, Any]) -> Contact:
    email = address(given["Email"])
    if people.find(call.workspace, email) is not None:
        raise Invalid(f'MJ18 A Contact resource with value "{given["Email"]}" for Email already exists.')
    made, _ = take_in(call, email, given.get("Name"))
    if given.get("IsExcludedFromCampaigns"):
        exclude(call, made, True)
    made.refresh_from_db()
    return made


def take_in(
    call: Call, email: str, name: str | None = None, values: Mapping[str, Any] | None = None
) -> tuple[Contact, declared.Declaration | None]:
    """A person whom a program names, with what it says of her; and what is declared for its key."""
    declaration = declared.of(call.key)
    props = dict(values or {})
    if name:
        names.full_name(call.key)
        props[names.FULL_NAME] = name
    try:
        made = people.upsert(call.workspace, email, props, source=declared.source_of(call.key, declaration))
    except people.Refused as refusal:
        raise Wrong(400, str(refusal)) from None
    except ValueError as error:
        raise Invalid(f"MJ08 Property Name is invalid: {error}") from None
    return made, declaration


def exclude(call: Call, one: Contact, out: bool) -> bool:
    """No campaigns, or campaigns again: unless she decided so herself, which no program takes back."""
    entries = suppression.entries(call.workspace.pk, one.email_key)
    ours = any(entry.scope == "marketing" and entry.reason == EXCLUDED for entry in entries)
    if out and not entries:
        return suppression.add(call.workspace.pk, one.email_key, "marketing", EXCLUDED, f"API key {call.key.pk}")
    if not out and ours:
        why = f"API key {call.key.pk}"
        return suppression.lift(call.workspace.pk, one.email_key, "marketing", why, actor="key", actor_id=call.key.pk)
    return False


def _change(call: Call, one: Contact, given: dict[str, Any]) -> bool:
    changed = False
    if "Name" in given and given["Name"] != names.told_name(one.props):
        if given["Name"]:
            names.full_name(call.key)
        source = declared.source_of(call.key, declared.of(call.key))
        try:
            values = catalogue.clean(catalogue.of(call.workspace), {names.FULL_NAME: given["Name"]})
        except ValueError:
            raise Invalid("MJ08 Property Name is invalid: it cannot be kept as it is") from None
        changed = bool(people.set_values(Contact.objects.select_for_update().get(pk=one.pk), values, source))
    if "IsExcludedFromCampaigns" in given:
        changed = exclude(call, one, given["IsExcludedFromCampaigns"]) or changed
    one.refresh_from_db()
    return changed


def _lists(call: Call, one: Contact, behind: str) -> list[Any]:
    rows = subscriptions.listed(call.workspace.pk).filter(contact_id=one.pk).order_by("id")
    return [
        {"IsActive": True, "IsUnsub": row.until is not None, "ListID": row.list_id, "SubscribedAt": told(row.since)}
        for row in rows
    ]


CONTACT_FIELDS = {
    "Email": Field(text, required=True),
    "Name": Field(text),
    "IsExcludedFromCampaigns": Field(boolean),
}


# ---- contactmetadata


def _property(call: Call, key: str) -> Property:
    number = number_of(key)
    mine = names.known(call.workspace)
    if number is not None:
        found = next((one for one in mine.values() if one.pk == number), None)
    else:
        found = mine.get(names.key_of(key.rpartition("|")[2]))
    if found is None:
        raise missing()
    return found


def _properties(call: Call) -> QuerySet[Property]:
    found = Property.objects.filter(
        workspace=call.workspace, pk__in=[p.pk for p in names.known(call.workspace).values()]
    )
    if kind := call.query.get("datatype"):
        same = [one.pk for one in names.known(call.workspace).values() if names.type_of(one) == kind.lower()]
        found = found.filter(pk__in=same)
    if call.query.get("namespace", "static").lower() != "static":
        found = found.none()
    return found


def _told_property(call: Call, found: Iterable[Property]) -> list[dict[str, Any]]:
    return [
        {"Datatype": names.type_of(one), "ID": one.pk, "Name": names.name_of(one), "NameSpace": "static"}
        for one in found
    ]


def _declare(call: Call, given: dict[str, Any]) -> Property:
    if given.get("NameSpace", "static").lower() != "static":
        raise Invalid("MJ08 Property NameSpace is invalid: only static properties are kept here")
    return names.declare(call.key, given["Name"], given.get("Datatype") or "str")


def _respell(call: Call, one: Property, given: dict[str, Any]) -> bool:
    name, kind = given.get("Name", names.name_of(one)), given.get("Datatype", names.type_of(one))
    if names.key_of(name) != one.key or names.TYPES.get(kind.lower()) != one.type:
        raise Invalid("MJ08 Property Name is invalid: values are kept under their name and type; make another property")
    if name == names.name_of(one):
        return False
    Property.objects.filter(pk=one.pk).update(label_fr=name, label_en=name)
    one.label_fr = one.label_en = name
    return True


def _forget(call: Call, one: Property) -> None:
    try:
        fields.delete(one)
    except fields.FieldProblem as problem:
        raise Wrong(400, str(problem)) from None


# ---- contactdata


def _told_data(call: Call, found: Iterable[Contact]) -> list[dict[str, Any]]:
    there = names.known(call.workspace)
    wanted = {names.key_of(name) for name in call.query.get("fields", "").split(",") if name.strip()}
    return [
        {
            "ContactID": one.pk,
            "Data": [
                {"Name": names.name_of(there[key]), "Value": names.written(there[key], value)}
                for key, value in sorted(sealing.all_opened(one.workspace_id, one.props).items())
                if value is not None and key in there and (not wanted or key in wanted)
            ],
            "ID": one.pk,
            "MethodCollection": "",
        }
        for one in found
    ]


def _data_rows(call: Call) -> QuerySet[Contact]:
    if "contactemail" in call.query:
        call.query = {**call.query, "email": call.query["contactemail"]}
    return _rows(call)


def pairs(raw: Any) -> list[tuple[str, Any]]:
    """``[{"Name": …, "Value": …}]`` in any case, or an object of names and values."""
    if isinstance(raw, dict):
        return [(str(name), value) for name, value in raw.items()]
    if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
        raise Invalid("MJ08 Property Data is invalid: a list of Name and Value is expected")
    found = []
    for one in map(folded, raw):
        if not isinstance(one.get("name"), str):
            raise Invalid("MJ08 Property Data is invalid: each entry has a Name and a Value")
        found.append((one["name"], one.get("value")))
    return found


def values_of(call: Call, given: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    values, wrong = names.read(call.workspace, given)
    if wrong:
        raise Wrong(400, "Object properties invalid", {"Properties": wrong})
    return values


def _fill(call: Call, one: Contact, given: dict[str, Any]) -> bool:
    values = values_of(call, pairs(given.get("Data", [])))
    held = Contact.objects.select_for_update().get(pk=one.pk)
    changed = people.set_values(held, values, declared.source_of(call.key, declared.of(call.key)))
    one.props = held.props
    return bool(changed)


def _empty(call: Call, one: Contact) -> None:
    held = Contact.objects.select_for_update().get(pk=one.pk)
    nothing = dict.fromkeys(key for key in held.props if key in names.known(call.workspace))
    people.set_values(held, nothing, declared.source_of(call.key, declared.of(call.key)))


def erase(call: Call, one: Contact) -> Answer:
    """``DELETE /v4/contacts/{id}``: GDPR art. 17, in every room at once."""
    people.erase(one, cause=f"API key {call.key.pk}", actor="key", actor_id=call.key.pk)
    return Answer(200)


_ABSENT = frozenset({"campaign", "status"})
CONTACT = Resource(
    "contact", _rows, find, _show, Scope.CONTACTS, CONTACT_FIELDS, absent=_ABSENT,
    sorts={"id": ("pk", True), "email": ("email_key", True), "createdat": ("created_at", True)},
    create=_create, change=_change, acts={"getcontactslists": {"GET": _lists}},
)  # fmt: skip
METADATA = Resource(
    "contactmetadata", _properties, _property, _told_property, Scope.CONTACTS,
    {"Name": Field(text, required=True), "Datatype": Field(text), "NameSpace": Field(text)},
    sorts={"id": ("pk", True), "name": ("label_en", True)},
    create=_declare, change=_respell, remove=_forget,
)  # fmt: skip
DATA = Resource(
    "contactdata", _data_rows, find, _told_data, Scope.CONTACTS, {"Data": Field(anything)}, absent=_ABSENT,
    change=_fill, remove=_empty,
)  # fmt: skip
