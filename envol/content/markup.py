"""HTML and MJML as their authors wrote them: tokens with offsets, so that only what we change is changed.

A parser that writes the tree back would move ``{% for %}`` out of tables and rewrite a pasted HTML. Here template
tags are blanked (same length, same lines) before the tokens are read, and links are replaced in place.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from django.utils.translation import gettext

from envol.content.language import Tag
from envol.content.problems import Problem

BLANK = "\ufdd0"  # a noncharacter: Unicode keeps it out of texts for uses like this one
VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
_RAW_TEXT = frozenset(["script", "style", "textarea", "title", "xmp", "mj-style", "mj-title", "mj-preview"])
PERSONAL = frozenset(["unsubscribe_url", "preferences_url", "web_version_url", "survey_url"])


def blank(source: str, tags: list[Tag]) -> str:
    """The source with every template tag blanked; offsets and line ends stay where they are."""
    pieces, last = [], 0
    for tag in tags:
        pieces.append(source[last : tag.start])
        pieces.append(re.sub(r"[^\n]", BLANK, source[tag.start : tag.end]))
        last = tag.end
    pieces.append(source[last:])
    return "".join(pieces)


class Lines:
    """Offsets to line numbers, from 1."""

    def __init__(self, source: str) -> None:
        self._starts = [0, *[found.end() for found in re.finditer("\n", source)]]

    def at(self, offset: int) -> int:
        return bisect_right(self._starts, offset)


class Attribute(NamedTuple):
    """``value`` is raw, without quotes, and stands at ``start:end``; ``quoted`` is false for a="b" without quotes."""

    name: str
    value: str
    start: int
    end: int
    quoted: bool


@dataclass(slots=True)
class Token:
    """``kind``: open, close, text, comment or other; ``closed`` for <br/>."""

    kind: str
    name: str
    start: int
    end: int
    attributes: list[Attribute] = field(default_factory=list)
    closed: bool = False

    def get(self, name: str) -> Attribute | None:
        return next((one for one in self.attributes if one.name == name), None)


_TAG = re.compile(r"<(/?)([A-Za-z][^\s/>]*)")
# Conditional comments of Outlook are markup for Outlook: their borders are skipped, what stands between is read.
_BORDER = re.compile(r"<!--\[if[^\]]*\]>(?:<!-->|-->)?|<!--<!\[endif\]-->|<!\[endif\](?:--)?>|<!\[if[^\]]*\]>", re.I)
_ATTRIBUTE = re.compile(r"\s*+(/)|\s*+([^\s=\"'<>/]++)(?:\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'<>`]++)))?+")


class Unclosed(ValueError):
    """A tag or comment that runs to the end of the source, or has no reasonable end; it says so itself."""

    def __init__(self, offset: int, what: str, sentence: str = "") -> None:
        self.offset = offset
        super().__init__(sentence or gettext("%(what)s is never closed.") % {"what": what})


def tokens(source: str) -> Iterator[Token]:
    """Tokens of markup whose template tags are blanked. Raises Unclosed; linear in the length of the source."""
    position = text_from = 0
    while (start := source.find("<", position)) >= 0:
        token = _token(source, start)
        if token is None:  # a bare "<" is text
            position = start + 1
            continue
        if start > text_from:
            yield Token("text", "", text_from, start)
        yield token
        position = text_from = token.end
        if token.kind == "open" and token.name in _RAW_TEXT and not token.closed:
            close = re.compile(f"</{re.escape(token.name)}", re.IGNORECASE).search(source, position)
            if close is None:
                raise Unclosed(start, f"<{token.name}>")
            position = close.start()
    if text_from < len(source):
        yield Token("text", "", text_from, len(source))


def _token(source: str, start: int) -> Token | None:
    if source.startswith("<!", start) or source.startswith("<?", start):
        border = _BORDER.match(source, start)
        if border is not None:
            return Token("other", "", start, border.end())
        for opening, closing, kind in (("<!--", "-->", "comment"), ("<![CDATA[", "]]>", "text"), ("<", ">", "other")):
            if source.startswith(opening, start):
                end = source.find(closing, start + len(opening))
                if end < 0:
                    raise Unclosed(start, opening)
                return Token(kind, "", start, end + len(closing))
    found = _TAG.match(source, start)
    if found is None:
        return None
    name = found.group(2).lower()
    attributes: list[Attribute] = []
    position, closed = found.end(), False
    while True:
        attribute = _ATTRIBUTE.match(source, position)
        if attribute is None:
            break
        position = attribute.end()
        closed = attribute.group(1) is not None
        if closed:
            continue
        if len(attributes) == 200:
            said = gettext("%(tag)s has more than 200 attributes: take some out.") % {"tag": f"<{name[:40]}>"}
            raise Unclosed(start, "", said)
        group = next((number for number in (3, 4, 5) if attribute.group(number) is not None), 0)
        value = attribute.group(group) if group else ""
        start_of, end_of = attribute.span(group) if group else (position, position)
        attributes.append(Attribute(attribute.group(2).lower(), value, start_of, end_of, group in (3, 4)))
    while position < len(source) and source[position].isspace():
        position += 1
    if position >= len(source) or source[position] != ">":
        raise Unclosed(start, f"<{found.group(1)}{found.group(2)[:40]}>")
    return Token("close" if found.group(1) else "open", name, start, position + 1, attributes, closed)


class Link(NamedTuple):
    """A tracked link: its number in the version, where it leads, the words on it, and how it was written."""

    no: int
    url: str
    label: str
    raw: str


def marker(no: int) -> str:
    """What stands in a compiled template where a tracked link was."""
    return f"{{{{ envol_link_{no} }}}}"


MARKER = re.compile(r"\{\{ envol_link_(\d+) \}\}")


@dataclass(slots=True)
class Links:
    """Finds links and gives them numbers; ``utm`` is added to what it tracks."""

    utm: dict[str, str]
    part: str = "html"
    found: list[Link] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def take(self, raw: str, label: str, line: int, tags: str = "") -> str | None:
        """The marker for a link, or None when it stays as it is. ``tags``: the same text with template tags whole."""
        address = html.unescape(raw).strip()
        if not address or address[0] == "#" or re.match(r"(?i)(?:mailto|tel|sms|cid):", address):
            return None
        if BLANK in address:
            self._personal(address, (tags or raw).strip(), line)
            return None
        if not re.match(r"(?i)https?://[^/?#\s]", address):
            meant = f"https://{address}" if re.match(r"[\w-]+(\.[\w-]+)+([/?#]|$)", address) else ""
            said = gettext("The link %(link)s must begin with one of these: %(starts)s")
            said %= {"link": address[:60], "starts": "https://, http://, mailto:, tel:"}
            self.problems.append(Problem(line, said, meant, self.part))
            return None
        if re.search(r"[\s<>\"\\\x00-\x1f]", address) or "@" in urlsplit(address).netloc:
            said = gettext("The link %(link)s holds a space or a user name: correct it.") % {"link": address[:60]}
            self.problems.append(Problem(line, said, part=self.part))
            return None
        url = with_utm(address, self.utm)
        self.found.append(Link(len(self.found) + 1, url, label[:100], raw if url == address else html.escape(url)))
        return marker(len(self.found))

    def _personal(self, address: str, tags: str, line: int) -> None:
        """A link with values in it: one of ours whole, or values after the ? of an address whose host is fixed.

        The last kind is not tracked: its targets are as many as people, and the redirect knows only fixed ones.
        """
        inner = re.fullmatch(r"\{\{-?\s*(\w+)\s*-?\}\}", tags)
        if inner and inner.group(1) in PERSONAL:
            return
        if not re.match(rf"(?i)https?://[^/?#\s{BLANK}@]+(/[^?#{BLANK}]*)?\?[^#]*{BLANK}", address):
            said = gettext("In a link, values may stand only after the ? of an address that begins https://host.")
            self.problems.append(Problem(line, said, part=self.part))


def with_utm(url: str, utm: dict[str, str]) -> str:
    """The address with utm_source… added where it has none; everything it had stays as written."""
    if not utm:
        return url
    parts = urlsplit(url)
    have = {key.lower() for key, _ in parse_qsl(parts.query, keep_blank_values=True)}
    more = [f"utm_{key}={quote(value, safe='')}" for key, value in utm.items() if value and f"utm_{key}" not in have]
    if not more:
        return url
    return urlunsplit(parts._replace(query="&".join([parts.query, *more] if parts.query else more)))


def text_of(masked: str) -> str:
    """The words of a piece of markup, on one line."""
    words = re.sub(r"<[^<>]*>", " ", masked.replace(BLANK, ""))
    return " ".join(html.unescape(words).split())


LINK_TAGS = frozenset(["a", "area", "v:roundrect", "v:rect", "v:oval"])


def rewrite_links(
    source: str, tags: list[Tag], links: Links, holders: frozenset[str] = LINK_TAGS
) -> tuple[str, list[Problem]]:
    """The source with a marker for each tracked link, every other octet as it was; and what is wrong with it."""
    masked, lines = blank(source, tags), Lines(source)
    pieces: list[str] = []
    last, problems = 0, []
    try:
        for token in tokens(masked):
            if token.kind != "open":
                continue
            for attribute in token.attributes:
                if BLANK in attribute.value and not attribute.quoted:
                    said = gettext("Put quotes around the value of %(name)s: it holds {{ }}.") % {
                        "name": attribute.name[:40]
                    }
                    problems.append(Problem(lines.at(token.start), said, part=links.part))
            href = token.get("href")
            if href is None or token.name not in holders or _never_tracked(token):
                continue
            label = _label(masked, token)
            made = links.take(href.value, label, lines.at(token.start), source[href.start : href.end])
            if made is not None:
                pieces += [source[last : href.start], made if href.quoted else f'"{made}"']
                last = href.end
    except Unclosed as error:
        problems.append(Problem(lines.at(error.offset), str(error), part=links.part))
    problems += links.problems
    pieces.append(source[last:])
    return "".join(pieces), problems


def _never_tracked(token: Token) -> bool:
    """Social networks get the address of the page to share, so it must stay the real one."""
    name = token.get("name")
    return token.name == "mj-social-element" and not (name and name.value.endswith("-noshare"))


def _label(masked: str, token: Token) -> str:
    """The words of a link, else the alt text of its image."""
    for own in ("alt", "title"):
        attribute = token.get(own)
        if attribute is not None and attribute.value:
            return html.unescape(attribute.value.replace(BLANK, ""))
    close = masked.find(f"</{token.name}", token.end, token.end + 2000)
    inside = masked[token.end : close] if close >= 0 else ""
    image = inside.find("<img")
    alt = _ALT.search(inside, image, image + 500) if image >= 0 else None
    return text_of(inside) or (html.unescape(alt.group(1)) if alt else "")


_ALT = re.compile(r"\balt=[\"']([^\"']+)")
# Deeper than any message, and far from where the engines' own recursion ends the whole process.
MAX_DEPTH = 200
MAX_TOKENS = 100_000
# What HTML closes by itself when the next one begins; not closing it makes nothing deeper.
CLOSES_ITSELF = frozenset(["p", "li", "td", "th", "tr", "dt", "dd", "option", "thead", "tbody", "tfoot", "colgroup"])


def too_deep(source: str, tags: list[Tag], part: str = "html") -> list[Problem]:
    """Elements inside elements beyond MAX_DEPTH, which a parser downstream could not survive."""
    depth = 0
    try:
        for number, token in enumerate(tokens(blank(source, tags))):
            if number == MAX_TOKENS:
                line = Lines(source).at(token.start)
                said = gettext("The template has more than %(n)s pieces: shorten it.") % {"n": MAX_TOKENS}
                return [Problem(line, said, part=part)]
            if token.closed or token.name in VOID or token.name in CLOSES_ITSELF:
                continue
            if token.kind == "open":
                depth += 1
                if depth > MAX_DEPTH:
                    line = Lines(source).at(token.start)
                    said = gettext("More than %(n)s elements are open inside one another here: close them.")
                    said %= {"n": MAX_DEPTH}
                    return [Problem(line, said, part=part)]
            elif token.kind == "close":
                depth = max(0, depth - 1)
    except Unclosed:
        pass  # rewrite_links says it
    return []
