"""From a model and what was put into its places to MJML; the pipeline of every template goes on from there."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from babel.dates import format_date
from minijinja import Environment

from envol.content.gallery import marks, places
from envol.content.gallery.catalogue import BY_KEY
from envol.content.gallery.places import Model, Place, Repeat, Wrong

FORMAT = 1
_SAY = {
    "en": {
        "leave": "Unsubscribe",
        "choices": "My choices",
        "browser": "Read in a browser",
        "until": "Until",
    },
    "fr": {
        "leave": "Me désabonner",
        "choices": "Mes préférences",
        "browser": "Lire dans un navigateur",
        "until": "Jusqu’au",
    },
}


@dataclass(frozen=True, slots=True)
class Picture:
    """Addresses of one picture: for large and for small places, absolute, because mail has no page around it."""

    large: str
    small: str


Pictures = Mapping[int, Picture]


class _Safe(str):
    """MJML we made ourselves, everything typed in it escaped already."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


@dataclass(frozen=True, slots=True)
class Design:
    """What a version made of a model keeps, so that its form can be opened again."""

    model: Model
    language: str
    values: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {"v": FORMAT, "model": self.model.key, "language": self.language, "values": self.values}


def start(key: str, language: str) -> Design | None:
    """The model of this name with the words one starts from; None when there is none."""
    model = BY_KEY.get(key)
    language = "fr" if language.startswith("fr") else "en"
    return Design(model, language, model.default(language)) if model else None


def opened(stored: Any) -> Design | None:
    """What :meth:`Design.to_json` made; None when it is of no model we know. Places that came later get their start."""
    if not isinstance(stored, dict) or stored.get("v") != FORMAT or stored.get("model") not in BY_KEY:
        return None
    model, language = BY_KEY[stored["model"]], str(stored.get("language", "en"))
    values = model.default(language)
    for place in model.places:
        known = stored.get("values", {}).get(place.key)
        if known is not None:
            values[place.key] = known
    values["colour"] = stored.get("values", {}).get("colour") or model.colour
    return Design(model, language, values)


def read(model: Model, language: str, get: Callable[[str], str], chips: marks.Chips) -> Design:
    """What a form holds. Inputs are named by place, ``articles.0.title``; ``articles.n`` says how many there are."""
    values: dict[str, Any] = {}
    for place in model.places:
        if isinstance(place, Repeat):
            given = get(f"{place.key}.n")
            many = min(int(given), place.most) if given.isascii() and given.isdigit() and len(given) < 4 else 0
            values[place.key] = [
                {one.key: one.read(get, f"{place.key}.{i}.{one.key}", chips) for one in place.places}
                for i in range(many)
            ]
        else:
            values[place.key] = place.read(get, place.key, chips)
    values["colour"] = _COLOUR.read(get, "colour", chips)
    return Design(model, language, values)


_COLOUR = Place("colour", "colour", "")


def each(design: Design) -> list[tuple[str, Place, Any]]:
    """Every place with its path and value, in the order of the form."""
    found: list[tuple[str, Place, Any]] = []
    for place in design.model.places:
        if isinstance(place, Repeat):
            for i, item in enumerate(design.values[place.key]):
                found += [(f"{place.key}.{i}.{one.key}", one, item[one.key]) for one in place.places]
        else:
            found.append((place.key, place, design.values[place.key]))
    return found


def named(design: Design, path: str) -> str:
    """A place as people know it, in the language of the page: "Text", or "Article 2, Title"."""
    key, *rest = path.split(".")
    place = next(p for p in design.model.places if p.key == key)
    if not isinstance(place, Repeat):
        return str(place.label)
    return f"{place.one} {int(rest[0]) + 1}, {next(p for p in place.places if p.key == rest[1]).label}"


def wrong(design: Design) -> list[Wrong]:
    """What must be mended before it can be saved at all."""
    found = [one for path, place, value in each(design) for one in place.wrong(value, path)]
    return found + _COLOUR.wrong(design.values["colour"], "colour")


def missing(design: Design) -> list[Wrong]:
    """What is not there yet: the draft is kept, the check before sending says it again."""
    return [
        Wrong(path, said) for path, place, value in each(design) if (said := place.missing(value, named(design, path)))
    ]


def untouched(design: Design) -> list[Wrong]:
    """Places where the words of the model still stand."""
    from django.utils.translation import gettext as _

    begun = Design(design.model, design.language, design.model.default(design.language))
    first = {path: value for path, _place, value in each(begun)}
    return [
        Wrong(path, _("“%(place)s” still has the words of the model: write your own.") % {"place": named(design, path)})
        for path, place, value in each(design)
        if place.kind == "text" and value and value == first.get(path)
    ]


def words(design: Design) -> list[str]:
    """Every text in which values of a person may stand."""
    return [text for _path, place, value in each(design) for text in place.words(value)]


def media_of(design: Design) -> set[int]:
    """The pictures it shows."""
    return {value["media"] for _p, place, value in each(design) if place.kind == "picture" and value["media"]}


def to_mjml(design: Design, chips: marks.Chips, pictures: Pictures, *, samples: str = "") -> str:
    """The MJML of a design, ready for ``templates.save``.

    ``samples``: address of the folder of our drawings, which stand in where there is no picture; for the gallery only.
    """
    colour = design.values["colour"] if not places.bad_colour(design.values["colour"]) else design.model.colour
    page = {
        "language": design.language,
        "colour": colour,
        "tint": places.mix(colour, "#ffffff", 0.08),
        "edge": places.mix(colour, "#ffffff", 0.25),
        "light": places.mix(colour, "#ffffff", 0.45),
        "say": _SAY[design.language],
    }
    context: dict[str, Any] = {"p": page}

    def shown(place: Place, value: Any) -> Any:
        return _shown(place, value, design.language, colour, chips, pictures, samples)

    for place in design.model.places:
        value = design.values[place.key]
        if isinstance(place, Repeat):
            context[place.key] = [{one.key: shown(one, item[one.key]) for one in place.places} for item in value]
        else:
            context[place.key] = shown(place, value)
    made = str(_environment().render_template(f"{design.model.key}.mjml", **context))
    return re.sub(r"\n\s*\n+", "\n", made).strip() + "\n"


def _shown(
    place: Place, value: Any, language: str, colour: str, chips: marks.Chips, pictures: Pictures, samples: str
) -> Any:
    match place.kind:
        case "line":
            return _Safe(marks.line(value, chips))
        case "text":
            return _Safe(marks.prose(value, chips, colour))
        case "button":
            url = marks.web_address(value["url"]) or ("https://example.invalid/" if samples else None)
            if not url or not value["label"]:
                return None
            return {"label": _Safe(marks.line(value["label"], chips)), "url": _Safe(html.escape(url))}
        case "picture":
            return _picture(place, value, pictures, samples)
        case "date":
            when = places.day(value) or (places.day("2026-12-04") if samples else None)
            return format_date(when, "full" if place.key == "day" else "long", locale=language) if when else ""
        case _:
            return marks.web_address(value) or ""


def _picture(place: Place, value: Any, pictures: Pictures, samples: str) -> dict[str, Any] | None:
    found = pictures.get(value["media"] or 0)
    if found is None:
        if not samples or place.more is None:
            return None
        address = _Safe(f"{samples}{place.more.en}.svg")
        return {"large": address, "small": address, "alt": "", "share": 1.0, "url": ""}
    # Without words the address of a file would be read aloud: an empty text says that it is decoration.
    alt = "" if value["decorative"] else value["alt"]
    return {
        "large": _Safe(html.escape(found.large)),
        "small": _Safe(html.escape(found.small)),
        "alt": _Safe(marks.line(alt, {})),
        "share": places.SIZES[value["size"]],
        "url": _Safe(html.escape(marks.web_address(value["url"]) or "")),
    }


@cache
def _environment() -> Environment:
    """Our own sources, with marks that neither MJML nor the templates of messages use."""
    made = Environment(
        debug=False,
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
        auto_escape_callback=lambda name: "html",
    )
    for file in files("envol.content.gallery").joinpath("sources").iterdir():
        if file.name.endswith(".mjml"):
            made.add_template(file.name, file.read_text("utf-8"))
    return made
