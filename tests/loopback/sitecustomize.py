"""Python imports this at start when its folder is on PYTHONPATH: a process that reaches for another machine is caught.

Each such try is written to the file named by CALLS_OUTSIDE and refused, as a machine without a network would. What is
asked of a name server on this machine counts too: it would pass the question on.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from typing import Any

_noted = os.environ.get("CALLS_OUTSIDE", "")


def _inside(where: Any) -> bool:
    if not isinstance(where, tuple):  # a socket of this machine's file system
        return True
    host, port = str(where[0]).split("%")[0], where[1]
    if port == 53:
        return False
    try:
        return host in ("", "localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse(what: str, where: Any) -> None:
    with open(_noted, "a") as out:
        out.write(f"{what} {where} by {' '.join(sys.argv[:3])}\n")
    raise OSError(101, f"Network is unreachable: {where}")


def _guarded(name: str, place: int) -> None:
    before = getattr(socket.socket, name)

    def call(self: socket.socket, *given: Any) -> Any:
        family = self.family in (socket.AF_INET, socket.AF_INET6)
        if family and len(given) > place and given[place] is not None and not _inside(given[place]):
            _refuse(name, given[place])
        return before(self, *given)

    setattr(socket.socket, name, call)


if _noted:
    _guarded("connect", 0)
    _guarded("connect_ex", 0)
    _guarded("sendmsg", 3)
    _sendto = socket.socket.sendto

    def _send(self: socket.socket, data: Any, *given: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _inside(given[-1]):
            _refuse("sendto", given[-1])
        return _sendto(self, data, *given)

    socket.socket.sendto = _send  # type: ignore[method-assign,assignment]
