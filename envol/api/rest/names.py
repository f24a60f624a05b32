"""Properties under the names that programs give them.

There a name is letters, digits, ``_`` and ``-`` in any case; in our catalogue it is a key of small letters. A property
that a program made bears the program's spelling as its label in both languages, and is told by it; any other is told by
its key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from envol.accounts.journal import note
from envol.accounts.models import ApiKey, Workspace
from envol.api import declared
from envol.api.rest.values import Invalid
from envol.consent import purposes
from envol.contacts import catalogue
from envol.contacts.models import Property, PropertyType

FULL_NAME = "full_name"
"""Where the name of a contact stands, which for programs is one text."""

TYPES = {
    "str": PropertyType.TEXT,
    "int": PropertyType.NUMBER,
    "float": PropertyType.NUMBER,
    "bool": PropertyType.BOOLEAN,
    "datetime": PropertyType.DATE,
}
_TOLD = {PropertyType.NUMBER: "float", PropertyType.BOOLEAN: "bool", PropertyType.DATE: "datetime"}
_NAME = re.compile(r"[A-Za-z0-9_-]{1,50}")


def key_of(name: str) -> str:
    """The key under which a property of this name is kept."""
    key = name.strip().lower().replace("-", "_")
    if not key[:1].isalpha():
        key = f"p_{key}"
    return f"{key}_" if key in catalogue.RESERVED else key


def name_of(one: Property) -> str:
    own = one.label_en if one.label_en == one.label_fr and _NAME.fullmatch(one.label_en) else ""
    return own if own and key_of(own) == one.key else one.key


def type_of(one: Property) -> str:
    return _TOLD.get(PropertyType(one.type), "str")


def known(workspace: Workspace) -> dict[str, Property]:
    """What programs see of the catalogue, by key: no inferred and no sensitive property (GDPR art. 9)."""
    found = catalogue.of(workspace)
    return {key: one for key, one in found.items() if not one.sensitive and key != FULL_NAME}


def declare(key: ApiKey, name: str, kind: str) -> Property:
    """A property that a program wants. It may be shown in mail of the purpose declared for the program's key."""
    if not _NAME.fullmatch(name):
        raise Invalid("MJ08 Property Name is invalid: letters, digits, _ and - are allowed, 50 at most")
    if kind.lower() not in TYPES:
        raise Invalid(f"MJ08 Property Datatype is invalid: it is one of {', '.join(TYPES)}")
    own = key_of(name)
    if own in catalogue.of(key.workspace):
        raise Invalid(f'MJ18 A ContactMetadata resource with value "{name}" for Name already exists.')
    declaration = declared.of(key)
    serves = [declaration.purpose.key] if declaration else []
    mask = purposes.mask(key.workspace, *serves, "transactional") if serves else 0
    try:
        made = catalogue.declare(key.workspace, own, TYPES[kind.lower()], name, name, purposes=mask)
    except ValueError as error:
        raise Invalid(f"MJ08 Property Name is invalid: {error}") from None
    note(key.workspace, "key", "property.added", made, actor_id=key.pk)
    return made


def full_name(key: ApiKey) -> None:
    """Make sure that a whole name has a place."""
    if FULL_NAME not in catalogue.of(key.workspace):
        mask = purposes.mask(key.workspace, "newsletter", "offers", "personalisation", "transactional")
        made = catalogue.declare(key.workspace, FULL_NAME, PropertyType.TEXT, "Nom complet", "Full name", purposes=mask)
        note(key.workspace, "key", "property.added", made, actor_id=key.pk)


def told_name(props: Mapping[str, Any]) -> str:
    """The name of a contact as one text."""
    own = props.get(FULL_NAME)
    return str(own) if own else " ".join(str(props[k]) for k in ("first_name", "last_name") if props.get(k))


def read(workspace: Workspace, given: Iterable[tuple[str, Any]]) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Canonical values by key, and what is wrong by the name that was given."""
    there = known(workspace)
    values: dict[str, Any] = {}
    wrong: list[dict[str, str]] = []
    for name, raw in given:
        one = there.get(key_of(name))
        if one is None:
            wrong.append({name: "Property not defined"})
            continue
        try:
            values |= catalogue.clean({one.key: one}, {one.key: _as_ours(one, raw)})
        except ValueError:
            wrong.append({name: "Property type does not match definition"})
    return values, wrong


def _as_ours(one: Property, raw: Any) -> Any:
    if one.type == PropertyType.TEXT and isinstance(raw, bool):
        return str(raw).lower()
    if one.type == PropertyType.DATE and isinstance(raw, str):
        return raw[:10] if re.match(r"\d{4}-\d{2}-\d{2}", raw) else raw
    return raw


def written(one: Property, value: Any) -> str:
    """A value as programs get it: always a text."""
    if isinstance(value, bool):
        return str(value).lower()
    if one.type == PropertyType.MONEY:
        return f"{value / 100:.2f}"
    if one.type == PropertyType.DATE:
        return f"{value}T00:00:00Z"
    if isinstance(value, dict):
        return str(value.get("label") or value.get("postcode") or "")
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
