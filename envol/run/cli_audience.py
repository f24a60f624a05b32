"""The command line of audiences beyond the marketer's pages: the copy in ClickHouse, and read-only SQL."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from envol.run.cli import Data, Json, Ws, app, console, fail, opened, say, show, workspace_named
from envol.run.cli_road import bar, bars, segment_named

clickhouse = typer.Typer(no_args_is_help=True, help="The copy in ClickHouse, for bases beyond one machine.")
app.add_typer(clickhouse, name="clickhouse")


def _client() -> Any:
    from django.conf import settings

    from envol.audience.clickhouse import upkeep
    from envol.audience.clickhouse.client import Missing

    if not settings.ENVOL.clickhouse:
        fail("No ClickHouse is named. Set clickhouse in envol.toml, or ENVOL_CLICKHOUSE: see `envol settings`.")
    try:
        return upkeep.client()
    except Missing as error:
        fail(str(error))
    except Exception as error:  # the driver has many ways to say that nobody answers
        fail(f"This ClickHouse does not answer: {error}")


@clickhouse.command("copy")
def clickhouse_copy(workspace: Ws = "", data: Data = None, json: Json = False) -> None:
    """Copy the workspace into ClickHouse now; it is read from when it is whole."""
    opened(data)
    from django.conf import settings

    from envol.audience.clickhouse import upkeep
    from envol.audience.clickhouse.load import load
    from envol.audience.columns.build import address

    space, client = workspace_named(workspace), _client()
    with bars() as progress:
        made = load(space, client, address(), bar(progress, "Copy"), settings.ENVOL.clickhouse_cluster)
    upkeep.note(space.pk)
    show(
        {"version": made.version, "people": made.people},
        json,
        lambda: say(f"{made.people:,} people are copied (version {made.version})."),
    )


@clickhouse.command("count")
def clickhouse_count(
    name: Annotated[str, typer.Argument(help="Name of a segment.")],
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Count a segment in ClickHouse, with what changed since the copy; exit 1 when it does not answer its rules."""
    opened(data)
    import time

    import psycopg

    from envol.audience.catalogue import Catalogue
    from envol.audience.clickhouse import engine
    from envol.audience.clickhouse.compile import Refused
    from envol.audience.columns.build import address

    space, client = workspace_named(workspace), _client()
    tree = segment_named(space, name).tree
    began = time.perf_counter()
    try:
        with psycopg.connect(address(), autocommit=True) as pg, engine.question(client, space, pg) as asked:
            count, changed = asked.count(Catalogue(space), tree), len(asked.changed)
    except Refused as error:
        fail(
            f"ClickHouse does not answer “{error.field} {error.op}”: {error.why}. PostgreSQL does: envol segment count."
        )
    except (engine.NoCopy, engine.Behind) as error:
        fail(f"{error}. Make the copy anew: envol clickhouse copy")
    seconds = round(time.perf_counter() - began, 3)
    show(
        {"count": count, "changed_since": changed, "seconds": seconds},
        json,
        lambda: say(
            f"{count:,} people in {seconds:.3f} s; {changed:,} changed since the copy and were asked of PostgreSQL."
        ),
    )


@clickhouse.command("refused")
def clickhouse_refused(workspace: Ws = "", data: Data = None, json: Json = False) -> None:
    """Which rules ClickHouse does not answer, and why; PostgreSQL answers them."""
    opened(data)
    from django.utils import timezone

    from envol.audience.catalogue import Catalogue
    from envol.audience.clickhouse.compile import refusals
    from envol.audience.columns import shape
    from envol.audience.days import Days

    space = workspace_named(workspace)
    catalogue = Catalogue(space)
    columns = {t.name: {c.name: c.told for c in t.columns} for t in shape.tables(catalogue).values()}
    found = refusals(catalogue, Days.of(timezone.now(), space.time_zone), columns)

    def human() -> None:
        table = Table("field", "operator", "why")
        for (field, op), why in sorted(found.items()):
            table.add_row(field, op, why)
        console.print(table)

    show([{"field": field, "op": op, "why": why} for (field, op), why in sorted(found.items())], json, human)


@app.command("sql")
def sql(
    question: Annotated[str, typer.Argument(help="One SELECT; - reads it from standard input.")],
    masked: Annotated[bool, typer.Option("--masked", help="Hide addresses.")] = False,
    rows: Annotated[int, typer.Option(help="How many rows at most.", min=1, max=100_000)] = 100,
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Ask the columnar copy by SQL: read-only, in a process of its own. Tables: docs/sql.md."""
    opened(data)
    import sys

    from envol.accounts import journal
    from envol.audience.analysis import ask

    space = workspace_named(workspace)
    text = sys.stdin.read() if question == "-" else question
    try:
        found = ask.ask(space, text, masked=masked, count=rows)
    except ask.Refused as error:
        fail(f"{_REFUSALS.get(error.code, 'The engine could not answer')}{': ' + error.what if error.what else '.'}")
    journal.note(space, "command", "analysis.asked", rows=len(found.rows))

    def human() -> None:
        table = Table(*found.columns)
        for row in found.rows:
            table.add_row(*("" if value is None else str(value) for value in row))
        console.print(table)
        say(f"{len(found.rows):,} rows{', and more' if found.more else ''} in {found.seconds:.2f} s.")

    show({"columns": found.columns, "rows": found.rows, "more": found.more, "seconds": found.seconds}, json, human)


_REFUSALS = {
    "empty": "Write a question",
    "long": "The question is too long",
    "large": "The question is too large",
    "several": "Ask one question at a time",
    "no_select": "Only SELECT is possible",
    "recursive": "WITH RECURSIVE is not possible",
    "table": "There is no such table here (docs/sql.md lists them)",
    "name": "This cannot be the name of a WITH",
    "word": "This is not possible here (docs/sql.md says what is)",
    "unreadable": "This is no SQL that can be read",
    "slow": "This takes too long and was ended",
    "memory": "This needs more memory than one question may have",
    "large_answer": "The answer is too large",
    "busy": "Another question of this workspace is being answered",
    "no_copy": "There is no columnar copy yet (setting columns_from says from how many people there is)",
}
