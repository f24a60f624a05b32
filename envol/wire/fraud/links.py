"""Where a letter leads: its links, what they show and where they go."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import cache
from html import unescape
from itertools import islice
from urllib.parse import urlsplit

from envol.wire.fraud.names import data, parents

MOST_LINKS = 500
MOST_HTML = 512 * 1024
_URL = re.compile(r"(?i)\bhttps?://[^\s<>\"')\]]{3,2000}")
_NAME = re.compile(r"/?[A-Za-z][A-Za-z0-9]*")
_TAG = re.compile(r"(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
_HREF = re.compile(r"(?i)\bhref\s*=\s*[\"']?\s*([^\"'>]{1,2000})")
_PASSWORD = re.compile(r"(?i)\btype\s*=\s*[\"']?\s*password")
_SECRET_FIELD = re.compile(
    r"(?i)<input\b[^>]*\b(?:name|id|placeholder|aria-label)\s*=\s*[\"']?[^\"'>]{0,40}"
    r"(?:passw|passcode|pwd|mot de passe|kennwort|contrase|wachtwoord|senha|has[lł]o|cvv|cvc|otp)"
)
_ACTION = re.compile(r"(?i)\baction\s*=\s*[\"']?\s*([^\"'>\s]{1,2000})")
_REFRESH = re.compile(r"(?i)http-equiv\s*=\s*[\"']?\s*refresh")
_UNSEEN = re.compile(
    r"(?i)\bstyle\s*=\s*(?:\"[^\"]*|'[^']*|[^\s>]*)(?:display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all"
    r"|(?<![-\w])opacity\s*:\s*0(?![.\d])|font-size\s*:\s*[01](?:px|pt)?\s*(?=[;\"']|!|$))|^\w+\s(?:[^>]*\s)?hidden(?=[\s>=])"
)
_MAY_HIDE = re.compile(
    r"(?i)display\s*:\s*none|visibility\s*:|mso-hide|opacity\s*:\s*0|font-size\s*:\s*[01](?!\d)|\shidden[\s>=]"
)
"""Asked once of the whole, so that the tags of most letters are not asked one by one."""
_WHITE = r"(?:#fff(?:fff)?|white|rgb\(\s*255\s*,\s*255\s*,\s*255\s*\))"
_WHITE_WORDS = re.compile(rf"(?i)(?<![-\w])color\s*[:=]\s*[\"']?\s*{_WHITE}(?![0-9a-f])")
_GROUND = re.compile(r"(?i)(?:background(?:-color)?\s*:|bgcolor\s*=|background\s*=)\s*[\"']?\s*([^;\"'>]{1,80})")
_DOT = re.compile(r"\s*[=:]\s*[\"']?\s*[01](?:px)?(?![\d.%])")
_NO_END = frozenset({"br", "hr", "img", "input", "meta", "link", "area", "base", "col", "wbr", "source", "embed"})
_INLINE = frozenset(
    f"{end}{name}"
    for name in ("a", "b", "i", "u", "em", "strong", "span", "font", "small", "big", "wbr", "sup", "sub", "mark")
    for end in ("", "/")
)
_SHOWN = re.compile(r"(?i)^(?:https?://)?(?:[^\s/@]{1,64}@)?((?:[\w-]{1,63}\.)+[a-z]{2,24})(?::\d+)?(?:/\S*)?$")


@dataclass(frozen=True, slots=True)
class Link:
    """target: as written. host: of the target, in lower case; empty when it has none. shown: the host that the text
    pretends to be, if it looks like one."""

    target: str
    host: str
    shown: str = ""


@dataclass(slots=True)
class Page:
    """What an HTML part says and does."""

    text: str
    links: list[Link]
    asks_password: bool
    has_form: bool
    has_script: bool
    pictures: int = 0
    form_hosts: tuple[str, ...] = ()
    frame: str = ""  # what shows a page of elsewhere within the letter, or leaves it by itself
    hidden: frozenset[str] = frozenset()  # words that are there and that nobody sees, here or elsewhere in it
    seen: int = 0  # different words that are seen, where some are hidden


def page_of(html: str) -> Page:
    """Read an HTML part: its words, links, forms. Never raises, and takes time in proportion to its length: parsers
    that build a tree take the square of it for a deep one."""
    html = html[:MOST_HTML]
    reading = _Reading(_white_unseen(html), bool(_MAY_HIDE.search(html)))
    before, *pieces = html.split("<")
    reading.text.append(before)
    for piece in pieces:
        reading.take(piece)
    links = reading.links[:MOST_LINKS]
    known = {link.target for link in links}
    # Also where a tag is written so that only browsers find its end.
    for match in islice(_HREF.finditer(html), MOST_LINKS):
        target = unescape(match[1].strip())
        if target not in known and _leads(target):
            known.add(target)
            links.append(Link(target, host_of(target)))
    seen = reading.names
    asks_password = "input" in seen and bool(_PASSWORD.search(html) or _SECRET_FIELD.search(html))
    return Page(
        unescape("".join(reading.text)),
        links,
        asks_password,
        "form" in seen,
        "script" in seen,
        reading.pictures,
        tuple(reading.form_hosts),
        next((name for name in ("iframe", "frame", "object", "embed", "refresh") if name in seen), ""),
        *reading.unseen(),
    )


def _white_unseen(html: str) -> bool:
    """Is white what nobody sees? Where the letter has no ground of another colour."""
    if not _WHITE_WORDS.search(html):
        return False
    return all(re.match(rf"(?i)\s*(?:{_WHITE}|transparent|none)\s*$", found[1]) for found in _GROUND.finditer(html))


class _Reading:
    """A page, read from one ``<`` to the next."""

    def __init__(self, white: bool, hides: bool) -> None:
        self.text: list[str] = []
        self.shown: list[str] = []
        self.hidden: list[str] = []
        self.pictures = 0
        self.form_hosts: list[str] = []
        self._white = white
        self._looks = white or hides
        self._unseen: tuple[str, int] | None = None  # the element that nobody sees, and how often it is open
        self.links: list[Link] = []
        self.names: set[str] = set()
        self._until = ""  # what ends a stretch that nobody sees
        self._open: tuple[str, int] | None = None  # target of the link we are in, and where its text begins

    def take(self, piece: str) -> None:
        if self._until:
            if self._until == "-->" and "-->" in piece:
                self._until = ""
                self.text.append(piece.split("-->", 1)[1])
            elif piece[: len(self._until)].lower() == self._until:
                self._until = ""
            return
        if piece.startswith("!--"):
            if "-->" in piece:
                self.text.append(piece.split("-->", 1)[1])
            else:
                self._until = "-->"
            return
        found = _NAME.match(piece)
        if found is None:
            self.text.append(piece.partition(">")[2] if piece[:1] in ("!", "?") else piece)
            return
        name = found[0].lower()
        whole = _TAG.match(piece)
        after = piece[whole.end() :] if whole else piece.partition(">")[2]
        if name not in _INLINE:
            self.text.append(" ")
        if name in ("style", "script", "title"):
            self._until = f"/{name}"
            self.names.add(name)
            return
        tag = piece[: len(piece) - len(after)]
        if name in ("a", "/a", "area"):
            self._anchor(name, tag)
        elif name in ("form", "input", "iframe", "frame", "object", "embed"):
            self.names.add(name)
            if name == "form" and (action := _ACTION.search(tag)):
                self.form_hosts.append(host_of(unescape(action[1])))
        elif name == "meta" and _REFRESH.search(tag):
            self.names.add("refresh")
        elif name == "img" and not _is_dot(tag.lower()):
            self.pictures += 1
        if self._looks and name.lstrip("/") not in _NO_END:
            self._look_for_unseen(name, tag)
        self.text.append(after)
        (self.shown if self._unseen is None else self.hidden).append(after)

    def unseen(self) -> tuple[frozenset[str], int]:
        if not self.hidden:
            return frozenset(), 0
        shown = frozenset(unescape(" ".join(self.shown)).lower().split())
        hidden = frozenset(unescape(" ".join(self.hidden)).lower().split()) - shown
        return frozenset(word for word in hidden if any(map(str.isalnum, word))), len(shown)

    def _look_for_unseen(self, name: str, tag: str) -> None:
        if self._unseen is not None:
            what, depth = self._unseen
            if name.lstrip("/") == what:
                depth += -1 if name.startswith("/") else 1
                self._unseen = (what, depth) if depth else None
        elif "=" in tag and name[0] != "/" and name not in ("body", "html") and self._is_unseen(tag):
            self._unseen = name, 1

    def _is_unseen(self, tag: str) -> bool:
        return bool(_UNSEEN.search(tag) or (self._white and _WHITE_WORDS.search(tag)))

    def _anchor(self, name: str, tag: str) -> None:
        if self._open is not None:
            target, begins = self._open
            shown = "".join(islice(self.text, begins, begins + 40))
            self.links.append(Link(target, host_of(target), _pretends(unescape(shown))))
            self._open = None
        href = _HREF.search(tag) if name != "/a" else None
        if href and _leads(target := unescape(href[1].strip())):
            self._open = target, len(self.text)


def _is_dot(tag: str) -> bool:
    """A picture that counts openings and shows nothing?"""
    return any(side in tag and bool(_DOT.match(tag.partition(side)[2])) for side in ("width", "height"))


def _leads(target: str) -> bool:
    return bool(target) and not target.startswith(("#", "mailto:", "tel:", "{"))


def links_of(text: str) -> list[Link]:
    """The web addresses in a plain text."""
    if "://" not in text:
        return []
    found = (match[0].rstrip(".,;:!?") for match in _URL.finditer(text))
    return [Link(url, host_of(url)) for _, url in zip(range(MOST_LINKS), found, strict=False)]


def host_of(target: str) -> str:
    target = re.sub(r"[\t\r\n]", "", target).replace("\\", "/")  # as browsers read them
    try:
        host = urlsplit(
            target if "://" in target[:12] else f"https:{target}" if target.startswith("//") else target
        ).hostname
    except ValueError:
        return "?"
    return (host or "").rstrip(".").lower()


def _pretends(text: str) -> str:
    text = text.strip()
    if "." not in text or len(text) > 300:
        return ""
    found = _SHOWN.match(text)
    return found[1].lower() if found else ""


def is_address(host: str) -> bool:
    """An IP address in any of the ways in which browsers read one?"""
    if not host:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(re.fullmatch(r"(?:0x[0-9a-f]+|\d+)(?:\.(?:0x[0-9a-f]+|\d+)){0,3}", host))
    return True


@cache
def _kinds() -> dict[str, frozenset[str]]:
    return {kind: frozenset(hosts) for kind, hosts in data("hosts").items()}


def kind_of(host: str) -> str:
    """`shorteners`, `free`, `everyday` or `mailers`, or nothing."""
    above = parents(host)
    kinds = _kinds()
    return next(
        (kind for kind in ("shorteners", "free", "everyday", "mailers") if not kinds[kind].isdisjoint(above)), ""
    )


def thrown_away(host: str) -> bool:
    return host.rpartition(".")[2] in _kinds()["endings"]


def is_mailbox_host(domain: str) -> bool:
    return domain in _kinds()["mailboxes"]
