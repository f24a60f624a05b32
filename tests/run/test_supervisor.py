"""The supervisor with real processes: readiness, restart, back-off, drain, and no orphan."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envol.run.supervisor import Keeper, ProcessSpec, Supervisor

PROJECT = Path(__file__).resolve().parents[2]
HEAD = "import os, signal, sys, time\nfrom envol.run.supervisor import die_with_parent, notify_ready\n"


class Journal:
    """Keeps what was logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, /, **fields: Any) -> None:
        self.lines.append((event, fields))

    warning = info

    def all(self, event: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.lines if name == event]


def python(name: str, code: str, **more: Any) -> ProcessSpec:
    return ProcessSpec(
        name, [sys.executable, "-c", HEAD + code], env={"PYTHONPATH": str(PROJECT), **more.pop("env", {})}, **more
    )


def run(supervisor: Supervisor, until: Callable[[], bool], seconds: float = 30) -> int:
    """Run it in a loop until something holds, then drain; its exit code."""

    async def main() -> int:
        task = asyncio.create_task(supervisor.run())
        deadline = time.monotonic() + seconds
        while not until() and not task.done():
            assert time.monotonic() < deadline, supervisor.status()
            await asyncio.sleep(0.01)
        if not task.done():
            supervisor.stop()
        return await task

    return asyncio.run(main())


def state(supervisor: Supervisor, name: str) -> str:
    return next(str(entry["state"]) for entry in supervisor.status() if entry["name"] == name)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() == b""
    except FileNotFoundError:
        return True


def eventually(holds: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_a_process_is_ready_when_it_says_so_and_not_before(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    code = "while not os.path.exists(sys.argv[1]): time.sleep(0.01)\nnotify_ready()\ntime.sleep(600)"
    waits = python("waits", code)
    waits = ProcessSpec(waits.name, [*waits.argv, str(gate)], waits.env)
    supervisor = Supervisor([waits, python("quick", "notify_ready()\ntime.sleep(600)")], Journal())
    called: list[str] = []

    async def main() -> int:
        task = asyncio.create_task(supervisor.run(on_ready=lambda: called.append("ready")))
        while state(supervisor, "quick") != "ready":
            await asyncio.sleep(0.01)
        assert state(supervisor, "waits") == "starting" and called == []
        gate.touch()
        while not called:
            await asyncio.sleep(0.01)
        assert [entry["state"] for entry in supervisor.status()] == ["ready", "ready"]
        assert all(entry["pid"] and entry["restarts"] == 0 for entry in supervisor.status())
        supervisor.stop()
        return await task

    assert asyncio.run(main()) == 0
    assert called == ["ready"]
    assert [(entry["state"], entry["pid"]) for entry in supervisor.status()] == [("stopped", None)] * 2


def test_a_process_can_be_asked_whether_it_is_ready(tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    spec = python("asked", f"open({str(sign)!r}, 'w').close()\ntime.sleep(600)", ready=sign.exists)
    supervisor = Supervisor([spec], Journal())
    assert run(supervisor, lambda: state(supervisor, "asked") == "ready") == 0


def test_a_process_that_ends_is_started_again_later_each_time() -> None:
    journal = Journal()
    supervisor = Supervisor([python("falls", "sys.exit(3)")], journal, backoff=(0.01, 0.04))
    run(supervisor, lambda: len(journal.all("process ended")) >= 4)
    ended = journal.all("process ended")
    assert [line["restart_in_seconds"] for line in ended[:4]] == [0.01, 0.02, 0.04, 0.04]
    assert {line["how"] for line in ended} == {"exit code 3"}
    assert supervisor.status()[0]["restarts"] == len(ended)


def test_a_process_that_was_up_long_enough_begins_again_with_the_shortest_wait() -> None:
    journal = Journal()
    supervisor = Supervisor([python("falls", "sys.exit(3)")], journal, backoff=(0.01, 30), steady_seconds=0)
    run(supervisor, lambda: len(journal.all("process ended")) >= 3)
    assert {line["restart_in_seconds"] for line in journal.all("process ended")} == {0.01}


def test_a_killed_process_comes_back_and_the_others_do_not_notice() -> None:
    journal = Journal()
    serve = "notify_ready()\ntime.sleep(600)"
    supervisor = Supervisor([python("one", serve), python("two", serve)], journal, backoff=(0.01, 1))

    async def main() -> None:
        task = asyncio.create_task(supervisor.run())
        while {entry["state"] for entry in supervisor.status()} != {"ready"}:
            await asyncio.sleep(0.01)
        before = {entry["name"]: entry["pid"] for entry in supervisor.status()}
        os.kill(before["one"], signal.SIGKILL)
        while not (supervisor.status()[0]["restarts"] == 1 and state(supervisor, "one") == "ready"):
            await asyncio.sleep(0.01)
        after = {entry["name"]: entry["pid"] for entry in supervisor.status()}
        assert after["one"] != before["one"] and after["two"] == before["two"]
        supervisor.stop()
        await task

    asyncio.run(asyncio.wait_for(main(), 30))
    assert journal.all("process ended")[0]["how"] == "signal SIGKILL"


def test_a_process_that_never_gets_ready_is_killed_and_tried_again() -> None:
    journal = Journal()
    spec = python("stuck", "time.sleep(600)", ready_seconds=0.2)
    run(Supervisor([spec], journal, backoff=(0.01, 1)), lambda: len(journal.all("process ended")) >= 2)
    assert len(journal.all("process was not ready in time")) >= 2
    assert journal.all("process ended")[0]["how"] == "signal SIGKILL"


def test_a_program_that_is_missing_is_reported_and_tried_again() -> None:
    journal = Journal()
    supervisor = Supervisor([ProcessSpec("absent", ["/nowhere/at/all"])], journal, backoff=(0.01, 1))
    run(supervisor, lambda: len(journal.all("process cannot start")) >= 2)
    assert "/nowhere/at/all" in journal.all("process cannot start")[0]["error"]


def test_a_wrong_setting_ends_the_whole_instead_of_restarting_for_ever() -> None:
    journal = Journal()
    others = python("serves", "notify_ready()\ntime.sleep(600)")
    supervisor = Supervisor([others, python("refuses", "sys.exit(78)")], journal)
    assert run(supervisor, lambda: False) == 78
    assert journal.all("process ended") == []
    assert state(supervisor, "serves") == "stopped"


def test_a_drain_lets_processes_finish_and_asks_the_last_started_first(tmp_path: Path) -> None:
    story = tmp_path / "story"
    code = f"""
def end(*_):
    with open({str(story)!r}, "a") as file: file.write(os.environ["WHO"] + " asked\\n")
    time.sleep(float(os.environ["PACE"]))
    with open({str(story)!r}, "a") as file: file.write(os.environ["WHO"] + " done\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
notify_ready()
while True: time.sleep(600)
"""
    specs = [
        python("first", code, env={"WHO": "first", "PACE": "0.4"}),
        python("last", code, env={"WHO": "last", "PACE": "0.4"}),
    ]
    journal = Journal()
    supervisor = Supervisor(specs, journal)
    order: list[str] = []
    send = supervisor._signal
    supervisor._signal = lambda child, number: (order.append(child.spec.name), send(child, number))  # type: ignore
    run(supervisor, lambda: {entry["state"] for entry in supervisor.status()} == {"ready"})
    assert order == ["last", "first"]
    assert sorted(story.read_text().split("\n")) == ["", "first asked", "first done", "last asked", "last done"]
    assert journal.all("process ended") == [] and journal.all("process did not drain in time") == []


def test_a_process_that_does_not_drain_is_killed() -> None:
    journal = Journal()
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nnotify_ready()\ntime.sleep(600)"
    supervisor = Supervisor([python("deaf", deaf, drain_seconds=0.2)], journal)
    assert run(supervisor, lambda: state(supervisor, "deaf") == "ready") == 0
    assert [line["process"] for line in journal.all("process did not drain in time")] == ["deaf"]


def test_asking_twice_does_not_wait_for_the_drain() -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nnotify_ready()\ntime.sleep(600)"
    supervisor = Supervisor([python("deaf", deaf, drain_seconds=600)], Journal())

    async def main() -> int:
        task = asyncio.create_task(supervisor.run())
        while state(supervisor, "deaf") != "ready":
            await asyncio.sleep(0.01)
        supervisor.stop()
        await asyncio.sleep(0.1)
        assert state(supervisor, "deaf") == "draining" and not task.done()
        supervisor.stop()
        return await task

    assert asyncio.run(asyncio.wait_for(main(), 30)) == 0


def test_what_is_kept_but_not_ours_is_mended_with_the_same_patience() -> None:
    journal = Journal()
    tries: list[bool] = []

    def revive() -> None:
        tries.append(len(tries) >= 2)
        if not tries[-1]:
            raise OSError("not yet")

    keeper = Keeper("postgresql", alive=lambda: bool(tries and tries[-1]), revive=revive)
    supervisor = Supervisor([], journal, keepers=[keeper], backoff=(0.01, 1), look_seconds=0.01)
    run(supervisor, lambda: state(supervisor, "postgresql") == "ready")
    assert tries == [False, False, True]
    assert [line["error"] for line in journal.all("process cannot start")] == ["not yet", "not yet"]
    assert [line["restart_in_seconds"] for line in journal.all("process ended")] == [0.01, 0.02, 0.04]


PROGRAM = """
import asyncio, os, sys
from envol.run.supervisor import ProcessSpec, Supervisor
class Quiet:
    def info(self, event, /, **fields): pass
    warning = info
code = "import os, sys, time\\nfrom envol.run.supervisor import die_with_parent, notify_ready\\n"
code += "die_with_parent()\\nos.write(1, b'%d\\\\n' % os.getpid())\\nsys.stderr.write('said by a child\\\\n')\\n"
code += "notify_ready()\\ntime.sleep(600)"
supervisor = Supervisor([ProcessSpec(n, [sys.executable, "-c", code]) for n in ("a", "b")], Quiet())
sys.exit(asyncio.run(supervisor.run(on_ready=lambda: os.write(1, b"ready\\n"))))
"""


@pytest.fixture
def supervised() -> Any:
    """A supervisor in a process of its own, and the ids of its two children."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # the tests may run under nohup
    )
    assert process.stdout is not None
    lines = {process.stdout.readline().strip() for _ in range(3)}
    assert "ready" in lines
    yield process, [int(line) for line in lines - {"ready"}]
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_drains_and_ends_with_zero(supervised: Any, number: signal.Signals) -> None:
    process, children = supervised
    process.send_signal(number)
    assert process.wait(timeout=30) == 0
    assert all(gone(pid) for pid in children)


def test_children_die_with_a_supervisor_that_was_killed(supervised: Any) -> None:
    process, children = supervised
    assert not any(gone(pid) for pid in children)
    process.kill()
    process.wait()
    assert eventually(lambda: all(gone(pid) for pid in children))


def test_ctrl_c_in_the_terminal_reaches_the_supervisor_alone(supervised: Any) -> None:
    process, children = supervised
    group = os.getpgid(process.pid)
    assert all(os.getpgid(pid) != group for pid in children)
    os.killpg(group, signal.SIGINT)
    assert process.wait(timeout=30) == 0


def test_children_write_to_the_same_log(supervised: Any) -> None:
    process, _ = supervised
    process.terminate()
    assert process.communicate(timeout=30)[1] == "said by a child\n" * 2


def test_the_helpers_do_nothing_without_a_supervisor() -> None:
    code = HEAD + "die_with_parent()\nnotify_ready()\nnotify_ready()\nprint('alive')"
    env = {"PYTHONPATH": str(PROJECT), "PATH": os.environ["PATH"]}
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env).stdout == "alive\n"
