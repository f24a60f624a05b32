"""One private PostgreSQL cluster for all test runs, one database for each run.

The cluster lies in ``.test-data`` and stays up between runs (the last user stops it); a template
database, named by the hash of all migrations, is copied for each run, so a run starts in a second.
Tests keep apart by making their own workspace; those that need the whole database to themselves
use ``empty_database``. Two processes share the tests (`make test`), each with a cluster of its own: connections are
counted, and a transaction of one must not hold back what the other looks at.
"""

from __future__ import annotations

import fcntl
import gc
import hashlib
import os
import runpy
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from hypothesis import settings as hypothesis
from xdist.scheduler import LoadScopeScheduling

from tests.examples import examples

ROOT = Path(__file__).resolve().parent.parent
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
CLUSTER = ROOT / f".test-data{WORKER and '-' + WORKER}"

if examples(1) > 1:  # `make fuzz`: those that name no number of their own get more as well, at a pace of their own
    hypothesis.register_profile("fuzz", max_examples=examples(100), deadline=None)
    hypothesis.load_profile("fuzz")

_scratch = tempfile.TemporaryDirectory(prefix="envol-test-")
os.environ["ENVOL_DATA"] = _scratch.name
os.environ["ENVOL_SECRET"] = hashlib.sha256(b"a secret for tests only").hexdigest()
os.environ["ENVOL_LEAST_FREE_MIB"] = "0"  # whoever tests on a full disk tests all the same
os.environ["DJANGO_SETTINGS_MODULE"] = "envol.run.django_settings"


def _with_database(url: str, name: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


def _migrations_hash() -> str:
    digest = hashlib.sha256()
    for path in sorted(
        [
            *ROOT.glob("envol/*/migrations/*.py"),
            *ROOT.glob("envol/*/sql/*.sql"),
            ROOT / "envol/db_rls.py",
            ROOT / "requirements/run.txt",
        ]
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _prepare() -> tuple[object, str, str]:
    """The cluster's owner address and the name of a fresh database in it."""
    from envol.run.embedded import Embedded
    from envol.run.embedded_host import OWNER, SUPERUSER

    cluster = Embedded(CLUSTER)
    base = os.environ.get("ENVOL_TEST_DATABASE_URL") or cluster.start()
    template = f"template_{_migrations_hash()}"
    name = f"test_{os.getpid()}_{secrets.token_hex(3)}"
    os.environ["DATABASE_URL"] = _with_database(base, template)
    CLUSTER.mkdir(exist_ok=True)
    with open(CLUSTER / "template.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with psycopg.connect(base, autocommit=True) as admin:
            if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [template]).fetchone():
                making = template + "_new"
                admin.execute(f"DROP DATABASE IF EXISTS {making} WITH (FORCE)")
                admin.execute(f"CREATE DATABASE {making}")
                os.environ["DATABASE_URL"] = _with_database(base, making)
                import subprocess

                subprocess.run(
                    [sys.executable, "-m", "django", "migrate", "--verbosity=0", "--skip-checks"], check=True, cwd=ROOT
                )
                admin.execute(f"ALTER DATABASE {making} RENAME TO {template}")
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    if "ENVOL_TEST_DATABASE_URL" not in os.environ:
        with psycopg.connect(cluster._url(SUPERUSER), autocommit=True) as admin:  # what `_truncate` needs
            admin.execute(f"GRANT SET ON PARAMETER session_replication_role TO {OWNER}")
            # A power cut may cost these databases: nothing is kept in them. Those that a test starts itself flush.
            admin.execute("ALTER SYSTEM SET fsync = off")
            admin.execute("SELECT pg_reload_conf()")
    os.environ["DATABASE_URL"] = _with_database(base, name)
    return cluster, base, name


def _cut_to_loopback() -> Path | None:
    """With ENVOL_LOOPBACK set, this process and those it starts reach no other machine (`tests.loopback`); the file
    that tells of each try. What is compiled (uvloop, libpq) and speaks to no stranger is not held back."""
    if not os.environ.get("ENVOL_LOOPBACK"):
        return None
    folder, tries = ROOT / "tests" / "loopback", Path(_scratch.name) / "outside"
    tries.touch()
    os.environ["CALLS_OUTSIDE"] = str(tries)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    runpy.run_path(str(folder / "sitecustomize.py"))
    return tries


_tries: Path | None = None
_cluster: object | None = None
_base = _name = ""


def pytest_configure(config: pytest.Config) -> None:
    global _cluster, _base, _name, _tries
    if (
        config.option.collectonly
        or hasattr(config, "workerinput") is False
        and getattr(config.option, "numprocesses", None)
    ):
        return  # the controller of xdist runs no test
    _tries = _cut_to_loopback()
    _cluster, _base, _name = _prepare()
    import django

    django.setup()
    from django.contrib.auth.hashers import Argon2PasswordHasher as Argon2

    # A password costs a tenth of a second on purpose; hundreds of members of test shops need not wait for it.
    Argon2.time_cost, Argon2.memory_cost, Argon2.parallelism = 1, 8, 1  # type: ignore[misc]


def pytest_collection_finish() -> None:
    """All that is loaded by now stays for life: the collector need not look through it, which took a tenth of all
    time of the tests (the process of the pages does the same: `envol.edge.http.settle`)."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    gc.unfreeze()  # compiled libraries tell of all that nobody took away at the end
    if not _name:
        return
    from django.db import connections

    connections.close_all()
    with psycopg.connect(_base, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {_name} WITH (FORCE)")
    if _cluster is not None:
        _cluster.stop()  # type: ignore[attr-defined]


class _Rows(LoadScopeScheduling):
    """How tests are dealt out to several processes: by file; those of the pages, and those of a browser, together.

    The pages' tests share one shop for the whole session, which tests that empty the database would take away; two
    browsers at once on two cores keep each other waiting. (xdist's own groups are a mark that pytest 9 no longer lets
    it write into a test's name: each test went to whichever process was free.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return {"web": "web", "browser": "browser", "journeys": "browser"}.get(Path(file).parts[1], file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    config.option.loadscopereorder = False  # in the order of below, not the most tests first
    return _Rows(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    first = {"web": 0, "browser": 1, "journeys": 1}
    if hasattr(items[0].config if items else None, "workerinput"):
        # The two long rows begin together: whoever drew one of them last would keep the other process waiting.
        items.sort(key=lambda item: first.get(Path(item.path).relative_to(ROOT / "tests").parts[0], 2))


@pytest.fixture(autouse=True)
def _speak_english() -> Iterator[None]:
    """A request leaves its language to the thread; no test begins with that of the one before."""
    from django.utils import translation

    translation.deactivate()
    yield


@pytest.fixture(autouse=True)
def _close_connections() -> Iterator[None]:
    yield
    from django.db import connection

    if connection.connection is not None and connection.in_atomic_block:
        connection.close()


@pytest.fixture(autouse=True)
def _nobody_outside() -> Iterator[None]:
    """Under ENVOL_LOOPBACK no test reaches for another machine, in this process or in one it starts."""
    before = _tries.stat().st_size if _tries else 0
    yield
    if _tries:
        assert _tries.read_text()[before:] == "", "reached for another machine"


@pytest.fixture
def nothing_in_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Domains are looked up as those of a newcomer who has published nothing yet, and no name server is asked."""
    import dns.resolver

    from envol.outbound import domains

    class Nothing:
        def resolve(self, name: str, kind: str) -> Any:
            raise dns.resolver.NXDOMAIN

    monkeypatch.setattr(domains, "own_resolver", Nothing)


@pytest.fixture
def database_url() -> str:
    """Address of this run's database, for processes that a test starts."""
    return os.environ["DATABASE_URL"]


@pytest.fixture
def empty_database(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing of other tests is in any table; afterwards nothing of this one."""
    room = Path(request.path).relative_to(ROOT / "tests").parts[0]
    assert room != "web", "The pages' tests share one shop, which would be gone: move this one to another room."
    _truncate()
    yield
    _truncate()


_KEEP = ["django_migrations", "django_content_type", "auth_permission"]


def _truncate() -> None:
    """Empty every table and begin every number anew.

    TRUNCATE makes new files for 150 tables and their indexes, 0.2 s each time; what a test left is a few rows in a few
    tables. So those are deleted, without the triggers that would keep some of them, where the cluster is our own.
    """
    from django.db import connection, transaction

    from envol.campaigns import tick
    from envol.outbound import accept, habits

    # Numbers begin anew: what this process remembers by them means other rows now.
    tick._asked.clear()
    accept._streams.clear()
    habits._signs.clear()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT array_agg(format('%%I', relname)) FROM pg_class WHERE relkind = 'r' AND pg_relation_size(oid) > 0"
            " AND relnamespace = 'public'::regnamespace AND relname <> ALL(%s)",
            [_KEEP],
        )
        tables = cursor.fetchone()[0] or []
        cursor.execute(
            "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)"
            " FROM pg_sequences WHERE last_value IS NOT NULL AND schemaname = 'public'"
        )
        if not tables:
            return
        if os.environ.get("ENVOL_TEST_DATABASE_URL"):
            cursor.execute(f"TRUNCATE {', '.join(tables)} CASCADE")
            return
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("; ".join(f"DELETE FROM {table}" for table in tables))


@pytest.fixture
def workspace():  # noqa: ANN201
    """A workspace of its own for each test, with the proposed purposes."""
    from envol.accounts.workspaces import create_workspace

    return create_workspace(f"w{secrets.token_hex(4)}", title="Librairie d'essai")
