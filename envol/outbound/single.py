"""Single messages that are measured: where their program asked for it, and as far as the person allows.

What is asked stands with the message from its acceptance. How far it goes is asked of
:func:`~envol.consent.gates.tracking_level` when the copy leaves, and again when a link or a pixel is hit, as with
campaigns. Envol's own mail to its members is never measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from envol.accounts.models import Workspace
from envol.consent.gates import Tracking, tracking_level
from envol.content import links
from envol.content.links import Kind, Target
from envol.content.single import links_in, measured
from envol.db import rows, value
from envol.wire.message.html_part import html_of, with_html

MEASURED = "measured"
"""In a message's stored header: {"opens": bool, "links": [address, …]}; absent where nothing was asked."""


def wanted(workspace: Workspace, opens: bool | None, clicks: bool | None) -> tuple[bool, bool]:
    """What a program asked for; where it says nothing, what the workspace does by default."""
    return workspace.single_opens if opens is None else opens, workspace.single_clicks if clicks is None else clicks


def facts(raw: bytes, *, opens: bool, clicks: bool, base_url: str) -> dict[str, Any]:
    """What is kept with a message whose program asked for this; without HTML there is nothing to measure."""
    html = html_of(raw) if opens or clicks else ""
    if not html:
        return {}
    return {MEASURED: {"opens": opens, "links": links_in(html, base_url) if clicks else []}}


def as_measured(
    raw: bytes, header: Mapping[str, Any], copy: tuple[int, int], message_id: int, level: Tracking, base_url: str
) -> bytes:
    """One copy, by (sending, no), as it leaves. In sum: a token that is the same for all who get this message."""
    asked = header.get(MEASURED)
    if not asked:
        return raw
    sending_id, no = copy
    pixel = ""
    if asked["opens"] and level.opens != "none":
        pixel = links.url(base_url, Kind.OPEN, sending_id, None if level.opens == "aggregate" else no)

    def address(link: int) -> str:
        if level.clicks == "individual":
            return links.url(base_url, Kind.CLICK, sending_id, no, link)
        return links.url(base_url, Kind.LETTER, sending_id, message_id, link)

    known = asked["links"]
    counted = address if known and level.clicks != "none" else None
    if counted is None and not pixel:
        return raw
    return with_html(raw, lambda html: measured(html, known, counted, pixel))


def level_of(workspace: Workspace, contact_id: int | None, allowed: int, refused: int, country: str | None) -> Tracking:
    """Of whoever is no contact nothing is known, and she gets the strictest."""
    return tracking_level(workspace, allowed, refused, country) if contact_id else tracking_level(workspace, 0, 0)


def leads_to(target: Target) -> str | None:
    """Where a link of a single message leads; None when there is none, or the message has gone."""
    if target.no is None:
        return None
    if target.kind is Kind.LETTER:
        found = value(
            "SELECT header->'measured'->'links'->>%s FROM outbound_message WHERE id = %s AND sending_id = %s",
            [target.link - 1, target.no, target.sending_id],
        )
        return str(found) if found else None
    key = (target.sending_id, target.no, target.link)
    return places([key]).get(key)


def places(keys: Iterable[tuple[int, int, int]]) -> dict[tuple[int, int, int], str]:
    """(sending, no, link) → where that link of a single message leads."""
    wanted = sorted(set(keys))
    found = rows(
        "SELECT s.sending_id, s.no, w.link, m.header->'measured'->'links'->>(w.link - 1)"
        " FROM unnest(%s::bigint[], %s::bigint[], %s::int[]) AS w (sending_id, no, link)"
        " JOIN outbound_send s ON s.sending_id = w.sending_id AND s.no = w.no"
        " JOIN outbound_message m ON m.id = s.message_id WHERE w.link > 0",
        [[one[column] for one in wanted] for column in range(3)],
    )
    return {(sending, no, link): url for sending, no, link, url in found if url}
