"""`python -m tests.crash.run [--kills 20] [--messages 20000] [--seed 1] [--json]`: nobody is missed, few are repeated.

A database, two couriers and an accepter work; at random moments one of them dies by SIGKILL (of the database:
one backend, which makes PostgreSQL restart and recover) and is started again. At the end three sets are compared:
promised (journal of the accepter), arrived (journal of the sink), and the ledger's own outcomes.

Holds: every promised message arrived; repeated at most the transactions in flight at the kills, five a kill on
average; the invariants of the ledger. Then two controls, each with a fault put in, must be found out:
outcomes committed before the 250, and accepting without waiting for the disk. Exit 0 only when all is so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONNECTIONS = 20
COURIERS = 2
LEASE_SECONDS = 6
MEAN_REPEATS = 5


@dataclass
class Report:
    """What one run found."""

    name: str
    seed: int
    kills: dict[str, int] = field(default_factory=dict)
    promised: int = 0
    arrived: int = 0
    missed: int = 0
    repeated: int = 0
    in_flight_at_most: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        kills = max(1, sum(self.kills.values()))
        few = self.repeated <= min(self.in_flight_at_most, MEAN_REPEATS * kills)
        return not self.missed and few and not self.broken and self.promised > 0

    def sentence(self) -> str:
        victims = ", ".join(f"{count} {name}" for name, count in sorted(self.kills.items()))
        return (
            f"{self.name}: {sum(self.kills.values())} kills ({victims}), {self.promised} promised, "
            f"{self.missed} missed, {self.repeated} repeated (at most {self.in_flight_at_most} in flight), "
            f"{len(self.broken)} invariants broken, {self.seconds:.0f} s, seed {self.seed}."
        )


class Run:
    """One crash run in a directory of its own, with a database cluster of its own."""

    def __init__(self, directory: Path, seed: int, messages: int) -> None:
        self.directory = directory
        self.random = random.Random(seed)
        self.messages = messages
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environments: dict[str, dict[str, str]] = {}
        self.promised = directory / "promised"
        self.arrived = directory / "arrived"
        self.log = (directory / "log").open("ab")

    @contextlib.contextmanager
    def database(self) -> Iterator[None]:
        from envol.run.embedded import Embedded

        self.cluster = Embedded(self.directory / "data")
        os.environ.update(
            ENVOL_DATA=str(self.directory / "data"),
            ENVOL_SECRET=secrets.token_hex(32),
            DJANGO_SETTINGS_MODULE="envol.run.django_settings",
            DATABASE_URL=self.cluster.start(),
            ENVOL_COURIER_CONNECTIONS=str(CONNECTIONS),
            ENVOL_LEASE_SECONDS=str(LEASE_SECONDS),
            PYTHONPATH=str(ROOT),
        )
        try:
            yield
        finally:
            self.cluster.stop()
            self.cluster.remove()

    def prepare(self) -> int:
        """The schema, a workspace with a trusted domain (unsigned: signatures are not the matter here)."""
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0, skip_checks=True)
        from envol.accounts.workspaces import create_workspace
        from envol.outbound import domains
        from envol.outbound.models import DkimKey

        workspace = create_workspace("crash")
        domains.add(workspace, "librairie.example", trusted=True)
        DkimKey.objects.all().delete()
        return workspace.id

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

    def kill(self, victim: str) -> None:
        """SIGKILL a process of ours, or one backend of the database."""
        if victim == "backend":
            with contextlib.suppress(Exception):
                backends = self.ask(
                    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                if backends:
                    os.kill(self.random.choice(sorted(backends))[0], signal.SIGKILL)
        else:
            self.processes[victim].kill()
            self.processes[victim].wait()
            self.restart(victim)

    def ask(self, query: str) -> list[tuple]:
        from django.db import Error, InterfaceError, connection

        from envol import db

        end = time.monotonic() + 120
        while True:
            try:
                return db.rows(query)
            except (Error, InterfaceError):
                connection.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def sweep(self) -> None:
        from django.db import Error, InterfaceError, connection

        from envol.outbound import lease

        try:
            lease.sweep()
        except (Error, InterfaceError):
            connection.close()

    def end(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()
        from django.db import connection

        connection.close()


def count(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def numbers(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def crash(name: str, seed: int, kills: int, messages: int, *, control: str = "", show: bool = True) -> Report:
    """One run, in the present process's environment; see the module."""
    report = Report(name, seed)
    began = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="envol-crash-"))
    run = Run(directory, seed, messages)
    try:
        with run.database():
            workspace = run.prepare()
            try:
                _work(run, report, workspace, kills, control, show)
                from envol.outbound import states

                run.ask("SELECT 1")
                report.broken = states.invariants()
            finally:
                run.end()
        promised, arrived = set(numbers(run.promised)), Counter(numbers(run.arrived))
        report.promised, report.arrived = len(promised), len(arrived)
        report.missed = len(promised - set(arrived))
        report.repeated = sum(arrived.values()) - len(arrived)
        report.seconds = time.monotonic() - began
        return report
    finally:
        run.log.close()
        shutil.rmtree(directory, ignore_errors=True)


def _work(run: Run, report: Report, workspace: int, kills: int, control: str, show: bool) -> None:
    sink = run.start("sink", "sink", CRASH_SINK_JOURNAL=str(run.arrived))
    assert sink.stdout is not None
    port = sink.stdout.readline().decode().strip()
    route = {"ENVOL_ROUTE": "smart_host", "ENVOL_SMART_HOST": f"127.0.0.1:{port}"}

    def couriers() -> None:
        for n in range(COURIERS):
            run.start(f"courier-{n}", "courier", CRASH_CONTROL=control, **route)

    accepter = {
        "CRASH_PROMISED_JOURNAL": str(run.promised),
        "CRASH_MESSAGES": str(run.messages),
        "CRASH_WORKSPACE": str(workspace),
        **route,
    }
    if control == "asynchronous":
        # The fault: 250 without waiting for the disk. No courier works meanwhile, whose commits would save it.
        accepter |= {"PGOPTIONS": "-c synchronous_commit=off", "CRASH_PACE": "0.01"}
        victims, progress = ["backend"], run.promised
    else:
        couriers()
        victims = [f"courier-{n}" for n in range(COURIERS)]
        if not control:
            victims += ["backend", "accepter"]
        progress = run.arrived
    run.start("accepter", "accepter", **accepter)
    done = 0
    last_sweep, last_said = 0.0, 0.0
    moments = sorted(run.random.uniform(0.02, 0.95) for _ in range(kills))
    quiet_since, before = time.monotonic(), -1
    while True:
        time.sleep(0.02)
        now = time.monotonic()
        reached = count(progress)
        if done < kills and reached >= moments[done] * run.messages:
            victim = run.random.choice(victims)
            time.sleep(run.random.uniform(0, 0.05))
            run.kill(victim)
            kind = victim.partition("-")[0]
            report.kills[kind] = report.kills.get(kind, 0) + 1
            # A killed courier had its own transactions in flight; a killed database leaves those of all in doubt.
            report.in_flight_at_most += {"courier": CONNECTIONS, "backend": CONNECTIONS * COURIERS}.get(kind, 0)
            done += 1
        if now - last_sweep > 0.5:
            run.sweep()
            last_sweep = now
        for name, process in list(run.processes.items()):
            if process.poll() not in (None, 0):
                run.restart(name)  # it fell with the database
        accepted_all = run.processes["accepter"].poll() == 0
        if control == "asynchronous" and accepted_all and "courier-0" not in run.processes:
            couriers()
        arrived = count(run.arrived)
        if arrived != before:
            before, quiet_since = arrived, now
        if show and now - last_said > 5:
            last_said = now
            print(f"  {done} kills, {count(run.promised)} promised, {arrived} arrived", file=sys.stderr, flush=True)
        if accepted_all and done >= kills and _empty(run):
            return
        if now - quiet_since > 120:
            report.broken.append("Nothing arrived for two minutes although work is left.")
            return
        if accepted_all and done < kills and _empty(run):
            report.broken.append(f"Everything had arrived before kill {done + 1} of {kills}: use more messages.")
            return


def _empty(run: Run) -> bool:
    return run.ask(
        "SELECT NOT EXISTS (SELECT FROM outbound_chunk WHERE NOT done) AND NOT EXISTS (SELECT FROM outbound_retry"
        " WHERE due < now() + interval '30 seconds' OR lease_id IS NOT NULL)"
    )[0][0] and _hurry(run)


def _hurry(run: Run) -> bool:
    """Whoever was deferred by a kill need not wait for us to see the end."""
    from django.db import Error, connection

    from envol import db

    try:
        return not db.execute("UPDATE outbound_retry SET due = now() WHERE lease_id IS NULL")
    except Error:
        connection.close()
        return False


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--messages", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--json", action="store_true")
    options.add_argument("--no-controls", action="store_true", help="leave the two controls out")
    options.add_argument("--only", choices=["early", "asynchronous"], help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.only:
        report = crash(given.only, given.seed, given.kills, given.messages, control=given.only)
        print(json.dumps({**asdict(report), "holds": report.holds}))
        return 0
    report = crash("crash", given.seed, given.kills, given.messages)
    print(json.dumps({**asdict(report), "holds": report.holds}) if given.json else report.sentence(), flush=True)
    good = report.holds
    for control in () if given.no_controls else ("early", "asynchronous"):
        # A process of its own: Django is set up once per process, for one database.
        said = subprocess.run(
            [sys.executable, "-m", "tests.crash.run", "--only", control, "--seed", str(given.seed), "--kills", "6",
             "--messages", "3000"],
            cwd=ROOT, stdout=subprocess.PIPE, check=False,
        )  # fmt: skip
        facts = json.loads(said.stdout or b"{}")
        found = facts.get("missed", 0) > 0
        good = good and found
        if given.json:
            print(json.dumps({"control": control, "found": found, **facts}), flush=True)
        else:
            what = "found out, as it must be" if found else "NOT FOUND OUT: this test cannot fail"
            print(f"control {control}: {facts.get('missed', 0)} missed, {what}.", flush=True)
    for sentence in report.broken:
        print(f"  {sentence}")
    print("All holds." if good else "NOT all holds.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
