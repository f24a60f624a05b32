"""Values of the dialect: read leniently, as its clients write them, and written in one form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

NON_EMPTY = "MJ03 A non-empty value is required"


class Invalid(ValueError):
    """The reason as it stands after ``MJ08 Property … is invalid:``."""


def folded(given: Mapping[str, Any]) -> dict[str, Any]:
    """Names in any case are one name; of two spellings the first counts."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        found.setdefault(str(name).lower(), value)
    return found


def text(raw: Any) -> str:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise Invalid("a text is expected")
    return str(raw).strip()


def integer(raw: Any) -> int:
    """Numbers come as numbers and as text."""
    if isinstance(raw, float) and raw.is_integer():
        raw = int(raw)
    if isinstance(raw, str) and raw.strip().removeprefix("-").isdecimal() and len(raw) < 20:
        raw = int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int) or abs(raw) >= 1 << 63:
        raise Invalid("an integer is expected")
    return raw


def boolean(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    word = str(raw).strip().lower() if isinstance(raw, str | int) else ""
    if word in ("true", "1", "yes"):
        return True
    if word in ("false", "0", "no", ""):
        return False
    raise Invalid("a boolean is expected")


def moment(raw: Any) -> datetime:
    """RFC 3339, or seconds of the Unix clock; without a zone it is UTC."""
    try:
        if isinstance(raw, int | float) and not isinstance(raw, bool):
            return datetime.fromtimestamp(raw, UTC)
        words = str(raw).strip()
        if words.isdecimal():
            return datetime.fromtimestamp(int(words), UTC)
        found = datetime.fromisoformat(words.removesuffix(" UTC"))
    except (ValueError, OverflowError, OSError):
        raise Invalid("a date as in RFC 3339 is expected") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def anything(raw: Any) -> Any:
    return raw


def told(at: datetime | None) -> str:
    """A moment as it goes out; what never was is an empty text."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else ""


class Field(NamedTuple):
    """One property that a caller may write. What is not in a table of these is read-only, and ignored when it comes."""

    read: Callable[[Any], Any] = text
    required: bool = False


def read_fields(fields: Mapping[str, Field], body: Mapping[str, Any], *, new: bool) -> dict[str, Any]:
    """The values given for the fields of a resource; ``body`` is folded. Raises Invalid with the whole message."""
    found: dict[str, Any] = {}
    for name, one in fields.items():
        raw = body.get(name.lower())
        if raw is None or raw == "":
            if one.required and (new or name.lower() in body):
                raise Invalid(f"MJ08 Property {name} is invalid: {NON_EMPTY}")
            if raw is None:
                continue
        try:
            found[name] = one.read(raw)
        except Invalid as wrong:
            raise Invalid(f"MJ08 Property {name} is invalid: {wrong}") from None
    return found
