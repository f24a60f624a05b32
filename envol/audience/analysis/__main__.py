"""``python -m envol.audience.analysis``: the child that answers one question and ends.

A JSON object on standard input: the question, the copy (`views.Copy`), ceilings. On standard output a line of JSON
(columns, or why not), then a line for each row. It has no environment to speak of, no network is asked for, and what
it may use of time, memory and disk is set before anything is read.
"""

from __future__ import annotations

import json
import math
import os
import resource
import sys
import threading
import time
from datetime import date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from typing import Any

MEMORY = 2 << 30  # bytes of address space, the net under DuckDB's own limit
DUCKDB_MEMORY = "256MB"
FILE = 64 << 20  # bytes of an answer
CELL = 2_000  # characters of one value


def main() -> None:
    given = json.loads(sys.stdin.buffer.read(64 << 20))
    seconds = int(given["seconds"])
    for what, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, FILE),
        (resource.RLIMIT_CPU, 2 * seconds + 5),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 256),
    ):
        resource.setrlimit(what, (most, most))
    try:
        answer(given, seconds)
    except MemoryError:
        say({"refused": "memory"})
    sys.stdout.flush()
    # Not the interpreter's own end: the thread of the timer, or one of the engine, that wakes up during it ends the
    # process by abort() now and then, and the answer would be taken for one that memory did not suffice for.
    os._exit(0)


def say(line: Any) -> None:
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")


def answer(given: dict[str, Any], seconds: int) -> None:
    import duckdb

    from envol.audience.analysis import guard, views

    began = time.perf_counter()
    copy = views.Copy(**given["copy"])
    try:
        tree = guard.checked(given["sql"], frozenset(views.columns([])))
    except guard.Refused as error:
        return say({"refused": error.code, "what": error.what})
    db = opened(copy, given["types"])
    timer = threading.Timer(seconds, db.interrupt)
    timer.daemon = True
    timer.start()
    try:
        found = db.execute(guard.paged(tree, given["first"], given["count"] + 1))
        say({"columns": [one[0] for one in found.description or ()]})
        left = given["count"]
        more = False
        while rows := found.fetchmany(500):
            for row in rows:
                if not left:
                    more = True
                    break
                left -= 1
                say([cell(value) for value in row])
        say({"more": more, "seconds": round(time.perf_counter() - began, 3)})
        sys.stdout.flush()
    except duckdb.InterruptException:
        say({"refused": "slow"})
    except duckdb.OutOfMemoryException:
        say({"refused": "memory"})
    except duckdb.Error as error:
        say({"refused": "engine", "what": str(error).strip().split("\n")[0][:300]})
    except OSError:  # the answer is larger than a file may be
        say({"refused": "large_answer"})
    finally:
        timer.cancel()
    return None


def opened(copy: Any, types: dict[str, str]) -> Any:
    """DuckDB in memory with the views, and nothing else within reach."""
    import duckdb

    from envol.audience.analysis import views

    db = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
            "python_enable_replacements": "false",
            "memory_limit": DUCKDB_MEMORY,
            "threads": "2",
        },
    )
    files = [file for listed in copy.files.values() for file in listed]
    allowed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    db.execute(f"SET allowed_paths = [{allowed}]")
    db.execute("SET temp_directory = ''")  # nothing is written beside memory
    db.execute("SET enable_external_access = false")
    db.execute("SET lock_configuration = true")
    for statement in views.statements(copy, types):
        db.execute(statement)
    return db


def cell(value: Any) -> Any:
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case date() | clock():
            return value.isoformat()
        case Decimal() | timedelta():
            return str(value)
        case list() | tuple():
            return [cell(one) for one in value[:100]]
        case str():
            return value if len(value) <= CELL else value[:CELL] + "…"
        case _:
            return str(value)[:CELL]


if __name__ == "__main__":
    main()
