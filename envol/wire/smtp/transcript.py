"""A dialogue as people read it: who said what, without the message and without secrets.

While a session runs only references are gathered (`Client.opening`, `Client.talks`): a courier says the same few lines
a thousand times a second, and most dialogues are never read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .grammar import Reply

Said = bytes | Reply | str
"""A command of ours as it left, a reply of theirs, or a note on what is not kept (the message, the handshake)."""

MOST = 4000
"""Characters kept of a dialogue: a host may send replies of any length."""
_OURS = re.compile(r"^C: MAIL FROM:.*$", re.MULTILINE)
_ADDRESS = re.compile(r"[^\s<>@\"]{1,64}@[^\s<>\"]{1,255}")


def written(said: Iterable[Said]) -> str:
    """One line for each line said: ``C:`` ours, ``S:`` theirs, ``*`` a note."""
    lines: list[str] = []
    for one in said:
        if isinstance(one, bytes):
            lines.append("C: " + one.decode("utf-8", "replace").rstrip("\r\n"))
        elif isinstance(one, str):
            lines.append("* " + one)
        else:
            lines += ["S: " + line for line in one.to_bytes().decode("utf-8", "replace").split("\r\n")[:-1]]
    return "\n".join(lines)[:MOST]


def without_address(text: str, recipient: str) -> str:
    """The dialogue without the person it was about. Our own reverse-path stays: it names nobody to others."""
    text = text.replace(f"RCPT TO:<{recipient}>", "RCPT TO:<recipient>")
    if text.count("@") > text.count("C: MAIL FROM:"):
        ours = _OURS.search(text)
        head, tail = (text[: ours.end()], text[ours.end() :]) if ours else ("", text)
        text = head + _ADDRESS.sub("<address>", tail)
    return text
