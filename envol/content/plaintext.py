"""The text part made from the HTML part: what a person without HTML reads, links kept."""

from __future__ import annotations

import html
import re

from envol.content.language import scan
from envol.content.markup import BLANK, Token, blank, tokens

_BLOCK_NAMES = (
    "address article blockquote center dd div dl dt fieldset footer form h1 h2 h3 h4 h5 h6 header li main nav ol p pre"
    " section table tr ul"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_PARAGRAPHS = frozenset(["p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "blockquote"])
_SILENT = frozenset(["head", "style", "script", "title", "template"])


def text_from_html(source: str) -> str:
    """A template of the text part from one of the HTML part; template tags stand where they stood.

    A link becomes ``words <address>``, an image its alt text, a row of a table one line. What is hidden, and what
    stands in conditional comments for Outlook, is left out.
    """
    tags, _ = scan(source)
    masked = _without_conditionals(blank(source, tags))
    writer = _Writer(source)
    for token in tokens(masked):
        writer.take(token, masked)
    return writer.result()


def _without_conditionals(masked: str) -> str:
    """Blank what only Outlook reads, keeping offsets; the part for all others stays."""

    pieces, last = [], 0
    while (opening := _CONDITIONAL.search(masked, last)) is not None:
        end = masked.find("<![endif]-->", opening.end())
        if end < 0:
            break
        pieces.append(masked[last : opening.start()])
        inside = masked[opening.start() : end + 12]
        pieces.append(inside if opening.group(1) else re.sub(r"[^\n]", " ", inside))
        last = end + 12
    return "".join([*pieces, masked[last:]])


_CONDITIONAL = re.compile(r"<!--\[if[^\]<>]*\]>(<!-->)?", re.IGNORECASE)


class _Writer:
    def __init__(self, source: str) -> None:
        self._source = source
        self._out: list[str] = []
        self._links: list[tuple[str, int]] = []  # address, where its words begin
        self._silent: list[str] = []

    def take(self, token: Token, masked: str) -> None:
        if token.kind == "text":
            self._text(token, masked)
        elif token.kind == "open":
            self._open(token)
        elif token.kind == "close":
            self._close(token)

    def _text(self, token: Token, masked: str) -> None:
        if self._silent:
            return
        for piece in re.finditer(rf"{BLANK}(?:[{BLANK}\n])*|[^{BLANK}]+", masked[token.start : token.end]):
            start, end = token.start + piece.start(), token.start + piece.end()
            if masked[start] == BLANK:
                self._out.append(self._source[start:end].rstrip("\n"))
            else:
                self._out.append(re.sub(r"[ \t\r\n\f]+", " ", html.unescape(masked[start:end])))

    def _open(self, token: Token) -> None:
        style = token.get("style")
        hidden = style is not None and re.search(r"display\s*:\s*none", style.value)
        if token.name in _SILENT or hidden or self._silent:
            if not token.closed and token.name not in ("img", "br", "hr", "meta", "link", "input"):
                self._silent.append(token.name)
            return
        if token.name == "br":
            self._out.append("\n")
        elif token.name == "hr":
            self._out.append("\n\n---\n\n")
        elif token.name == "li":
            self._out.append("\n- ")
        elif token.name in _BLOCKS:
            self._out.append("\n\n" if token.name in _PARAGRAPHS else "\n")
        elif token.name in ("td", "th"):
            self._out.append(" ")
        elif token.name == "img":
            alt = token.get("alt")
            if alt is not None and alt.value:
                self._out.append(html.unescape(self._source[alt.start : alt.end]))
        elif token.name == "a":
            href = token.get("href")
            address = html.unescape(self._source[href.start : href.end]).strip() if href else ""
            self._links.append((address, len(self._out)))

    def _close(self, token: Token) -> None:
        if self._silent:
            if token.name in self._silent:
                while self._silent.pop() != token.name:
                    pass
            return
        if token.name == "a" and self._links:
            address, begin = self._links.pop()
            words = "".join(self._out[begin:]).rstrip()
            if not address or address.startswith("#"):
                return
            shown = address.removeprefix("mailto:").removeprefix("tel:")
            if not words.strip():
                self._out.append(f" {shown} ")
            elif shown not in words:
                self._out[begin:] = [words, f" <{shown}>"]  # RFC 3986 appendix C: so no reader takes the dot with it
        elif token.name in _BLOCKS and token.name != "li":
            self._out.append("\n\n" if token.name in _PARAGRAPHS else "\n")

    def result(self) -> str:
        text = "".join(self._out).replace("\xa0", " ").replace("\u200c", "").replace("\u200b", "")
        lines = [re.sub(r"  +", " ", line).strip() for line in text.split("\n")]
        return _without_empty_lines(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n")


def _without_empty_lines(source: str) -> str:
    """Lines that hold statements only would leave an empty line behind each: their line ends go."""
    pieces, last = [], 0
    for tag in scan(source)[0]:
        begin = source.rfind("\n", 0, tag.start) + 1
        if tag.kind == "{{" or (source[begin : tag.start].strip() and begin >= last):
            continue
        after = tag.end
        while after < len(source) and source[after] in "\n ":
            after += 1
        if "\n" in source[tag.end : after]:
            pieces.append(source[last : tag.end])
            last = after
    return "".join([*pieces, source[last:]])


_ADDRESS = re.compile(r"https?://[^\s<>\"'{}\ufdd0]+[^\s<>\"'{}\ufdd0.,;:!?)\]]", re.IGNORECASE)


def plain_addresses(source: str) -> list[tuple[int, int]]:
    """Where a text template holds fixed web addresses: (start, end); those with values in them are left alone."""
    tags, _ = scan(source)
    masked = blank(source, tags)
    return [found.span() for found in _ADDRESS.finditer(masked) if masked[found.end() : found.end() + 1] != BLANK]
