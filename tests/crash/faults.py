"""What the world does to Envol beside killing it: the database stopped at once, its disk full, its clock thrown.

A run that is told `--victims stop|full|clock` meets one of these at each of its random moments, and is judged as after
kills. A full disk needs root (a small tmpfs is mounted), a thrown clock Debian's libfaketime.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from envol.run.embedded import Embedded
from envol.run.embedded_host import binaries, shared_programs

if TYPE_CHECKING:
    from tests.crash.machine import Machine

FAULTS = ("stop", "full", "clock")
SMALL_MIB = 1500
"""Room for the database of a run of some ten thousand messages, and little more."""
FULL_SECONDS = 3.0
AWAY_SECONDS = 5.0
DAY = 86_400


def missing(fault: str) -> str:
    """Why this fault cannot be made here, or nothing."""
    if fault == "full" and os.geteuid() != 0:
        return "a small disk is mounted by root alone"
    if fault == "clock" and _library() is None:
        return "libfaketime is not installed (apt-get install libfaketime)"
    return ""


# ---- the database stops at once, and comes back when it likes


def stop(machine: Machine) -> None:
    """`pg_ctl stop -m immediate`: no checkpoint, everybody is cut; for up to five seconds nobody is there."""
    pid = machine.cluster._postmaster_pid()
    if pid is not None:
        os.kill(pid, signal.SIGQUIT)
        while machine.cluster.alive():
            time.sleep(0.005)
    time.sleep(machine.random.uniform(0, AWAY_SECONDS))
    machine.revive_database()


# ---- a disk without room


@contextlib.contextmanager
def small_disk(cluster: Embedded) -> Iterator[None]:
    """The cluster, which is stopped, lives on a disk of its own meanwhile."""
    base = cluster._base
    disk = base.with_name(base.name + "-small")
    disk.mkdir(mode=0o755)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_MIB}m", "tmpfs", disk], check=True)
    try:
        subprocess.run(["cp", "-a", f"{base}/.", disk], check=True)
        subprocess.run(["mount", "--bind", disk, base], check=True)
        try:
            yield
        finally:
            cluster.stop()
            subprocess.run(["umount", base], check=True)
    finally:
        subprocess.run(["umount", disk], check=True)
        disk.rmdir()


def full(machine: Machine) -> str:
    """For some seconds not a page can be added; what is wrong with that, or nothing."""
    from django.db import DatabaseError, connection

    from envol import db

    ballast = machine.cluster._base / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 20))
    wrong = "The disk was full, and the database found room all the same."
    try:
        db.execute("CREATE TABLE crash_probe AS SELECT repeat(n::text, 50) FROM generate_series(1, 100000) n")
    except DatabaseError:
        wrong = ""
    finally:
        connection.close()
    time.sleep(FULL_SECONDS)
    ballast.unlink()
    machine.revive_database()  # it may have given up: no room for its log is the end of it
    machine.patiently(lambda: db.execute("DROP TABLE IF EXISTS crash_probe"))
    return wrong


# ---- a clock that jumps


def _library() -> Path | None:
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def with_a_clock(directory: Path) -> Path:
    """Programs of PostgreSQL that read their clock through `directory/clock`."""
    directory.chmod(0o711)
    clock, programs = directory / "clock", directory / "programs"
    programs.mkdir(mode=0o755)
    real = shared_programs() if os.geteuid() == 0 else binaries()
    (programs / "initdb").symlink_to(real / "initdb")
    wrapper = programs / "postgres"
    wrapper.write_text(
        f"#!/bin/sh\nexport LD_PRELOAD={_library()} FAKETIME_TIMESTAMP_FILE={clock} FAKETIME_CACHE_DURATION=1\n"
        # Only the clock of the day: what waits for a time of its own goes on, as on a machine whose clock is set.
        "export FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1\n"
        f'exec {real / "postgres"} "$@"\n'
    )
    wrapper.chmod(0o755)
    set_clock(directory, 0)
    return programs


def set_clock(directory: Path, seconds: int) -> None:
    new = directory / "clock.new"
    new.write_text(f"{seconds:+d}\n")
    new.chmod(0o644)
    new.replace(directory / "clock")


def jump(machine: Machine) -> str:
    """A day forward or back, seen by the database within a second; what is wrong with that, or nothing."""
    before = machine.ask("SELECT extract(epoch FROM clock_timestamp())")[0][0]
    machine.days += machine.random.choice([-1, 1])
    set_clock(machine.directory, machine.days * DAY)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if abs(machine.ask("SELECT extract(epoch FROM clock_timestamp())")[0][0] - before) > DAY / 2:
            time.sleep(1.2)  # until each of its processes has seen it
            machine.sweep()  # as the worker does every few seconds: a lease is over by the clock alone
            return ""
        time.sleep(0.1)
    return "The clock was set, and the database did not see it."
