"""The places of a model: what can be filled, with what, and what is wrong with what was given."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from envol.content.gallery import marks

LONGEST_LINE, LONGEST_TEXT = 300, 20_000
SIZES = {"full": 1.0, "half": 0.5, "small": 0.25}

# Each carries white words with a contrast of 4.5 or more (WCAG 2.2 §1.4.3); a test counts.
PALETTE: dict[str, Any] = {
    "#134e5e": gettext_lazy("petrol"),
    "#1d5e3a": gettext_lazy("forest"),
    "#4f5d12": gettext_lazy("olive"),
    "#8a4b08": gettext_lazy("amber"),
    "#a63c0a": gettext_lazy("rust"),
    "#96211b": gettext_lazy("brick"),
    "#8a2454": gettext_lazy("raspberry"),
    "#5b3a8c": gettext_lazy("plum"),
    "#2b4a9b": gettext_lazy("ink blue"),
    "#2d3742": gettext_lazy("slate"),
}


@dataclass(frozen=True, slots=True)
class Both:
    """Words in our two languages: the sample content of a model."""

    en: str
    fr: str

    def of(self, language: str) -> str:
        return self.fr if language.startswith("fr") else self.en


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing to mend before a message can be made: at which input, and the sentence."""

    path: str
    sentence: str


Facts = Mapping[str, Any]
Reader = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Place:
    """``kind``: line, text, button, picture, colour, link or date. ``start``: what a new message has there."""

    key: str
    kind: str
    label: Any
    start: Both | None = None
    required: bool = False
    help: Any = ""
    more: Both | None = None  # of a picture in the gallery: the drawing that stands in for it

    def default(self, language: str) -> Any:
        words = self.start.of(language) if self.start else ""
        match self.kind:
            case "button":
                return {"label": words, "url": ""}
            case "picture":
                return {"media": None, "alt": "", "decorative": False, "size": "full", "url": ""}
            case _:
                return words

    def read(self, get: Reader, path: str, chips: marks.Chips) -> Any:
        """The value of this place from a form; ``get`` gives the input of that name, or ""."""
        match self.kind:
            case "button":
                label = marks.clean(get(f"{path}.label"), longest=LONGEST_LINE, lines=False)
                return {"label": marks.canonical(label, chips), "url": get(f"{path}.url").strip()[:2000]}
            case "picture":
                media = get(f"{path}.media")
                return {
                    "media": int(media) if media.isascii() and media.isdigit() and len(media) < 16 else None,
                    "alt": marks.clean(get(f"{path}.alt"), longest=LONGEST_LINE, lines=False),
                    "decorative": bool(get(f"{path}.decorative")),
                    "size": size if (size := get(f"{path}.size")) in SIZES else "full",
                    "url": get(f"{path}.url").strip()[:2000],
                }
            case "text":
                return marks.canonical(marks.clean(get(path), longest=LONGEST_TEXT, lines=True), chips)
            case "line":
                return marks.canonical(marks.clean(get(path), longest=LONGEST_LINE, lines=False), chips)
            case "colour":
                own = get(f"{path}.own").strip().lower()
                return own if get(path) == "own" and own else get(path).strip().lower()[:20]
            case _:
                return get(path).strip()[:2000]

    def wrong(self, value: Any, path: str) -> list[Wrong]:
        """What keeps this value from being used at all. What is merely missing is said by :func:`missing`."""
        match self.kind:
            case "button" | "picture" if value["url"] and marks.web_address(value["url"]) is None:
                return [Wrong(f"{path}.url", _("Write the whole address, as in https://www.shop.example/page."))]
            case "link" if value and marks.web_address(value) is None:
                return [Wrong(path, _("Write the whole address, as in https://www.shop.example/page."))]
            case "date" if value and day(value) is None:
                return [Wrong(path, _("Choose a day of the calendar."))]
            case "colour":
                return [Wrong(path, sentence)] if (sentence := bad_colour(value)) else []
            case "text":
                return [
                    Wrong(path, _("The link of “%(words)s” leads nowhere: write the whole address.") % {"words": words})
                    for words, address in marks.links_in(value)
                    if marks.web_address(address) is None
                ]
        return []

    def missing(self, value: Any, name: str) -> str:
        """What the reader would miss, as a sentence; empty when the place is filled or may stay empty."""
        match self.kind:
            case "button" if value["label"] and not value["url"]:
                return _("The button “%(label)s” has no address: it is not shown.") % {"label": value["label"]}
            case "picture" if value["media"] and not value["alt"] and not value["decorative"]:
                return _("Describe the picture for people who do not see it, or mark it as decoration.")
            case "picture" if self.required and not value["media"]:
                return _("Choose a picture.")
            case "line" | "text" | "date" if self.required and not value.strip():
                return _("“%(place)s” is empty.") % {"place": name}
        return ""

    def words(self, value: Any) -> list[str]:
        """The texts in it where values of a person may stand."""
        match self.kind:
            case "button":
                return [value["label"]]
            case "line" | "text":
                return [value]
        return []


@dataclass(frozen=True, slots=True)
class Repeat:
    """A block that may come several times: each time with places of its own."""

    key: str
    label: Any
    one: Any  # what a single one is called
    add: Any  # what the button says that adds one
    places: tuple[Place, ...]
    start: tuple[Mapping[str, Both], ...] = ()
    least: int = 1
    most: int = 8

    def default(self, language: str) -> list[dict[str, Any]]:
        found = []
        for words in self.start:
            item = self.empty(language)
            for place in self.places:
                if place.key in words:
                    text = words[place.key].of(language)
                    item[place.key] = {**item[place.key], "label": text} if place.kind == "button" else text
            found.append(item)
        return found

    def empty(self, language: str) -> dict[str, Any]:
        return {place.key: place.default(language) for place in self.places}


@dataclass(frozen=True, slots=True)
class Model:
    """One of our models: its places, in the order of the form, and the MJML they stand in."""

    key: str
    label: Any
    about: Any
    places: tuple[Place | Repeat, ...]
    subject: Both
    preheader: Both = field(default_factory=lambda: Both("", ""))
    colour: str = "#134e5e"

    def default(self, language: str) -> dict[str, Any]:
        values: dict[str, Any] = {place.key: place.default(language) for place in self.places}
        values["colour"] = self.colour
        return values


def day(value: str) -> date | None:
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


# ---- colours


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def mix(colour: str, other: str, share: float) -> str:
    """``share`` of the colour in the other."""
    pairs = [(int(colour[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in pairs)


def bad_colour(value: str) -> str:
    """Why white words on this colour, or words of this colour on white, could not be read; empty when they can."""
    if not re.fullmatch(r"#[0-9a-f]{6}", value):
        return _("Write the colour as # and six digits, as in #134e5e.")
    ratio = contrast(value, "#ffffff")
    if ratio >= 4.5:
        return ""
    said = _("This colour is too light for white words (contrast %(ratio)s of the 4.5 needed): choose a darker one.")
    return said % {"ratio": f"{ratio:.1f}"}
