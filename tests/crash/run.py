"""`python -m tests.crash.run [--kills 20] [--messages 20000] [--seed 1]`: nobody is missed, few are repeated.

A database, two couriers, an accepter of single messages and the expansion of a campaign work; at random moments
something dies by SIGKILL (a courier, the accepter, the expander, a backend of the database, the postmaster) or the
receiver cuts a connection, and what died is started again. What was promised or chosen, what arrived (a journal on
disk before each 250), and the ledger's own outcomes are compared as sets. Holds:

* everybody promised or chosen got the message, nobody without permission did;
* repeated at most the transactions in flight at the kills, and five a kill on average (judged from 20 kills on);
* the invariants of the ledger, after every kill and at the end.

Then two controls, each with a fault put in, must be found out, or this test proves nothing: `settle-early` commits
outcomes before the receiver's 250, `synchronous-commit-off` promises without waiting for the disk. Exit 0 only when all
is so. With --control NAME the control alone runs, as a run like any other: exit 1 is right.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.crash.faults import FAULTS, missing
from tests.crash.machine import CAMPAIGN, COURIERS, IN_FLIGHT, ROOT, Machine

MEAN_REPEATS = 5
JUDGED_FROM = 20
CONTROLS = ("settle-early", "synchronous-commit-off")
LOOK_EVERY = 50_000
"""In runs longer than this the invariants, which read everything, are asked after every tenth kill."""


@dataclass
class Kill:
    """One kill: of what, when (messages arrived), and repeats until the next one."""

    victim: str
    at: int
    repeated: int = 0
    broken: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return self.victim.partition("-")[0]


@dataclass
class Report:
    """What one run found."""

    name: str
    seed: int
    kills: list[Kill] = field(default_factory=list)
    promised: int = 0
    chosen: int = 0
    arrived: int = 0
    missed: int = 0
    uninvited: int = 0
    unbooked: int = 0
    repeated: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)

    @property
    def in_flight_at_most(self) -> int:
        return sum(IN_FLIGHT.get(kill.kind, 0) for kill in self.kills)

    @property
    def mean_repeats(self) -> float:
        return self.repeated / max(1, len(self.kills))

    @property
    def violations(self) -> list[str]:
        """Sentences; empty when every promise was kept."""
        found = list(self.broken)
        if not self.promised + self.chosen:
            found.append("Nobody was promised anything.")
        if self.missed:
            found.append(f"{self.missed} people were promised or chosen and got nothing.")
        if self.uninvited:
            found.append(f"{self.uninvited} people got mail whom nobody chose.")
        if self.unbooked:
            found.append(f"{self.unbooked} outcomes say delivered and nothing arrived, or the other way round.")
        if self.repeated > self.in_flight_at_most:
            found.append(f"{self.repeated} repeated, only {self.in_flight_at_most} were in flight at the kills.")
        if len(self.kills) >= JUDGED_FROM and self.mean_repeats > MEAN_REPEATS:
            found.append(f"{self.mean_repeats:.1f} repeated a kill on average; {MEAN_REPEATS} is the most.")
        return found

    @property
    def of_couriers(self) -> str:
        kills = [kill.repeated for kill in self.kills if kill.kind == "courier"]
        return f"{sum(kills) / len(kills):.1f} a killed courier" if kills else "no courier killed"

    def facts(self) -> dict[str, object]:
        derived = {"in_flight_at_most": self.in_flight_at_most, "mean_repeats": round(self.mean_repeats, 2)}
        return {**asdict(self), **derived, "violations": self.violations}

    def sentence(self) -> str:
        return (
            f"{self.name}: {len(self.kills)} kills, {self.promised:,} promised and {self.chosen:,} chosen, "
            f"{self.missed} missed, {self.repeated} repeated ({self.mean_repeats:.1f} a kill, {self.of_couriers}; "
            f"at most {self.in_flight_at_most} were in flight), {self.seconds:.0f} s, seed {self.seed}."
        )


def crash(name: str, seed: int, kills: int, messages: int, *, control: str = "", only: str = "") -> Report:
    """One run with a cluster of its own, in this process's environment; see the module."""
    report = Report(name, seed)
    began = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="envol-crash-"))
    machine = Machine(directory, seed, only)
    try:
        with machine.database():
            people = 0 if control else messages // 2
            workspace, sending = machine.prepare(people)
            try:
                _work(machine, report, workspace, sending, kills, messages, control, only)
                report.broken += machine.broken()
                _compare(machine, report, people)
            finally:
                machine.end()
        report.seconds = time.monotonic() - began
        if report.violations and not control:
            print(machine.last_words(), file=sys.stderr)
        return report
    finally:
        machine.log.close()
        shutil.rmtree(directory, ignore_errors=True)


def _compare(machine: Machine, report: Report, people: int) -> None:
    promised, arrived = set(machine.promised.read().seen), machine.arrived.read()
    chosen = set(range(CAMPAIGN, CAMPAIGN + people))
    got = set(arrived.seen)
    report.promised, report.chosen, report.arrived = len(promised), len(chosen), len(got)
    report.missed = len((promised | chosen) - got)
    # A single message whose promise the accepter did not live to hear may arrive; nobody else may.
    report.uninvited = len({n for n in got if n >= CAMPAIGN} - chosen)
    report.repeated = arrived.repeated
    booked = {
        int(row[0])
        for row in machine.ask(
            "SELECT substring(s.address from 'm([0-9]+)@') FROM outbound_send s JOIN outbound_outcome o"
            " ON o.sending_id = s.sending_id AND o.no = s.no WHERE o.state = 'delivered'"
        )
    }
    report.unbooked = len(booked ^ got)
    for number in sorted(booked ^ got)[:3]:
        found = machine.ask(
            "SELECT s.sending_id, s.no, o.state, o.cause, o.reply FROM outbound_send s LEFT JOIN outbound_outcome o"
            f" ON o.sending_id = s.sending_id AND o.no = s.no WHERE s.address LIKE 'm{number}@%%'"
        )
        report.broken.append(f"{number}: arrived {arrived.seen[number]} times, and the ledger says {found}.")


def _work(
    machine: Machine,
    report: Report,
    workspace: int,
    sending: int | None,
    kills: int,
    messages: int,
    control: str,
    only: str,
) -> None:
    sink = machine.start("sink", "sink")
    assert sink.stdout is not None
    route = {"ENVOL_ROUTE": "smart_host", "ENVOL_SMART_HOST": f"127.0.0.1:{sink.stdout.readline().decode().strip()}"}

    def couriers() -> None:
        for n in range(COURIERS):
            machine.start(f"courier-{n}", "courier", CRASH_CONTROL=control, **route)

    accepter = {
        "CRASH_PROMISED_JOURNAL": str(machine.promised.path),
        "CRASH_MESSAGES": str(messages if control else messages - messages // 2),
        "CRASH_WORKSPACE": str(workspace),
        **route,
    }
    progress = machine.arrived
    if control == "synchronous-commit-off":
        # No courier works meanwhile: its durable commits would save what the accepter's did not.
        accepter |= {"PGOPTIONS": "-c synchronous_commit=off", "CRASH_PACE": "0.01"}
        only, progress = "backend", machine.promised
    else:
        couriers()
        only = "courier" if control else only
    machine.start("accepter", "accepter", **accepter)
    if sending is not None:
        batch = max(200, messages // 1000)  # a kill loses one; in a long run small ones would take longer than the mail
        machine.start("expander", "expander", CRASH_SENDING=str(sending), CRASH_BATCH=str(batch), **route)
    moments = sorted(machine.random.uniform(0.02, 0.95) * messages for _ in range(kills))
    last_sweep, before, quiet_since, stood = 0.0, -1, time.monotonic(), ""
    while True:
        time.sleep(0.02)
        now = time.monotonic()
        done = len(report.kills)
        if done < kills and progress.read().lines >= moments[done]:
            _kill(machine, report, only, messages)
        if now - last_sweep > 0.5:
            machine.sweep()
            last_sweep = now
        if fallen := machine.raise_the_fallen():
            print(f"  {', '.join(fallen)} fell and was started again", file=sys.stderr, flush=True)
        produced = all(
            machine.processes[name].poll() == 0 for name in ("accepter", "expander") if name in machine.processes
        )
        if produced and "courier-0" not in machine.processes:
            couriers()
        if (arrived := machine.arrived.read().lines) != before:
            before, quiet_since = arrived, now
        if now - quiet_since > 120:
            if (stand := machine.stand()) == stood:
                report.broken.append(f"Nothing arrived for two minutes although work is left: {stand}.")
                break
            stood, quiet_since = stand, now  # an expansion goes on, or just went on; the next look tells
        if produced and machine.drained():
            if len(report.kills) < kills:
                report.broken.append(
                    f"All had arrived before kill {len(report.kills) + 1} of {kills}: use more messages."
                )
            break
    _close_last(machine, report)


def _kill(machine: Machine, report: Report, only: str, messages: int) -> None:
    victims = [victim for victim in machine.victims() if victim.startswith(only)]
    # First what kind, then which one: two couriers do not make their kind twice as likely.
    kind = machine.random.choice(sorted({victim.partition("-")[0] for victim in victims}))
    chosen = machine.random.choice([victim for victim in victims if victim.startswith(kind)])
    time.sleep(machine.random.uniform(0, 0.05))
    _close_last(machine, report)
    kill = Kill(chosen, machine.arrived.lines)
    if wrong := machine.kill(chosen):
        report.broken.append(wrong)
    if messages <= LOOK_EVERY or len(report.kills) % 10 == 0:
        with machine.receiver_holds():
            kill.broken = machine.broken()
        report.broken += [f"After kill {len(report.kills) + 1} ({chosen}): {sentence}" for sentence in kill.broken]
    report.kills.append(kill)


def _close_last(machine: Machine, report: Report) -> None:
    """Say what the last kill led to; repeats until now are put down to it."""
    if not report.kills:
        return
    last = report.kills[-1]
    before = sum(kill.repeated for kill in report.kills)
    last.repeated += machine.arrived.read().repeated - before
    said = "; ".join(last.broken) or "invariants hold"
    print(
        f"  kill {len(report.kills):3}  {last.victim:<11} at {last.at:>9,} arrived: {last.repeated} repeated, {said}",
        file=sys.stderr,
        flush=True,
    )


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--messages", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--json", action="store_true", help="one JSON object a run")
    options.add_argument("--no-controls", action="store_true", help="leave the two controls out")
    options.add_argument("--control", choices=CONTROLS, default="", help="run this control alone; it must fail")
    options.add_argument(
        "--victims",
        choices=["courier", "backend", "postmaster", "peer", "accepter", "expander", *FAULTS],
        default="",
        help="only these; stop, full and clock are faults of the database: see tests/crash/faults.py",
    )
    given = options.parse_args()
    if why := missing(given.victims):
        print(f"{given.victims}: left out, {why}.")
        return 0
    report = crash(
        given.control or "crash", given.seed, given.kills, given.messages, control=given.control, only=given.victims
    )
    print(json.dumps(report.facts()) if given.json else report.sentence(), flush=True)
    for sentence in report.violations:
        print(f"  {sentence}", file=sys.stderr)
    if given.control:
        return int(bool(report.violations))
    good = not report.violations
    for control in () if given.no_controls else CONTROLS:
        good = _found_out(control, given.seed, given.json) and good
    if not given.json:
        print("All holds." if good else "NOT all holds.")
    return 0 if good else 1


def _found_out(control: str, seed: int, as_json: bool) -> bool:
    """Run a control; was its fault noticed, and by people who are missing?"""
    # A process of its own: Django is set up once per process, for one database.
    said = subprocess.run(
        [sys.executable, "-m", "tests.crash.run", "--control", control, "--seed", str(seed), "--kills", "12",
         "--messages", "3000", "--json"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    facts = json.loads(said.stdout or b"{}")
    found = said.returncode == 1 and facts.get("missed", 0) > 0
    if as_json:
        print(json.dumps({"control": control, "found": found, **facts}), flush=True)
    else:
        what = "found out, as it must be" if found else "NOT FOUND OUT: this test cannot fail"
        print(f"control {control}: {facts.get('missed', 0)} missed, {what}.", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
