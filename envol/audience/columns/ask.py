"""Ask the audience process, from wherever pages are made: a line of JSON to its socket, a line back.

Small and quick to say no: without slabs, or when the door does not answer, the caller asks PostgreSQL, which always
knows. A caller that goes away ends its question.
"""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

from envol.audience.columns import door, store

CONNECT = 0.25  # seconds to reach the door; a sleeping engine takes longer to answer, not to be reached
LINE = 1 << 20  # bytes of an answer or a question


class Silent(Exception):
    """Nobody answered from columns; the text says why, for a log."""


class NoSlabs(Silent):
    """There are no columns here: the base is small, or they were not written yet."""


class Late(Silent):
    """The answer takes longer than it was given: the engine is waking, or the question is dear."""


class Overtaken(Exception):
    """A newer question of the same page took this one's place."""


class Asked:
    """A question on its way: it is sent when this is made, and the engine works while the caller does something else.

    Raises :class:`Silent` when nobody can be asked. ``began`` is the monotonic second it was sent. Closing it before
    the answer was read ends the question.
    """

    def __init__(self, data: Path, workspace_id: int, question: dict[str, Any]) -> None:
        home = store.folder(data, workspace_id)
        if not any((home / copy).exists() for copy in ("current", store.DISTRIBUTED)):
            raise NoSlabs("no slabs")
        path = door.way(data)
        if path is None:
            raise NoSlabs("no audience process")
        self.began = time.monotonic()
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._line.settimeout(CONNECT)
            self._line.connect(path)
            self._line.sendall(json.dumps({"workspace": workspace_id, **question}).encode() + b"\n")
        except OSError as error:
            self.close()
            raise _said(error) from None

    def close(self) -> None:
        self._line.close()

    def answer(self, seconds: float) -> dict[str, Any]:
        """The answer, waiting ``seconds`` from now at most. Raises :class:`Silent` or :class:`Overtaken`."""
        try:
            self._line.settimeout(seconds)
            got = b""
            while not got.endswith(b"\n"):
                more = self._line.recv(65536)
                if not more or len(got) > LINE:
                    raise Silent("the answer broke off")
                got += more
        except OSError as error:
            raise _said(error) from None
        finally:
            self.close()
        answer: dict[str, Any] = json.loads(got)
        if answer.get("overtaken"):
            raise Overtaken
        if "why" in answer:
            raise Silent(answer["why"])
        return answer


def _said(error: OSError) -> Silent:
    if isinstance(error, TimeoutError):
        return Late("no answer in time")
    return Silent(str(error) or type(error).__name__)


def ask(data: Path, workspace_id: int, question: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The answer to one question about a workspace. Raises :class:`Silent` or :class:`Overtaken`."""
    return Asked(data, workspace_id, question).answer(seconds)
