"""What is wrong with a message that would still leave: links, pictures, weight. Told by the version, not by a network.

Each finding is a code with facts; the sentences are those of the room that checks a campaign.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from selectolax.lexbor import LexborHTMLParser

from envol.content.gallery import ASKING
from envol.content.markup import MARKER
from envol.content.models import Version

WARN, ASK = 80_000, 100_000  # octets of HTML; Gmail clips near 102 kB
# Names that are kept for examples (RFC 2606) and lead nobody anywhere. The endings serve whole invented worlds, as the
# demonstration is one; an installation that captures all its mail may use them.
_EXAMPLE = re.compile(r"(^|\.)example\.(com|net|org)$")
_RESERVED = re.compile(r"(^|\.)(example|test|invalid|localhost)$")
_PERSONAL = re.compile(r"(?i)[^\s/?&=]+(@|%40)[a-z0-9-]+\.[a-z]")


@dataclass(frozen=True, slots=True)
class Finding:
    """``level``: block or advice. ``group``: links, images, weight."""

    level: str
    code: str
    group: str
    facts: dict[str, Any] = field(default_factory=dict)


def lint(version: Version, *, own_host: str = "", strict: bool = True) -> list[Finding]:
    """Findings of a version. ``own_host``: whose pictures are ours. ``strict``: mail leaves this machine, so names of
    invented worlds are mistakes.
    """
    return [*_links(version, strict), *_pictures(version, own_host, strict), *_weight(version)]


def _links(version: Version, strict: bool) -> list[Finding]:
    found: list[Finding] = []
    addresses = [(str(link["url"]), str(link.get("label", ""))) for link in version.links]
    for url, label in dict.fromkeys(addresses):
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        facts = {"url": url[:200], "label": label or host}
        if _EXAMPLE.search(host) or (strict and _RESERVED.search(host)):
            found.append(Finding("block", "link_example", "links", facts))
        elif "." not in host or _private(host):
            found.append(Finding("block", "link_inside", "links", facts))
        elif parts.scheme == "http":
            found.append(Finding("advice", "link_plain", "links", facts))
        if _PERSONAL.search(f"{parts.path}?{parts.query}"):
            found.append(Finding("block", "link_personal", "links", facts))
    words = Counter(label for _url, label in set(addresses) if label)
    found += [
        Finding("advice", "link_same_words", "links", {"label": label, "n": n}) for label, n in words.items() if n > 1
    ]
    asks = (version.design or {}).get("model") == ASKING  # it leads to each person's own choices
    if version.html and not addresses and not asks:
        found.append(Finding("advice", "no_link", "links"))
    return found


def _private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host.strip("[]")).is_global
    except ValueError:
        return False


def _pictures(version: Version, own_host: str, strict: bool) -> list[Finding]:
    if "<img" not in version.html.lower():
        return []
    found: list[Finding] = []
    page = LexborHTMLParser(MARKER.sub("#", version.html))
    decoration = _decoration(version)
    for image in page.css("img"):
        source, alt = image.attributes.get("src") or "", image.attributes.get("alt")
        name = source.split("?")[0].rpartition("/")[2][:60]
        if image.attributes.get("width") == "1" or "{{" in source:
            continue
        host = urlsplit(source).hostname or ""
        if not host and not source.startswith(("cid:", "data:")):
            found.append(Finding("block", "image_nowhere", "images", {"name": name}))
        elif source.startswith("data:"):
            found.append(Finding("block", "image_inside", "images", {"name": "data:"}))
        elif host != own_host and (_EXAMPLE.search(host) or (strict and _RESERVED.search(host))):
            found.append(Finding("block", "image_nowhere", "images", {"name": name}))
        elif host and host != own_host:
            found.append(Finding("advice", "image_elsewhere", "images", {"name": name, "host": host}))
        linked = image.parent is not None and image.parent.tag == "a"
        if alt is None or (not alt.strip() and (linked or not _is(source, decoration, version))):
            found.append(Finding("block", "image_no_words", "images", {"name": name}))
    return list({(f.code, str(f.facts)): f for f in found}.values())


def _decoration(version: Version) -> set[int] | None:
    """Pictures that the author marked as decoration; None for code, where an empty alt is that mark itself."""
    from envol.content import gallery

    design = gallery.opened(version.design)
    if design is None:
        return None
    return {
        value["media"]
        for _path, place, value in gallery.each(design)
        if place.kind == "picture" and value["media"] and value["decorative"]
    }


def _is(source: str, decoration: set[int] | None, version: Version) -> bool:
    if decoration is None:
        return True
    token = re.search(r"/m/([A-Za-z0-9_-]{22})/", source)
    if token is None:
        return True
    return version.workspace.media.filter(token=token.group(1), pk__in=decoration).exists()


def _weight(version: Version) -> list[Finding]:
    octets = len(version.html.encode())
    if octets > ASK:
        return [Finding("advice", "heavy", "weight", {"octets": octets})]
    return [Finding("advice", "rather_heavy", "weight", {"octets": octets})] if octets > WARN else []
