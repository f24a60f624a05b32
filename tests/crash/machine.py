"""One installation under fire: its own database cluster, its processes, and the hand that kills them."""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.crash import faults

ROOT = Path(__file__).resolve().parents[2]
CONNECTIONS = 20
COURIERS = 2
LEASE_SECONDS = 60
ALL = CONNECTIONS * COURIERS
IN_FLIGHT = {
    "courier": CONNECTIONS,
    "backend": ALL,
    "postmaster": ALL,
    "peer": 1,
    "stop": ALL,
    "full": ALL,
    "clock": 2 * ALL,
}
"""Messages at most between DATA and their outcome in the database, by what is killed. A killed courier had its own;
a killed database leaves those of all couriers in doubt; a cut connection carries one. A clock that jumps a day takes
leases from who holds them: what was in flight, and what follows until the loss is heard of."""
CAMPAIGN = 10**9
"""Numbers of the campaign's people begin here, those of single messages at 0."""
REFUSED = 20
"""One of so many people never allowed the newsletter."""
HTML = "<html><body><p>Bonjour</p><p><a href='{{ unsubscribe_url }}'>Me désabonner</a></p></body></html>"


class Journal:
    """A journal as it grows: numbers, one a line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: Counter[int] = Counter()
        self.lines = 0
        self._at = 0

    def read(self) -> Journal:
        """What was added since the last look, half a line left for the next one."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._at)
                whole = file.read().rpartition(b"\n")[0]
            if whole:
                self._at += len(whole) + 1
                numbers = [int(line) for line in whole.split()]
                self.seen.update(numbers)
                self.lines += len(numbers)
        return self

    @property
    def repeated(self) -> int:
        return self.lines - len(self.seen)


class Machine:
    """Everything of one run, in a directory of its own."""

    def __init__(self, directory: Path, seed: int, only: str = "") -> None:
        self.directory = directory
        self.only = only
        self.days = 0  # by which the database's clock is wrong
        self.random = random.Random(seed)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environments: dict[str, dict[str, str]] = {}
        self.promised = Journal(directory / "promised")
        self.arrived = Journal(directory / "arrived")
        self.log = (directory / "log").open("ab")

    # ---- database

    @contextlib.contextmanager
    def database(self) -> Iterator[None]:
        for name in [name for name in os.environ if name.startswith("ENVOL_")]:
            del os.environ[name]
        from envol.run.embedded import Embedded

        programs = faults.with_a_clock(self.directory) if self.only == "clock" else None
        self.cluster = Embedded(self.directory / "data", postgres_bin=programs)
        self.url = self.cluster.start()
        disk = contextlib.ExitStack()
        if self.only == "full":
            self.cluster.stop()
            disk.enter_context(faults.small_disk(self.cluster))
            self.url = self.cluster.start()
        os.environ.update(
            ENVOL_DATA=str(self.directory / "data"),
            ENVOL_SECRET=secrets.token_hex(32),
            DJANGO_SETTINGS_MODULE="envol.run.django_settings",
            DATABASE_URL=self.url,
            ENVOL_COURIER_CONNECTIONS=str(CONNECTIONS),
            ENVOL_LEASE_SECONDS=str(LEASE_SECONDS),
            CRASH_SINK_JOURNAL=str(self.arrived.path),
            PYTHONPATH=str(ROOT),
        )
        try:
            yield
        finally:
            self.cluster.stop()
            disk.close()
            self.cluster.remove()

    def prepare(self, people: int) -> tuple[int, int | None]:
        """The schema, a workspace with a trusted domain (unsigned: signatures are not the matter here), so many
        people who allowed the newsletter, and some who did not; ids of the workspace and of a campaign's sending."""
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0, skip_checks=True)
        from django.db import connection

        from envol.accounts.workspaces import create_workspace
        from envol.audience.language import EVERYBODY
        from envol.consent.purposes import get
        from envol.content import templates
        from envol.outbound import domains
        from envol.outbound.models import DkimKey, Sending

        workspace = create_workspace("crash", title="Crash")
        domains.add(workspace, "librairie.example", trusted=True)
        DkimKey.objects.all().delete()
        if not people:
            return workspace.id, None
        purpose = get(workspace, "newsletter")
        with connection.cursor() as cursor:
            columns = "workspace_id, email, email_key, allowed, props"
            with cursor.copy(f"COPY contacts_contact ({columns}) FROM STDIN") as copy:
                for n in range(people + people // REFUSED):
                    address = f"m{CAMPAIGN + n}@d{n % 7}.example"
                    allowed = 0 if n >= people else 1 << purpose.bit
                    copy.write_row((workspace.id, address, address, allowed, json.dumps({"n": n})))
        sending = Sending.objects.create(
            workspace=workspace,
            kind="campaign",
            state="preparing",
            audience=EVERYBODY,
            version_id=templates.save(workspace, "lettre", "html", HTML, "Des livres").id,
            purpose_id=purpose.id,
            sender={"name": "La Librairie", "address": "lettre@librairie.example"},
        )
        return workspace.id, sending.id

    def ask(self, query: str, patience: float = 120) -> list[tuple[Any, ...]]:
        """Ask the database, also while it recovers."""
        from envol import db

        return self.patiently(lambda: db.rows(query), patience)

    def patiently(self, work: Any, patience: float = 120) -> Any:
        from django.db import Error, InterfaceError, connection

        end = time.monotonic() + patience
        while True:
            try:
                return work()
            except (Error, InterfaceError):
                connection.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def broken(self) -> list[str]:
        """The invariants that do not hold."""
        from envol.outbound import states

        return list(self.patiently(states.invariants))

    def sweep(self) -> None:
        from django.db import Error, InterfaceError, connection

        from envol.outbound import lease

        try:
            lease.sweep()
        except (Error, InterfaceError):
            connection.close()

    # ---- processes

    def start(self, name: str, part: str, **environment: str) -> subprocess.Popen[bytes]:
        self.environments[name] = {"part": part, **environment}
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.parts", part],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE if part == "sink" else self.log,
            stderr=self.log,
        )
        self.processes[name] = process
        return process

    def restart(self, name: str) -> None:
        facts = dict(self.environments[name])
        self.start(name, facts.pop("part"), **facts)

    def alive(self, name: str) -> bool:
        process = self.processes.get(name)
        return process is not None and process.poll() is None

    def revive_database(self) -> None:
        if not self.cluster.alive() and self.cluster.start() != self.url:
            raise RuntimeError("The database came back at another address.")

    def raise_the_fallen(self) -> list[str]:
        """Start again whatever fell by itself, as the supervisor would."""
        self.revive_database()
        fallen = [name for name, process in self.processes.items() if process.poll() not in (None, 0)]
        for name in fallen:
            self.restart(name)
        return fallen

    # ---- killing

    def victims(self) -> list[str]:
        """What could be killed now with effect."""
        if self.only in faults.FAULTS:
            return [self.only]
        return [
            "backend",
            "postmaster",
            "peer",
            *(name for name in self.processes if name != "sink" and self.alive(name)),
        ]

    def kill(self, victim: str) -> str:
        """SIGKILL, and what follows from it: what died is started again. What went wrong with it, or nothing."""
        match victim:
            case "stop":
                faults.stop(self)
            case "full":
                return faults.full(self)
            case "clock":
                return faults.jump(self)
            case "peer":
                self.processes["sink"].send_signal(signal.SIGUSR1)
            case "backend":
                # One of them dies, and PostgreSQL ends all others and recovers from its log.
                self._kill_backend()
            case "postmaster":
                pid = self.cluster._postmaster_pid()
                if pid is not None:
                    os.kill(pid, signal.SIGKILL)
                    while self.cluster.alive():
                        time.sleep(0.005)
                    self.revive_database()
            case _:
                process = self.processes[victim]
                process.kill()
                process.wait()
                # A courier's leases are given back by itself when it comes again, not by us.
                self.restart(victim)
        return ""

    def _kill_backend(self) -> None:
        from django.db import Error, InterfaceError, connection

        from envol import db

        try:
            backends = db.rows(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        except (Error, InterfaceError):
            connection.close()  # it is down already
            return
        if backends:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.random.choice(sorted(backends))[0], signal.SIGKILL)

    @contextlib.contextmanager
    def receiver_holds(self) -> Iterator[None]:
        """The receiver takes nothing meanwhile: what is asked now must not let the work end before its kills."""
        sink = self.processes["sink"]
        sink.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            sink.send_signal(signal.SIGCONT)

    # ---- the end

    def stand(self) -> str:
        """Where everything stands, in one line, for whoever must find out why it does not go on."""
        sendings = self.ask("SELECT id, kind, state, expand_cursor, expanded_at IS NOT NULL FROM outbound_sending")
        chunks = self.ask("SELECT done, lease_id IS NULL, count(*), sum(size) FROM outbound_chunk GROUP BY 1, 2")
        alive = {name: process.poll() for name, process in self.processes.items()}
        return f"sendings {sendings}, chunks (done, free, count, rows) {chunks}, ends of processes {alive}"

    def last_words(self) -> str:
        self.log.flush()
        return Path(self.log.name).read_text("utf-8", "replace")[-4000:]

    def drained(self) -> bool:
        """Is nothing left to do? Whoever was deferred by a kill need not wait for us to see the end."""
        from django.db import Error, InterfaceError, connection

        from envol import db

        try:
            if db.execute("UPDATE outbound_retry SET due = now() WHERE lease_id IS NULL AND due > now()"):
                return False
            return not db.value(
                "SELECT EXISTS (SELECT FROM outbound_chunk WHERE NOT done) OR EXISTS (SELECT FROM outbound_retry)"
            )
        except (Error, InterfaceError):
            connection.close()
            return False

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()
        from django.db import connection

        connection.close()
