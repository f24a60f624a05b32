"""What a receiver took and the database does not know yet, in a file: read by the next courier if this one is killed.

Between a receiver's 250 and our commit lie a few milliseconds, and a courier that dies in them would send again what
has arrived. So each 250 is first a line of a file, then an outcome. Nobody waits for the disk: what a process has
written outlives it, and a machine that loses its power repeats what was in flight (RFC 1047), as without the file.

A file is held by a lock as long as its courier lives; whoever can take the lock is its heir: settles what it says,
gives back what the dead held, and removes it. Nothing in it names a person: numbers, and the receiver's words without
the address. The dialogues of these few messages are lost with the process.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import structlog

from envol.outbound import recovered
from envol.outbound.recovered import Told
from envol.outbound.settle import Result

log = structlog.get_logger()

MOST = 1 << 20
"""A file of so many octets is followed by another; it goes when all it says has long been in the database."""
ENDING = ".replies"

_encode = msgspec.json.Encoder().encode
_told = msgspec.json.Decoder(Told).decode
_name = msgspec.json.Decoder(str).decode


class _Part:
    """One file. `left`: lines whose outcome is not in the database; `quiet_since`: when the last of them got there."""

    def __init__(self, path: Path, courier: str) -> None:
        self.path = path
        self.left = 0
        self.quiet_since = 0.0
        self.torn = False
        early = path.with_suffix(".new")
        self.file = os.open(early, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, 0o600)
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX)
            head = _encode(courier) + b"\n"
            self.head = self.size = len(head)
            os.write(self.file, head)
            # Only now can others see it: a file without a lock is a dead courier's.
            early.rename(path)
        except BaseException:
            os.close(self.file)
            raise

    def write(self, line: bytes) -> None:
        # What a full disk left of the line before ends where it is.
        line = b"\n" + line if self.torn else line
        self.torn = True
        self.torn = os.write(self.file, line) != len(line)
        self.size += len(line)

    def empty(self) -> None:
        os.ftruncate(self.file, self.head)
        self.size, self.torn = self.head, False

    def close(self, *, keep: bool = False) -> None:
        if not keep:
            self.path.unlink(missing_ok=True)
        os.close(self.file)


class Journal:
    """Of one courier, used by its event loop alone. A disk that takes nothing costs the protection, never the work."""

    def __init__(self, directory: Path, courier: str, *, keep: float) -> None:
        """keep: seconds after which an outcome that was written cannot be lost by a crash of the database any more."""
        self._directory, self._courier, self._keep = directory, courier, keep
        self._parts: list[_Part] = []
        self._where: dict[int, _Part] = {}
        self._troubled = False

    def open(self) -> None:
        """Before anything is leased: an heir knows by the first file whose leases it may give back."""
        try:
            self._next()
        except OSError as error:
            log.warning("cannot keep a journal of replies", directory=str(self._directory), error=str(error))

    def note(self, result: Result) -> None:
        """A receiver took it. Before anything else happens to the result."""
        try:
            part = self._parts[-1] if self._parts and self._parts[-1].size < MOST else self._next()
            part.write(_encode(Told.of(result)) + b"\n")
        except OSError as error:
            if not self._troubled:
                self._troubled = True
                log.warning("cannot note replies, a killed courier would repeat more", error=str(error))
            return
        self._troubled = False
        part.left += 1
        self._where[id(result)] = part

    def settled(self, results: Sequence[Result], now: float) -> None:
        """These are in the database, for the first time or once more."""
        for result in results:
            if (part := self._where.pop(id(result), None)) is not None:
                part.left -= 1
                part.quiet_since = now
            elif result.state == "delivered":
                for part in self._parts:
                    part.quiet_since = now

    def tidy(self, now: float) -> None:
        """Forget what is safe by now."""
        for part in list(self._parts):
            if part.left or part.quiet_since > now - self._keep:
                continue
            try:
                if part is not self._parts[-1]:
                    self._parts.remove(part)
                    part.close()
                elif part.size > part.head:
                    part.empty()
            except OSError as error:
                log.warning("cannot tidy the journal of replies", error=str(error))

    def close(self, *, keep: bool = False) -> None:
        """The courier ends. keep: it could not write everything down, so the next one must."""
        for part in self._parts:
            part.close(keep=keep)
        self._parts.clear()
        self._where.clear()

    def _next(self) -> _Part:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A name of its own: numbers of processes come again.
        made = _Part(self._directory / f"{secrets.token_hex(8)}{ENDING}", self._courier)
        self._parts.append(made)
        return made


class Legacy:
    """One file of a courier that is dead; its lock is ours until `close`."""

    def __init__(self, path: Path, file: int) -> None:
        self._path, self._file = path, file
        self.courier = ""
        self.told: list[Told] = []
        head, *lines = path.read_bytes().split(b"\n")
        try:
            self.courier = _name(head)
        except msgspec.MsgspecError:
            return
        for line in lines:
            if line:
                try:
                    self.told.append(_told(line))
                except (msgspec.MsgspecError, ValueError):
                    pass  # torn by the kill or by a full disk: sent again, as it always was

    def close(self, *, done: bool) -> None:
        """done: all that it says is in the database."""
        if done:
            self._path.unlink(missing_ok=True)
        os.close(self._file)


def inherit(directory: Path) -> int:
    """Take over from couriers that died: write what they had heard, give back what they held; how many replies.

    Raises database errors: then nothing is forgotten, ask again.
    """
    found = list(_legacies(directory))
    done = False
    written = 0
    try:
        for legacy in found:
            written += recovered.write(legacy.told)
        # Only when all files of one courier are written: giving back ends the leases they count on.
        given = sum(recovered.bury(courier) for courier in {legacy.courier for legacy in found} if courier)
        done = True
    finally:
        for legacy in found:
            legacy.close(done=done)
    if written or (found and given):
        log.info("took over from a courier that died", replies=written, leases=given)
    return written


def _legacies(directory: Path) -> Iterator[Legacy]:
    """The files of dead couriers, each locked while it is looked at."""
    for path in sorted(directory.glob(f"*{ENDING}")):
        try:
            file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = os.fstat(file).st_nlink > 0  # else another heir was quicker
            found = Legacy(path, file) if alone else None
        except BlockingIOError:  # its courier lives
            found = None
        except BaseException:
            os.close(file)
            raise
        if found is None:
            os.close(file)
        else:
            yield found
    for path in directory.glob("*.new"):  # killed before it was named
        if path.stat().st_mtime < time.time() - 60:
            path.unlink(missing_ok=True)
