"""Returned mail told in words: the layouts of known programs, and a second opinion."""

from __future__ import annotations

import logging
import re
from email.header import Header
from email.message import Message

from envol.wire.bounce import rules
from envol.wire.bounce.judged import CODE, MAX_RECIPIENTS, STATUS, Explanation, Kind, Recipient, judged, reason_of
from envol.wire.bounce.reading import ADDRESS, addressee, header, inside, parts_of, text_of
from envol.wire.bounce.reports import status

_NEAR = 600  # characters behind the words of failure in which its addresses stand


def words(message: Message, parts: list[Message]) -> Explanation | None:
    named = [one.lower() for one in ADDRESS.findall(header(message, "X-Failed-Recipients"))]
    signs = _signs(message) + 2 * bool(named)
    if not signs:
        return None
    if signs < 2:
        return _second_opinion(message, parts)
    text = text_of(parts)
    low = text.lower()
    end = original(low)
    said, said_low = text[:end], low[:end]
    ours = {one.lower() for name in ("To", "From", "Return-Path") for one in ADDRESS.findall(header(message, name))}
    person = signs == 2 and not named and rules.PERSON.search(header(message, "From").lower()) is not None
    person = person and not rules.SUBJECTS.search(header(message, "Subject").lower())
    for layout in rules.LAYOUTS:
        if person and layout.name == "failure sentence":
            continue
        here = next((one for one in layout.here.finditer(said_low) if not _of_a_host(layout, one, said_low)), None)
        if here is None:
            continue
        found = _failed(layout, here, said, said_low, ours, named)
        if found or layout.delayed:
            kind: Kind = "delayed" if layout.delayed else "bounce"
            return Explanation(kind, f"words of {layout.name}", found)
    if named:
        return Explanation("bounce", "X-Failed-Recipients", [judged(one, True, "", said[:2000]) for one in named])
    if reason_of(said_low) or CODE.search(said):
        returned = addressee(parts)
        if returned:
            return Explanation("bounce", "a reason, and the returned header", [judged(returned, True, "", said[:2000])])
    return _passed_on(message, parts) or _second_opinion(message, parts)


def original(low: str) -> int:
    """Where the returned message begins in a text (in lower case).

    Programs also write ``Reporting-MTA:`` into their own words: what stands before it is all they say only if it tells
    a reason.
    """
    begins = rules.ORIGINAL.search(low)
    while begins and begins[0].startswith("reporting-mta"):
        before = low[: begins.start()]
        if reason_of(before) or CODE.search(before) or STATUS.search(before):
            break
        begins = rules.ORIGINAL.search(low, begins.end())
    return begins.start() if begins else len(low)


def _signs(message: Message) -> int:
    """How much of it looks like returned mail, before a word of its text was read."""
    sender = f"{header(message, 'From')} {header(message, 'Return-Path')}".lower()
    signs = bool(rules.SENDERS.search(sender)) + bool(rules.SUBJECTS.search(header(message, "Subject").lower()))
    signs += bool(rules.STRONG.search(header(message, "From").lower()))
    signs += header(message, "Return-Path") == "<>"
    return signs + 2 * (str(message.get_param("report-type", "") or "").lower() == "delivery-status")


def _passed_on(message: Message, parts: list[Message]) -> Explanation | None:
    """A report that a gateway put into a message of its own, with no word beside it."""
    passed = [part for part in parts if part.get_content_type() == "message/rfc822"]
    if len(passed) != 1 or text_of(parts).strip() or (inner := inside(passed[0])) is None:
        return None
    return status(list(parts_of(inner)))


def _second_opinion(message: Message, parts: list[Message]) -> Explanation | None:
    """What flufl.bounce finds where our rules find nothing; how bad it is, the words say."""
    from flufl.bounce import all_failures

    logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL)  # a detector that stumbles over a From is no news

    for name in ("From", "Subject", "Sender"):
        if isinstance(message.get(name), Header):  # raw octets: its detectors ask for words
            message.replace_header(name, header(message, name).encode("ascii", "replace").decode())
    _shorten(message)
    temporary, permanent = all_failures(message)
    found = {(one.decode("ascii", "replace").lower(), False) for one in temporary}
    found |= {(one.decode("ascii", "replace").lower(), True) for one in permanent}
    known = sorted(one for one in found if ADDRESS.fullmatch(one[0]))[:MAX_RECIPIENTS]
    if not known:
        return None
    text = " ".join(text_of(parts).split())[:4000]
    kind: Kind = "bounce" if any(failed for _, failed in known) else "delayed"
    return Explanation(
        kind, "second opinion: flufl.bounce", [judged(address, failed, "", text) for address, failed in known]
    )


MOST_LINE, MOST_LINES = 500, 512
"""For the second opinion, of all parts together: its patterns take time by the square of a line."""


def _shorten(message: Message) -> None:
    left = MOST_LINES
    for part in message.walk():
        body = part.get_payload()
        if not isinstance(body, str):
            continue
        lines = body.splitlines()
        if len(lines) > left or any(len(line) > MOST_LINE for line in lines):
            part.set_payload("\n".join(line[:MOST_LINE] for line in lines[:left]))
        left = max(0, left - len(lines))


def _who(layout: rules.Layout, here: re.Match[str], low: str, ours: set[str]) -> list[tuple[int, int, str]]:
    """Where which addresses stand that the words speak of: those behind the words, else those beside them."""
    places, told = [], []
    for match in layout.who.finditer(low):
        address = match[1].lower()
        for prefix in ("smtp=", "smtp:", "rfc822;"):
            address = address.removeprefix(prefix)
        if address in ours or rules.SENDERS.search(address.partition("@")[0]):
            continue
        place = (match.start(1), match.end(1), address)
        before = low[max(0, match.start(1) - 80) : match.start(1)]
        if not rules.NOT_WHO.search(before):
            places.append(place)
        elif rules.TO_LINE.search(before):
            told.append(place)
    if not places and len({address for _, _, address in told}) == 1:
        places = told
    if layout.anywhere:
        behind = [place for place in places if 0 <= place[0] - here.end() < _NEAR]
        line = low.rfind("\n", 0, here.start()) + 1
        places = behind or [place for place in places if line <= place[0]] or places[-1:]
    # Who was written to may have her mail sent on: it is her address that we know.
    places += [(match.start(1), match.end(1), match[1].lower()) for match in rules.OLD_ADDRESS.finditer(low)]
    return sorted(places)


def _of_a_host(layout: rules.Layout, here: re.Match[str], low: str) -> bool:
    """Are these words of delay in what a host replied? Its "deferred" may be the reason for which all was given up."""
    if not layout.delayed:
        return False
    line = low[low.rfind("\n", 0, here.start()) + 1 : here.start()]
    return CODE.search(line) is not None


def _failed(
    layout: rules.Layout, here: re.Match[str], said: str, low: str, ours: set[str], named: list[str]
) -> list[Recipient]:
    places = _who(layout, here, low, ours)
    if named:
        places = [place for place in places if place[2] in named] or [(0, 0, one) for one in named]
    found: dict[str, Recipient] = {}
    for index, (_, end, address) in enumerate(places[:MAX_RECIPIENTS]):
        if address in found:
            continue
        until = next((start for start, _, other in places[index + 1 :] if other != address), len(said))
        reason = " ".join(said[end:until].split())[:2000]
        if not (reason_of(reason) or CODE.search(reason) or STATUS.search(reason)):
            reason = " ".join(said.split())[:4000]
        match = STATUS.search(reason)
        found[address] = judged(address, not layout.delayed, ".".join(match.groups()) if match else "", reason)
    return list(found.values())
