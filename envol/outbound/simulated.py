"""SIMULATION: receivers that refuse, for demonstrations and tests. Only in the local route's inbox.

Real receivers bounce, defer and are slow; the local inbox, which takes everything, would show none of it. So some
recipient addresses make it answer as a real host would. Nothing here is used when mail leaves the machine.

| recipient | answer |
| --- | --- |
| `bounce+550-5.1.1@…`, `bounce+550-5.1.1.anything@…` | that reply at RCPT, always: any 4yz or 5yz code |
| `full@…`, `full.anything@…` | 552 5.2.2 mailbox full |
| `greylist@…`, `greylist.anything@…` | 451 4.7.1 the first time, then accepted |
| `…@slow.example`, `…@slow.test` | accepted two seconds after the final dot |
| `…@busy.example`, `…@busy.test` | every fifth session gets 421 4.7.0 and is closed |
"""

from __future__ import annotations

import re
from typing import NamedTuple

from envol.wire.address import domain_of
from envol.wire.smtp.grammar import Reply, reply

_CODED = re.compile(r"bounce\+([45]\d\d)(?:-([45]\.\d{1,3}\.\d{1,3}))?(?:\..*)?")
_MOST_SEEN = 100_000

SLOW_SECONDS = 2.0


class Behaviour(NamedTuple):
    """What a simulated receiver does with a recipient: `refusal` at RCPT, seconds before the last reply, or 421."""

    refusal: Reply | None = None
    delay: float = 0.0
    close: bool = False


_SAYS = {
    "5.1.1": "No such user here",
    "5.2.1": "This mailbox is disabled",
    "5.2.2": "The mailbox is full",
    "5.7.1": "The message looks like spam",
    "4.2.0": "The mailbox is busy, try again later",
    "4.7.1": "Greylisted, try again later",
}


class Receivers:
    """The simulated receivers; they remember who knocked before, as greylisting does (RFC 6647)."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._busy = 0

    def behaviour(self, recipient: str) -> Behaviour:
        """How a recipient is received now."""
        local, domain = recipient.partition("@")[0].lower(), domain_of(recipient)
        if (found := _CODED.fullmatch(local)) is not None:
            code, enhanced = int(found[1]), found[2]
            if enhanced is not None and enhanced[0] != found[1][0]:
                enhanced = None
            text = _SAYS.get(enhanced or "", "Refused")
            return Behaviour(reply(code, enhanced, f"{text} (simulated)"))
        if local == "full" or local.startswith("full."):
            return Behaviour(reply(552, "5.2.2", "The mailbox is full (simulated)"))
        if local == "greylist" or local.startswith("greylist."):
            if recipient.lower() not in self._seen:
                if len(self._seen) >= _MOST_SEEN:
                    self._seen.clear()
                self._seen.add(recipient.lower())
                return Behaviour(reply(451, "4.7.1", "Greylisted, try again later (simulated)"))
            return Behaviour()
        if domain in ("slow.example", "slow.test"):
            return Behaviour(delay=SLOW_SECONDS)
        if domain in ("busy.example", "busy.test"):
            self._busy += 1
            return Behaviour(close=self._busy % 5 == 0)
        return Behaviour()
