"""The catalogue of properties: nothing is stored on a person that is not declared here, in one form per value.

Canonical forms: text (NFC, no control characters) · number (int or float) · boolean · date
"YYYY-MM-DD" · choice (its value) · list (sorted, each once) · place {label, country, postcode, lat, lon} ·
money (integer cents).
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import get_language, gettext

from envol.accounts.models import Workspace
from envol.accounts.workspaces import on_workspace_created
from envol.consent import purposes as consent_purposes
from envol.contacts import places, sealing
from envol.contacts.models import Property, PropertyType

MAX_TEXT, MAX_ITEMS = 1000, 200
_KEY = re.compile(r"[a-z][a-z0-9_]{0,59}")
# Columns of the contact itself, or words that imports and segments use for something else.
RESERVED = frozenset({"email", "language", "time_zone", "tag", "tags", "list", "lists", "id", "order", "orders"})

# Said freely or not at all: nothing may demand it, nothing may guess it (CJEU C-394/23).
FREE = frozenset({"gender", "family_situation"})

Choice = str | Mapping[str, str]


def declare(
    workspace: Workspace,
    key: str,
    type: str,
    label_fr: str,
    label_en: str,
    choices: Sequence[Choice] = (),
    purposes: int = 0,
    personal: bool = True,
    sensitive: bool = False,
    inferred: bool = False,
) -> Property:
    """Put a property into the catalogue, or change its labels, choices and purposes.

    ``choices``: values, or {"value", "label_fr", "label_en"}. ``purposes``: mask of purpose bits it
    may serve; 0 is never shown in a message. The type is for ever, since values are kept in its form. Sensitive
    and inferred at once is refused: GDPR art. 9 bars guessing such things.
    """
    if not _KEY.fullmatch(key) or key in RESERVED:
        raise ValueError(
            gettext(
                "“%(key)s” cannot name a property: use small letters, digits and _, begin with a letter, and none of"
                " %(names)s."
            )
            % {"key": key[:60], "names": ", ".join(sorted(RESERVED))}
        )
    if type not in PropertyType.values:
        raise ValueError(gettext("Choose a type for the property."))
    if not label_fr.strip() or not label_en.strip():
        raise ValueError(gettext("Give the property a label in French and in English."))
    if max(len(label_fr.strip()), len(label_en.strip())) > 200:
        raise ValueError(gettext("A label has 200 characters at most: shorten it."))
    if type == PropertyType.CHOICE and not choices:
        raise ValueError(gettext("A choice needs the values to choose from."))
    if choices and type not in (PropertyType.CHOICE, PropertyType.LIST):
        raise ValueError(gettext("Only a choice or a list has values to choose from."))
    if sensitive and inferred:
        raise ValueError(gettext("What is sensitive must come from the person; it cannot be inferred."))
    if inferred and key in FREE:
        raise ValueError(gettext("Only the person can say this; it cannot be inferred."))
    if not 0 <= purposes < 1 << 62:
        raise ValueError(gettext("The purposes are a mask of purpose bits."))
    found = Property.objects.filter(workspace=workspace, key=key).first()
    if found is not None and found.type != type:
        raise ValueError(
            gettext("%(key)s is a %(type)s and has values of that form: declare another property.")
            % {"key": key, "type": found.type}
        )
    values = {
        "type": type,
        "label_fr": label_fr.strip(),
        "label_en": label_en.strip(),
        "choices": [_choice(choice) for choice in choices],
        "purposes": purposes,
        "personal": personal,
        "sensitive": sensitive,
        "inferred": inferred,
    }
    return Property.objects.update_or_create(workspace=workspace, key=key, defaults=values)[0]


def _choice(choice: Choice) -> dict[str, str]:
    if isinstance(choice, str):
        choice = {"value": choice}
    value = _text(choice.get("value") or "")
    return {"value": value, "label_fr": choice.get("label_fr") or value, "label_en": choice.get("label_en") or value}


@on_workspace_created
def create_defaults(workspace: Workspace) -> None:
    """What most organisations know: name, place, birthday. No gender: nothing here needs it (CJEU C-394/23)."""
    mask = consent_purposes.mask
    talk = mask(workspace, "newsletter", "offers", "personalisation")
    name = talk | mask(workspace, "transactional")
    declare(workspace, "first_name", "text", "Prénom", "First name", purposes=name)
    declare(workspace, "last_name", "text", "Nom", "Last name", purposes=name)
    declare(workspace, "city", "place", "Ville", "City", purposes=talk)
    declare(
        workspace,
        "birth_date",
        "date",
        "Date de naissance",
        "Birth date",
        purposes=mask(workspace, "personalisation"),
    )


def declaration(property: Property) -> dict[str, Any]:
    """What `declare` takes to declare this property again, as JSON values."""
    return {
        "key": property.key,
        "type": property.type,
        "label_fr": property.label_fr,
        "label_en": property.label_en,
        "choices": property.choices,
        "purposes": property.purposes,
        "personal": property.personal,
        "sensitive": property.sensitive,
        "inferred": property.inferred,
    }


def of(workspace: Workspace | int) -> dict[str, Property]:
    """The catalogue of a workspace by key; read it once for one act."""
    workspace_id = workspace if isinstance(workspace, int) else workspace.id
    return {p.key: p for p in Property.objects.filter(workspace_id=workspace_id).order_by("key")}


# -- values ------------------------------------------------------------------------------------


def canonical(property: Property, raw: Any) -> Any:
    """``raw`` in the form values of this property are kept in; ValueError says what to correct.

    Takes what files and forms bring ("1 234,5", "oui", "31/12/1999") and what programs bring; the
    canonical form of a canonical form is itself. That of a sensitive property is sealed.
    """
    if sealing.is_sealed(raw):
        if sealing.seals(property):
            return raw
        raw = sealing.opened(property.workspace_id, raw)
    try:
        made = _FORMS[property.type](property, raw)
    except ValueError as wrong:
        french = (get_language() or "en").startswith("fr")
        facts = {"name": property.label_fr if french else property.label_en, "key": property.key, "why": wrong}
        raise ValueError(gettext("%(name)s (%(key)s): %(why)s") % facts) from None
    return sealing.sealed(property.workspace_id, made) if sealing.seals(property) else made


def clean(catalogue: Mapping[str, Property], props: Mapping[str, Any]) -> dict[str, Any]:
    """All values canonical; None or empty text means "no value". Undeclared keys are refused."""
    unknown = [key for key in props if key not in catalogue]
    if unknown:
        raise ValueError(
            gettext("Nothing called %(names)s is declared: add it to the catalogue first.")
            % {"names": ", ".join(sorted(unknown))}
        )
    return {
        key: None if raw is None or (isinstance(raw, str) and not raw.strip()) else canonical(catalogue[key], raw)
        for key, raw in props.items()
    }


def _text(raw: Any) -> str:
    if not isinstance(raw, str):
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            raise ValueError(gettext("write it as text."))
        raw = str(raw)
    text = unicodedata.normalize("NFC", raw).strip()
    if not text:
        raise ValueError(gettext("it is empty."))
    if len(text) > MAX_TEXT:
        raise ValueError(gettext("it is longer than %(n)s characters.") % {"n": MAX_TEXT})
    for character in text:
        if character not in "\n\t" and unicodedata.category(character) in ("Cc", "Cs", "Co", "Cn"):
            raise ValueError(
                gettext("it contains an invisible character (U+%(code)s): type it again.")
                % {"code": f"{ord(character):04X}"}
            )
    return text


_SPACES = str.maketrans("", "", " \u00a0\u202f'’")


def _decimal(raw: Any) -> Decimal:
    if isinstance(raw, bool):
        raise ValueError(gettext("a number is needed, not yes or no."))
    if isinstance(raw, str):
        text = raw.strip().translate(_SPACES)
        comma, dot = text.rfind(","), text.rfind(".")
        if comma > dot:  # 1.234,5 and 1234,5
            text = text.replace(".", "").replace(",", ".") if text.count(",") == 1 else text.replace(",", "")
        elif comma >= 0:  # 1,234.5
            text = text.replace(",", "")
        raw = text
    elif not isinstance(raw, int | float | Decimal):
        raise ValueError(gettext("a number is needed."))
    try:
        number = Decimal(str(raw))
    except InvalidOperation:
        raise ValueError(gettext("this is no number: write it like 1234.5 or 1234,5.")) from None
    if not number.is_finite() or abs(number) >= 10**15:
        raise ValueError(gettext("this number is too large."))
    return number


def _number(_: Property, raw: Any) -> int | float:
    number = _decimal(raw)
    return int(number) if number == number.to_integral_value() else float(number)


def _money(_: Property | None, raw: Any) -> int:
    """An int is cents; text and Decimal are the amount as people write it."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        cents = Decimal(raw)
    elif isinstance(raw, str | Decimal):
        cents = _decimal(re.sub(r"(?i)\s*(€|eur|\$|usd|£|gbp|chf)\s*", "", raw) if isinstance(raw, str) else raw) * 100
    else:
        raise ValueError(gettext("give whole cents, or the amount as text such as 12,50."))
    if cents != cents.to_integral_value():
        raise ValueError(gettext("an amount has at most two decimals."))
    if abs(cents) >= 10**15:
        raise ValueError(gettext("this amount is too large."))
    return int(cents)


def cents(text: str) -> int:
    """An amount as people write it ("1 234,50 €"), in cents; ValueError with a sentence."""
    return _money(None, text)


def whole(text: str) -> int:
    """A whole number as people write it; ValueError with a sentence."""
    number = _decimal(text)
    if number != number.to_integral_value():
        raise ValueError(gettext("a whole number is needed."))
    return int(number)


_YES = frozenset({"true", "yes", "y", "oui", "o", "vrai", "1", "on", "x"})
_NO = frozenset({"false", "no", "n", "non", "faux", "0", "off"})


def _boolean(_: Property, raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    word = str(raw).strip().lower() if isinstance(raw, str | int) else ""
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise ValueError(gettext("write yes or no."))


_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ].*)?")
_DAY_FIRST = re.compile(r"(\d{1,2})[/. -](\d{1,2})[/. -](\d{4})")


def _date(_: Property, raw: Any) -> str:
    if isinstance(raw, datetime):
        return raw.date().isoformat()
    if isinstance(raw, date):
        return raw.isoformat()
    text = raw.strip() if isinstance(raw, str) else ""
    if match := _ISO.fullmatch(text):
        year, month, day = match.groups()
    elif match := _DAY_FIRST.fullmatch(text):
        day, month, year = match.groups()
    else:
        raise ValueError(gettext("write the date as 1999-12-31 or 31/12/1999."))
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        raise ValueError(gettext("%(text)s is no day of the calendar.") % {"text": text[:20]}) from None


# As files write it. A title (Madame, Mr) is none of these: who chose it chose a title.
_GENDERS = {
    "f": "woman",
    "female": "woman",
    "h": "man",
    "m": "man",
    "male": "man",
    "masculin": "man",
    "féminin": "woman",
}


def _pick(property: Property, raw: Any) -> str:
    text = _text(raw)
    wanted = text.casefold()
    if property.key == "gender":
        wanted = _GENDERS.get(wanted, wanted)
    for choice in property.choices:
        if wanted in (choice["value"].casefold(), choice["label_fr"].casefold(), choice["label_en"].casefold()):
            return str(choice["value"])
    names = ", ".join(choice["value"] for choice in property.choices[:20])
    raise ValueError(gettext("“%(text)s” is none of the choices: %(names)s.") % {"text": text[:60], "names": names})


def _list(property: Property, raw: Any) -> list[str]:
    if isinstance(raw, str):
        raw = re.split(r"[;|,\n]", raw)
    if not isinstance(raw, Iterable) or isinstance(raw, bytes | Mapping):
        raise ValueError(gettext("give several texts."))
    items = [item for item in raw if not (isinstance(item, str) and not item.strip())]
    values = {_pick(property, item) if property.choices else _text(item) for item in items}
    if not values:
        raise ValueError(gettext("it is empty."))
    if len(values) > MAX_ITEMS:
        raise ValueError(gettext("it has more than %(n)s items.") % {"n": MAX_ITEMS})
    return sorted(values)


def _home(property: Property) -> str:
    """The country of a place that names none, by the clocks of the workspace."""
    return "FR" if property.workspace_id and property.workspace.time_zone in places.FRENCH_ZONES else ""


def _place(property: Property, raw: Any) -> dict[str, Any]:
    home = _home(property)
    if isinstance(raw, str):
        written = _POSTCODE_FIRST.fullmatch(raw.strip()) if home else None
        if written and places.communes_of(written[1]):
            raw = {"postcode": written[1], "label": written[2]}
        else:
            raw = {"label": raw}
    if not isinstance(raw, Mapping):
        raise ValueError(gettext("give a name, or label, country, postcode, lat and lon."))
    if extra := set(raw) - {"label", "country", "postcode", "lat", "lon"}:
        raise ValueError(gettext("a place has no %(names)s.") % {"names": ", ".join(sorted(map(str, extra)))[:100]})
    place: dict[str, Any] = {
        key: _text(raw[key]) for key in ("label", "country", "postcode") if raw.get(key) not in (None, "")
    }
    if "country" in place:
        place["country"] = place["country"].upper()
        if not re.fullmatch(r"[A-Z]{2}", place["country"]):
            raise ValueError(gettext("write the country as two letters, such as FR."))
    coordinates = [raw.get(key) for key in ("lat", "lon")]
    if any(value not in (None, "") for value in coordinates):
        if any(value in (None, "") for value in coordinates):
            raise ValueError(gettext("give both latitude and longitude."))
        lat, lon = (round(float(_decimal(value)), 5) for value in coordinates)
        if not (math.fabs(lat) <= 90 and math.fabs(lon) <= 180):
            raise ValueError(gettext("latitude lies between -90 and 90, longitude between -180 and 180."))
        place |= {"lat": lat, "lon": lon}
    if not place:
        raise ValueError(gettext("it is empty."))
    if "postcode" in place and place.get("country", home) in places.FRENCH and places.communes_of(place["postcode"]):
        place["postcode"] = places.squeezed(place["postcode"])
    return places.filled(place, home if "postcode" in place else "")


_POSTCODE_FIRST = re.compile(r"(?:F-?)?(\d{5})(?:[ ,]+(\D.*))?")  # "69001 Lyon", "44000"
_FORMS: dict[str, Callable[[Property, Any], Any]] = {
    PropertyType.TEXT: lambda _, raw: _text(raw),
    PropertyType.NUMBER: _number,
    PropertyType.BOOLEAN: _boolean,
    PropertyType.DATE: _date,
    PropertyType.CHOICE: _pick,
    PropertyType.LIST: _list,
    PropertyType.PLACE: _place,
    PropertyType.MONEY: _money,
}
