"""The processes of an installation: ``python -m envol.run.process NAME``, for the names see the end of `main`.

Each is stateless and may run alone on another machine with the same ``DATABASE_URL`` and secret.
"""

from __future__ import annotations

import os
import sys

from envol.run import supervisor


def main(name: str) -> None:
    supervisor.die_with_parent()
    os.environ.setdefault("PGAPPNAME", f"envol {name}")  # pg_stat_activity shows whose connection is whose
    if name == "audience":
        # The door alone: what lies behind it is loaded when somebody asks.
        from envol.audience.columns import door
        from envol.run.config import load

        engine = [sys.executable, "-m", "envol.run.process", "columns"]
        door.keep(load().data, engine, supervisor.notify_ready, **supervisor.parent_of_children())
        return
    from envol.run import logs

    if name == "http":
        # Pages and API speak to the database as the role that row-level security can hold.
        os.environ.setdefault("ENVOL_DB_ROLE", "envol_page")
    from envol.run.config import ConfigError
    from envol.run.installation import NotReady, open_installation

    try:
        config = open_installation(migrate=False)
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(supervisor.EX_CONFIG)
    except NotReady as error:
        sys.exit(str(error))
    logs.setup(name, level=config.log_level, json=config.log_json)
    match name:
        case "http":
            from envol.edge import http

            _refuse_open_routes()
            http.run(config, supervisor.notify_ready)
        case "inbox":
            from envol.edge import inbox

            inbox.run(config, supervisor.notify_ready)
        case "submission":
            from envol.edge import submission

            submission.run(config, supervisor.notify_ready)
        case "inbound":
            from envol.edge import inbound

            inbound.run(config, supervisor.notify_ready)
        case "courier":
            from envol.edge import courier

            courier.run(config, supervisor.notify_ready)
        case "worker":
            from envol.run import worker

            worker.run(config, supervisor.notify_ready)
        case "columns":
            from envol.audience.columns import serve

            serve.run(config.data)
        case _:
            sys.exit(f"There is no process {name!r}: http, inbox, submission, inbound, courier, worker, audience.")


def _refuse_open_routes() -> None:
    """A route that does not say who may enter stops the start."""
    from django.core.checks import run_checks

    errors = [problem for problem in run_checks() if problem.is_serious()]
    for problem in errors:
        print(f"{problem.msg} {problem.hint or ''}", file=sys.stderr)
    if errors:
        sys.exit(supervisor.EX_CONFIG)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
