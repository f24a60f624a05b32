"""BDAT at the receiving side (RFC 3030): a message in chunks of announced length, without stuffed dots.

The length alone says where a chunk ends, so nothing inside it can be taken for its end, and a refused chunk is read to
its last octet all the same: what follows it in the pipeline is a command, and what is in it never is.
"""

from __future__ import annotations

import re

from .grammar import Reply

_ARGUMENT = re.compile(r"(\d{1,20})(?: +(LAST))?", re.IGNORECASE | re.ASCII)


def parse(argument: str) -> tuple[int, bool] | None:
    """(octets, is it the last?) of what stands behind BDAT; None: it cannot be read, and nobody knows what follows."""
    found = _ARGUMENT.fullmatch(argument.strip())
    return None if found is None else (int(found[1]), found[2] is not None)


class Chunk:
    """One chunk on its way in. `refusal`: it is read and forgotten, and this is its answer."""

    def __init__(self, octets: int, *, last: bool, refusal: Reply | None) -> None:
        self.octets, self.last, self.refusal = octets, last, refusal
        self.left = octets

    def take(self, buffer: bytearray, into: bytearray) -> bool:
        """Move what has arrived; is it whole?"""
        part = buffer[: self.left]
        del buffer[: self.left]
        self.left -= len(part)
        if self.refusal is None:
            into += part
        return not self.left
