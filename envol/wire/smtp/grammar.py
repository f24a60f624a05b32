"""What both sides of an SMTP dialogue share: replies, paths, the coding of DATA."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

MAX_REPLY_LINE = 4096
"""Bytes of one reply line we put up with. RFC 5321 §4.5.3.1.5 says 512; real servers add long links."""

MAX_REPLY_LINES = 100

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:\s+|$)")


class Stage(StrEnum):
    """Where a session stands: the command whose reply is awaited.

    `END_OF_DATA` begins when the final dot is handed out: from then on a lost
    connection leaves the message in doubt (RFC 1047).
    """

    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    HANDSHAKE = "handshake"
    AUTH = "auth"
    IDLE = "idle"
    RSET = "rset"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    END_OF_DATA = "end_of_data"
    QUIT = "quit"
    CLOSED = "closed"


class Reply(NamedTuple):
    """One whole reply. `lines` hold the text without basic and enhanced codes."""

    code: int
    enhanced: str | None
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The words of all lines, joined by a space."""
        return self.lines[0] if len(self.lines) == 1 else " ".join(self.lines)

    @property
    def positive(self) -> bool:
        """2yz: the other side did it."""
        return 200 <= self.code < 300

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.code), self.enhanced, self.text) if part)

    def to_bytes(self) -> bytes:
        """The reply as a server writes it, the enhanced code on every line (RFC 2034 §4)."""
        prefix = f"{self.enhanced} " if self.enhanced else ""
        rows = [f"{self.code}-{prefix}{line}" for line in self.lines[:-1]]
        rows.append(f"{self.code} {prefix}{self.lines[-1] if self.lines else ''}")
        return ("\r\n".join(row.rstrip() for row in rows) + "\r\n").encode("utf-8", "replace")


def reply(code: int, enhanced: str | None, *lines: str) -> Reply:
    """A reply of our own. Line ends inside the texts become spaces: they would forge a second reply."""
    return Reply(code, enhanced, tuple(_one_line(line) for line in lines) or ("",))


def _one_line(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


class ReplySyntaxError(ValueError):
    """The other side did not speak SMTP; the sentence says what was wrong."""


class ReplyReader:
    """Cuts a stream of bytes into replies (RFC 5321 §4.2).

    Contrary to RFC 5321 §2.3.8 a lone LF also ends a line of a *reply*: some old
    appliances write so, and nothing of ours can be smuggled in by it.
    Memory is bounded by MAX_REPLY_LINE × MAX_REPLY_LINES.
    """

    __slots__ = ("_buffer", "_code", "_enhanced", "_lines")

    def __init__(self) -> None:
        self._buffer = b""
        self._code = 0
        self._enhanced: str | None = None
        self._lines: list[str] = []

    def feed(self, data: bytes) -> None:
        """Add what arrived."""
        self._buffer = self._buffer + data if self._buffer else bytes(data)

    def discard(self) -> int:
        """Forget everything not yet read, and tell how many bytes that was."""
        count = len(self._buffer)
        self.__init__()  # type: ignore[misc]
        return count

    @property
    def pending(self) -> bool:
        """Has a reply begun that is not whole yet?"""
        return bool(self._buffer or self._lines)

    def next(self) -> Reply | None:
        """The next whole reply, or None until more bytes come. Raises ReplySyntaxError."""
        while True:
            buffer = self._buffer
            end = buffer.find(b"\n")
            if end < 0:
                if len(buffer) > MAX_REPLY_LINE:
                    raise ReplySyntaxError(f"a reply line is longer than {MAX_REPLY_LINE} bytes")
                return None
            if end > MAX_REPLY_LINE:
                raise ReplySyntaxError(f"a reply line is longer than {MAX_REPLY_LINE} bytes")
            line = buffer[: end - 1] if buffer[end - 1 : end] == b"\r" else buffer[:end]
            self._buffer = buffer[end + 1 :]
            reply = self._line(line)
            if reply is not None:
                return reply

    def _line(self, line: bytes) -> Reply | None:
        more, single = _reply_line(line)
        if not self._lines:
            if not more:
                return single
            self._code, self._enhanced = single.code, single.enhanced
        elif single.code != self._code:
            raise ReplySyntaxError(f"a reply changes its code from {self._code} to {single.code} on the way")
        elif self._enhanced is None:
            self._enhanced = single.enhanced
        self._lines += single.lines
        if more:
            if len(self._lines) >= MAX_REPLY_LINES:
                raise ReplySyntaxError(f"a reply has more than {MAX_REPLY_LINES} lines")
            return None
        whole = Reply(self._code, self._enhanced, tuple(self._lines))
        self._lines = []
        return whole


@lru_cache(maxsize=256)
def _reply_line(line: bytes) -> tuple[bool, Reply]:
    """One line: do more lines follow, and the reply it would be alone. Most lines are seen again and again."""
    code, mark = line[:3], line[3:4]
    if len(code) != 3 or not code.isdigit() or not b"200" <= code <= b"599" or mark not in b" -":
        raise ReplySyntaxError(f"this is not a reply line: {line[:60]!r}")
    text = line[4:].decode("utf-8", "replace")
    if not text.isprintable():
        text = _one_line(text)
    enhanced = None
    # A class that contradicts the basic code says nothing sure: it stays in the text.
    if text[1:2] == "." and text[0] == chr(code[0]) and (match := _ENHANCED.match(text)):
        enhanced = match[1]
        text = text[match.end() :]
    return mark == b"-", Reply(int(code), enhanced, (text,))


@lru_cache(maxsize=256)
def whole_replies(data: bytes) -> tuple[Reply, ...]:
    """The replies these bytes are, when they are nothing but whole replies of one line each; else none.

    The answers to MAIL, RCPT and DATA are the same for message after message. Whatever is unusual is for `ReplyReader`.
    """
    lines = data.split(b"\r\n")
    if len(data) > 512 or lines.pop():
        return ()
    try:
        found = [_reply_line(line) for line in lines if b"\n" not in line]
    except ReplySyntaxError:
        return ()
    if len(found) != len(lines) or any(more for more, _ in found):
        return ()
    return tuple([single for _, single in found])


def crlf_only(message: bytes | bytearray) -> bool:
    """Does every CR and LF of these bytes belong to a CRLF? (RFC 5321 §2.3.8)"""
    pairs = message.count(b"\r\n")
    return message.count(b"\n") == pairs and message.count(b"\r") == pairs


def encode_data(message: bytes) -> bytes:
    """A message as it travels after DATA: dot-stuffed, with the final dot.

    The line ends must be CRLF and nothing else: we never repair one side of a line
    end, because two programs that repair differently can be played against each other.
    A missing last CRLF is added. Raises ValueError.
    """
    if not crlf_only(message):
        raise ValueError("The message has a bare CR or LF: every line must end with CRLF.")
    stuffed = stuffed_lines(message)
    if not stuffed or stuffed.endswith(b"\r\n"):
        return stuffed + b".\r\n"
    return stuffed + b"\r\n.\r\n"


def stuffed_lines(lines: bytes) -> bytes:
    """Lines as they travel after DATA (RFC 5321 §4.5.2); the first byte begins a line."""
    # The search is twice as fast as a replacement that finds nothing.
    stuffed = lines.replace(b"\r\n.", b"\r\n..") if b"\r\n." in lines else lines
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


def is_encoded_data(data: bytes) -> bool:
    """Is the end of data at the end of these bytes, and nowhere before?

    The one thing that must hold for what `encode_data` gave: an earlier end of data
    would turn the rest of the message into commands.
    """
    if data.startswith(b".\r\n"):
        return len(data) == 3
    return len(data) >= 5 and data.find(b"\r\n.\r\n") == len(data) - 5


_FORBIDDEN_IN_PATH = re.compile(r"[\x00-\x20\x7f<>]")


def check_path(path: str) -> None:
    """Raise ValueError unless the address may stand between < and > of a command of ours.

    Only what would break the command is refused; whether the mailbox makes sense is
    for `wire.address`.
    """
    if _FORBIDDEN_IN_PATH.search(path):
        raise ValueError("An envelope address contains a space, a control character, '<' or '>'.")
    if len(path) > 254:
        raise ValueError("An envelope address is longer than 254 characters (RFC 5321 §4.5.3.1.3).")
