"""Octets of a client: where a command line ends, and where a message does. What they mean is `server`'s to say.

Only CRLF ends a line and only CRLF.CRLF a message (RFC 5321 §2.3.8, §4.1.1.4): a bare CR or LF that one program takes
for an end and another does not is how mail is smuggled in. What is too long is read on and forgotten, up to a bound.
"""

from __future__ import annotations

from enum import Enum, auto

from .grammar import crlf_only

MAX_COMMAND_LINE = 512
MAX_PATH_LINE = 1024
"""MAIL and RCPT, which extensions lengthen (RFC 1870 §3, RFC 4954 §3, RFC 6531 §3.4)."""
MAX_AUTH_LINE = 12288
"""RFC 4954 §4."""
MAX_SKIPPED = 65536
"""Bytes of an endless command line we put up with before closing."""

_LIMITS = {b"AUTH": MAX_AUTH_LINE, b"MAIL": MAX_PATH_LINE, b"RCPT": MAX_PATH_LINE}


class Fault(Enum):
    """What is wrong with a line or a message. TOO_LONG: it was read to its end all the same; ENDLESS: it has none."""

    TOO_LONG = auto()
    ENDLESS = auto()
    BARE_LINE_END = auto()


class Incoming:
    """What arrived and was not read yet. max_size: octets of a message, without stuffed dots."""

    def __init__(self, max_size: int) -> None:
        self.buffer = bytearray()
        self._max_size = max_size
        self._passed = 0  # octets that were too many and are forgotten
        self._skipping = False
        self._searched = 0

    def line(self, *, in_login: bool) -> bytes | Fault | None:
        """The next command line without its CRLF; None when more bytes are needed."""
        buffer = self.buffer
        end = buffer.find(b"\n")
        if self._skipping or end >= 0 or len(buffer) >= MAX_COMMAND_LINE:
            limit = MAX_AUTH_LINE if in_login else _LIMITS.get(bytes(buffer[:4]).upper(), MAX_COMMAND_LINE)
            if not self._skipping and (end >= limit or (end < 0 and len(buffer) >= limit)):
                self._skipping, self._passed = True, 0
            if self._skipping:
                if end < 0:
                    self._passed += len(buffer)
                    buffer.clear()
                    return Fault.ENDLESS if self._passed > MAX_SKIPPED else None
                del buffer[: end + 1]
                self._skipping = False
                return Fault.TOO_LONG
        if end < 0:
            return None
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        if not line.endswith(b"\r") or line.find(b"\r") != len(line) - 1:
            return Fault.BARE_LINE_END
        return line[:-1]

    def begin_message(self) -> None:
        """DATA was taken: what follows is a message. It begins with the CRLF of that line, so that a lone dot ends an
        empty one."""
        self.buffer[:0] = b"\r\n"
        self._searched = self._passed = 0

    def message(self) -> bytes | Fault | None:
        """A message until CRLF.CRLF and nothing else, without stuffed dots; None when more bytes are needed."""
        buffer = self.buffer
        end = buffer.find(b"\r\n.\r\n", self._searched)
        if end < 0:
            self._searched = max(0, len(buffer) - 4)
            # Stuffed dots make a message at most a third longer; the exact size is judged at the end.
            if self._passed or len(buffer) > self._max_size * 3 // 2 + 64:
                self._passed += len(buffer) - 4
                del buffer[:-4]
                self._searched = 0
                if self._passed > 4 * self._max_size + 65536:
                    return Fault.ENDLESS
            return None
        raw = bytes(buffer[: end + 2])
        del buffer[: end + 5]
        if self._passed:
            return Fault.TOO_LONG
        if not crlf_only(raw):
            return Fault.BARE_LINE_END
        # RFC 5321 §4.5.2: undo dot-stuffing.
        data = raw.replace(b"\r\n.", b"\r\n")[2:]
        return data if len(data) <= self._max_size else Fault.TOO_LONG
