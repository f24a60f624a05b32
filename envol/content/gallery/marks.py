"""What a marketer types into a place, and what a reader's screen gets: plain text with a few marks, never code.

``**bold**``, ``*italic*``, ``[words](https://…)``, an empty line for a paragraph, ``- `` for a list, and
``{first_name|you}`` for a value of the person with the words shown when there is none. Everything else is text:
``<`` is escaped, and a brace becomes a template that prints a brace, so that nothing typed is ever evaluated.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from envol.accounts.models import Workspace
from envol.contacts.models import Property, PropertyType

# Of these a person can be greeted with; "true" or a list of codes would only look broken.
_SHOWABLE = (PropertyType.TEXT, PropertyType.NUMBER, PropertyType.DATE, PropertyType.CHOICE, PropertyType.LIST,
             PropertyType.PLACE, PropertyType.MONEY)  # fmt: skip
_FILTERS = {PropertyType.DATE: "date", PropertyType.NUMBER: "number", PropertyType.MONEY: "money"}
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Chip:
    """A value of the person that may stand in a text."""

    key: str
    label_fr: str
    label_en: str
    type: str = PropertyType.TEXT

    def label(self, language: str) -> str:
        return self.label_fr if language.startswith("fr") else self.label_en

    def tag(self, fallback: str | None) -> str:
        """The same in the language of templates."""
        words = f" | default({json.dumps(fallback, ensure_ascii=False)})" if fallback is not None else ""
        form = f" | {_FILTERS[PropertyType(self.type)]}" if self.type in _FILTERS else ""
        return f"{{{{ contact.{self.key}{words}{form} }}}}"


Chips = Mapping[str, Chip]


def chips_of(workspace: Workspace) -> dict[str, Chip]:
    """The values of the catalogue that a text may show, by key. What is sensitive (GDPR art. 9) is not offered."""
    found = Property.objects.filter(workspace=workspace, type__in=_SHOWABLE, sensitive=False).order_by("id")
    return {p.key: Chip(p.key, p.label_fr, p.label_en, p.type) for p in found}


_CHIP = re.compile(r"\{([^{}|\n]{1,80})(?:\|([^{}\n]{0,200}))?\}")


def _folded(word: str) -> str:
    bare = unicodedata.normalize("NFKD", word.strip().casefold())
    return "".join(c for c in bare if not unicodedata.combining(c))


def clean(text: str, *, longest: int, lines: bool) -> str:
    """Text without what no reader can see; one line unless ``lines``."""
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    if not lines:
        text = " ".join(text.split())
    return text.strip("\n")[:longest] if lines else text[:longest]


def canonical(text: str, chips: Chips) -> str:
    """``{Prénom|vous}`` as typed, in any of our languages, as it is stored: ``{first_name|vous}``."""
    names = {_folded(name): c for c in chips.values() for name in (c.label_en, c.label_fr, c.key)}

    def stored(found: re.Match[str]) -> str:
        chip = names.get(_folded(found.group(1)))
        if chip is None:
            return found.group()
        fallback = found.group(2)
        return f"{{{chip.key}}}" if fallback is None else f"{{{chip.key}|{fallback.strip()}}}"

    return _CHIP.sub(stored, text)


def shown(text: str, chips: Chips, language: str) -> str:
    """What is stored, with the names that the reader of the page knows."""

    def named(found: re.Match[str]) -> str:
        chip = chips.get(found.group(1))
        if chip is None:
            return found.group()
        fallback = found.group(2)
        return f"{{{chip.label(language)}}}" if fallback is None else f"{{{chip.label(language)}|{fallback}}}"

    return _CHIP.sub(named, text)


def used(texts: Iterable[str], chips: Chips) -> dict[str, bool]:
    """The values that stand in these texts; true where each of them has its own fallback."""
    found: dict[str, bool] = {}
    for text in texts:
        for chip in _CHIP.finditer(text):
            if chip.group(1) in chips:
                found[chip.group(1)] = found.get(chip.group(1), True) and chip.group(2) is not None
    return found


def unknown(text: str, chips: Chips) -> list[str]:
    """What looks like a value and is none: it would be shown with its braces."""
    return [found.group(1) for found in _CHIP.finditer(text) if found.group(1) not in chips]


def tags(text: str, chips: Chips) -> str:
    """A line with its values in the language of templates: what a subject is stored as."""
    return "".join(
        _literal(piece) if chip is None else chip.tag(fallback) for piece, chip, fallback in _parts(text, chips)
    )


_TAG = re.compile(r"\{\{ contact\.(\w+)(?: \| default\((\"(?:\\.|[^\"\\])*\")\))?(?: \| (?:date|number|money))? \}\}")


def untagged(source: str, chips: Chips) -> str | None:
    """A subject as :func:`tags` wrote it, as text with chips; None when it says more than that."""
    words = source.replace("{{ '{' }}", "\x00").replace("{{ '}' }}", "\x01")

    def chip(found: re.Match[str]) -> str:
        fallback = json.loads(found.group(2)) if found.group(2) else None
        return f"{{{found.group(1)}}}" if fallback is None else f"{{{found.group(1)}|{fallback}}}"

    made = _TAG.sub(chip, words)
    if "{{" in made or "{%" in made or "{#" in made:
        return None
    made = made.replace("\x00", "{").replace("\x01", "}")
    return made if tags(made, chips) == source else None


def _literal(text: str) -> str:
    # Not &#123;: the text part is made from the HTML, where a reference becomes the brace itself again.
    return re.sub(r"[{}]", lambda found: f"{{{{ '{found.group()}' }}}}", text)


def _parts(text: str, chips: Chips) -> Iterable[tuple[str, Chip | None, str | None]]:
    last = 0
    for found in _CHIP.finditer(text):
        if (chip := chips.get(found.group(1))) is None:
            continue
        if found.start() > last:
            yield text[last : found.start()], None, None
        yield "", chip, found.group(2)
        last = found.end()
    if last < len(text):
        yield text[last:], None, None


def line(text: str, chips: Chips) -> str:
    """One line as HTML with template tags; safe in an element and in a quoted attribute."""
    return "".join(
        _literal(html.escape(piece)) if chip is None else chip.tag(fallback)
        for piece, chip, fallback in _parts(text, chips)
    )


_LINK = re.compile(r"\[([^\]\n]{1,200})\]\(\s*([^)\s]{1,2000})\s*\)")
_BOLD = re.compile(r"\*\*(?=\S)(.{1,1000}?)(?<=\S)\*\*")  # bounded: linear in any text
_ITALIC = re.compile(r"(?<![*\w])\*(?=[^\s*])([^*\n]+?)(?<=[^\s*])\*(?![*\w])")
_BULLET = re.compile(r"[-•]\s+(?=\S)")
_SPACE = "margin:0 0 16px"


def web_address(text: str) -> str | None:
    """An address as it may stand in a link, ``https://`` added where it was left out; None when it is none."""
    address = text.strip()
    if re.fullmatch(r"(?i)[\w.+-]+@[\w-]+(\.[\w-]+)+", address):
        return f"mailto:{address}"
    if re.match(r"(?i)[\w-]+(\.[\w-]+)+([/?#:]|$)", address) and "://" not in address:
        address = f"https://{address}"
    if re.match(r"(?i)(mailto|tel):[^\s<>\"'{}\\]+$", address):
        return address
    if not re.match(r"(?i)https?://[^/?#\s@]+\.?[^\s]*$", address) or len(address) > 2000:
        return None
    if "@" in address.split("/")[2] or re.search(r"[\s<>\"\\^`]", address):
        return None
    return address.replace("{", "%7B").replace("}", "%7D").replace("|", "%7C")


def links_in(text: str) -> list[tuple[str, str]]:
    """Words and address of each link of a text, as typed."""
    return [(found.group(1), found.group(2)) for found in _LINK.finditer(text)]


def prose(text: str, chips: Chips, colour: str = "#134e5e") -> str:
    """Paragraphs, lists, bold, italic and links as HTML with template tags, styles inline as mail wants them."""
    blocks = [block for block in re.split(r"\n[ \t]*\n+", text.strip("\n")) if block.strip()]
    made = []
    for number, block in enumerate(blocks):
        style = ' style="margin:0"' if number == len(blocks) - 1 else f' style="{_SPACE}"'
        lines = [one.strip() for one in block.split("\n") if one.strip()]
        if all(_BULLET.match(one) for one in lines):
            items = [_inline(_BULLET.sub("", one), chips, colour) for one in lines]
            inside = "".join(f'<li style="margin:0 0 6px">{item}</li>' for item in items)
            at = style.replace("margin:0", "padding:0 0 0 22px;margin:0", 1)
            made.append(f"<ul{at}>{inside}</ul>")
        else:
            inside = "<br>".join(_inline(one, chips, colour) for one in lines)
            made.append(f"<p{style}>{inside}</p>")
    return "".join(made)


def _inline(text: str, chips: Chips, colour: str) -> str:
    pieces, last = [], 0
    for found in _LINK.finditer(text):
        address = web_address(found.group(2))
        if address is None:
            continue
        pieces.append(_styled(text[last : found.start()], chips))
        words = _styled(found.group(1), chips)
        pieces.append(f'<a href="{html.escape(address)}" style="color:{colour};text-decoration:underline">{words}</a>')
        last = found.end()
    pieces.append(_styled(text[last:], chips))
    return "".join(pieces)


def _styled(text: str, chips: Chips) -> str:
    # Chips are set aside first, so that a star inside a fallback is no mark.
    kept: list[str] = []

    def aside(found: re.Match[str]) -> str:
        if found.group(1) not in chips:
            return found.group()
        kept.append(chips[found.group(1)].tag(found.group(2)))
        return f"\ue000{len(kept) - 1}\ue001"

    safe = _literal(html.escape(_CHIP.sub(aside, text.replace("\ue000", "").replace("\ue001", ""))))
    safe = _ITALIC.sub(r"<em>\1</em>", _BOLD.sub(r"<strong>\1</strong>", safe))
    return re.sub("\ue000(\\d+)\ue001", lambda found: kept[int(found.group(1))], safe)
