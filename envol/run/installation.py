"""Opening an installation: its settings, its database, its schema."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

from envol.run import config as _config
from envol.run.config import Config

EMBEDDED = "ENVOL_EMBEDDED_RUNS"  # set in this process when DATABASE_URL is that of the embedded server


class NotReady(Exception):
    """The installation cannot be used; the sentence says what to do."""


def open_installation(data: Path | str | None = None, *, migrate: bool = True, **overrides: Any) -> Config:
    """Read the settings, start or join the database, set Django up, and bring the schema up to date.

    The embedded PostgreSQL lives as long as this process, or longer when another one uses it.
    Raises :class:`NotReady` or :class:`~envol.run.config.ConfigError`.
    """
    config = _config.load(data, **overrides)
    os.environ["ENVOL_DATA"] = str(config.data)
    for name, value in overrides.items():
        if value is not None:
            os.environ[f"ENVOL_{name.upper()}"] = str(value)
    if not config.database_url:
        from envol.run.embedded import EmbeddedError, ensure

        try:
            os.environ["DATABASE_URL"] = ensure(config.data)
            os.environ[EMBEDDED] = "1"
        except EmbeddedError as error:
            raise NotReady(str(error)) from None
    os.environ["DJANGO_SETTINGS_MODULE"] = "envol.run.django_settings"
    import django

    django.setup()
    if migrate:
        bring_up_to_date(config)
    from django.conf import settings

    return settings.ENVOL


def bring_up_to_date(config: Config) -> bool:
    """Run the migrations that are missing, one process at a time; True when there were any."""
    from django.core.management import call_command
    from django.db import OperationalError, connection
    from django.db.migrations.executor import MigrationExecutor

    try:
        connection.ensure_connection()
    except OperationalError as error:
        raise NotReady(
            f"PostgreSQL does not answer: {str(error).strip()}. Check DATABASE_URL and that the server runs."
        ) from None
    if connection.pg_version < 150000:  # type: ignore[attr-defined]
        raise NotReady("Envol needs PostgreSQL 15 or newer; this server is older. Upgrade it, or use the embedded one.")

    def missing() -> bool:
        executor = MigrationExecutor(connection)
        return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))

    from envol import db_rls

    if lacking := db_rls.lacking():
        raise NotReady(lacking)
    if not missing() and db_rls.is_applied():
        return False
    with open(config.data / "migrate.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not missing():
            if not db_rls.is_applied():
                db_rls.apply()
            return False
        call_command("migrate", verbosity=0)
    return True
