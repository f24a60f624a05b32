"""BIMI: the record that names a logo, and whether the picture is one that mailbox providers draw (SVG Tiny PS).

Pure: texts and octets in, sentences out. What is not understood is wrong: providers leave out a logo without a word.
"""

from __future__ import annotations

import re
from xml.parsers import expat  # what an entity could do is refused below

MOST_BYTES = 32 * 1024
"""What the group that defines it advises; Gmail draws nothing larger."""

_SVG = "http://www.w3.org/2000/svg"
_FORBIDDEN = frozenset(
    {"script", "animate", "animateColor", "animateMotion", "animateTransform", "set", "image", "video", "audio", "a",
     "foreignObject", "iframe", "handler", "listener", "discard"}
)  # fmt: skip


def _fields(record: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for part in record.split(";"):
        name, equals, value = part.partition("=")
        if equals:
            fields.setdefault(name.strip().lower(), value.strip())
    return fields


def certificate_of(record: str) -> str | None:
    """The address of the certificate that a record names; "" when it names none, None when it is no https address."""
    found = _fields(record).get("a", "")
    return found if not found or found.startswith("https://") else None


def logo_of(record: str) -> str | None:
    """The address of the logo that a record names; "" when it declines to show one, None when it is no record."""
    fields = _fields(record)
    if fields.get("v") != "BIMI1" or "l" not in fields:
        return None
    return fields["l"] if not fields["l"] or fields["l"].startswith("https://") else None


class _Wrong(Exception):
    pass


def picture_faults(raw: bytes) -> list[str]:
    """What keeps this picture from being drawn; empty when nothing does."""
    if len(raw) > MOST_BYTES:
        return [f"it has {len(raw) // 1024} KiB, 32 are allowed"]
    faults: list[str] = []
    depth = 0
    titled = False

    def start(name: str, given: dict[str, str]) -> None:
        nonlocal depth, titled
        space, _, local = name.rpartition(" ")
        if depth == 0:
            if (space, local) != (_SVG, "svg"):
                raise _Wrong("it is no SVG")
            if given.get("version") != "1.2" or given.get("baseProfile") != "tiny-ps":
                faults.append('its root does not say version="1.2" baseProfile="tiny-ps"')
            if {"x", "y"} & given.keys():
                faults.append("its root has x or y")
            box = re.split(r"[ ,]+", given.get("viewBox", "").strip())
            if len(box) != 4 or box[2] != box[3]:
                faults.append("its viewBox is not square")
        elif depth == 1 and local == "title":
            titled = True
        if local in _FORBIDDEN:
            faults.append(f"it holds <{local}>")
        for attribute, value in given.items():
            plain = attribute.rpartition(" ")[2]
            if plain == "href" and not value.startswith("#"):
                faults.append("it refers to something outside itself")
            if plain.startswith("on"):
                faults.append(f"it holds {plain}")
        depth += 1

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1

    def refuse(*_: object) -> None:
        raise _Wrong("it declares entities or a document type")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.EntityDeclHandler = refuse
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(raw, True)
    except _Wrong as error:
        return [str(error)]
    except (expat.ExpatError, ValueError, LookupError) as error:
        return [f"it is not XML: {error}"]
    if not titled:
        faults.append("it has no <title>")
    return list(dict.fromkeys(faults))
