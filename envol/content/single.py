"""Links and pixel of a single message that its program asked to be measured, put where a campaign's would stand.

Nothing else of its HTML changes. Links to our own pages (leaving, preferences) are never counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from envol.content.markup import MARKER, Link, Links, rewrite_links
from envol.content.templates import before_body_end

MOST_LINKS = 1000


def links_in(html: str, base_url: str) -> list[str]:
    """Where its links lead, each address once, in the order they stand in."""
    _, found = _marked(html)
    ours = f"{base_url.rstrip('/')}/"
    return list(dict.fromkeys(one.url for one in found if not one.url.startswith(ours)))[:MOST_LINKS]


def measured(html: str, known: Sequence[str], address: Callable[[int], str] | None, pixel: str) -> str:
    """The HTML as it leaves. known: its links as `links_in` told them; address: of a link's number, from 1, what stands
    instead of it, None to leave all of them; pixel: an address, empty for none."""
    if address is not None and known:
        numbers = {url: number for number, url in enumerate(known, 1)}
        marked, found = _marked(html)
        instead = [address(numbers[one.url]) if one.url in numbers else one.raw for one in found]
        html = MARKER.sub(lambda mark: instead[int(mark[1]) - 1], marked)
    if pixel:
        html = before_body_end(html, f'<img src="{pixel}" width="1" height="1" alt="" style="display:block">')
    return html


def _marked(html: str) -> tuple[str, list[Link]]:
    if MARKER.search(html):  # somebody wrote what we would write: it stays, and so does the rest
        return html, []
    links = Links({})
    marked, _ = rewrite_links(html, [], links)
    return marked, links.found
