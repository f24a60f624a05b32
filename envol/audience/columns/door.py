"""The door of the audience process: a socket that is always open, behind which the engine sleeps.

Only the standard library: while nobody asks, this process is all there is (10 MB). The first question wakes the
engine, a child that inherits the socket; after ten quiet minutes it ends. The way to the socket stands in
``DATA/columns/door``, because the path of a data directory may be longer than a socket's name may be.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

LISTENING = "ENVOL_DOOR"  # number of the inherited socket
_LIMIT = 100  # bytes of a socket's path, with room to spare
_PAUSE = 1.0  # seconds before an engine that ended at once is woken again


def _note(data: Path) -> Path:
    return data / "columns" / "door"


def way(data: Path) -> str | None:
    """The path of the socket, None when no door was ever opened here."""
    try:
        return _note(data).read_text().strip() or None
    except OSError:
        return None


def listen(data: Path) -> socket.socket:
    """Open the door anew and leave word where."""
    home = data / "columns"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = home / "socket"
    if len(os.fsencode(path)) > _LIMIT:
        path = Path(tempfile.mkdtemp(prefix="envol-")) / "socket"  # 0700
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    door.bind(os.fspath(path))
    os.chmod(path, 0o600)
    door.listen(64)
    note = home / "door.new"
    note.write_text(os.fspath(path))
    os.replace(note, _note(data))
    return door


def keep(data: Path, engine: list[str], ready: Callable[[], None], **more: str) -> None:
    """Hold the door until SIGTERM; ``engine`` is the command that serves it, started when somebody knocks.

    ``more`` goes into its environment.
    """
    door = listen(data)
    child: subprocess.Popen[bytes] | None = None
    told, tell = socket.socketpair()
    tell.setblocking(False)
    signal.set_wakeup_fd(tell.fileno())
    ended = False

    def end(*_: object) -> None:
        nonlocal ended
        ended = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # it only wakes us
    ready()
    while not ended:
        if child is None:
            knocked, _, _ = select.select([door, told], [], [])
        else:
            knocked, _, _ = select.select([told], [], [])
        if told in knocked:
            told.recv(4096)
        if child is not None and child.poll() is not None:
            if child.returncode:
                time.sleep(_PAUSE)
            child = None
        elif child is None and door in knocked and not ended:
            env = {**os.environ, **more, LISTENING: str(door.fileno())}
            child = subprocess.Popen(engine, env=env, pass_fds=[door.fileno()])
    if child is not None:
        child.terminate()
        child.wait()
    with contextlib.suppress(OSError):
        _note(data).unlink()
