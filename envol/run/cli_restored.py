"""The command line of what waits since a backup was restored."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from envol.run.cli import Data, Json, app, console, fail, opened, say, show

restored = typer.Typer(no_args_is_help=True, help="Mail that waited in a backup that was restored.")
app.add_typer(restored, name="restored")

Which = Annotated[int, typer.Argument(help="Its number, as `envol restored list` tells.")]


@restored.command("list")
def restored_list(data: Data = None, json: Json = False) -> None:
    """What was paused, in every workspace: it may have left the lost installation after the backup was made."""
    opened(data)
    from envol.outbound import restored as waits

    rows = waits.waiting()

    def human() -> None:
        if not rows:
            say("Nothing waits since a restore.")
            return
        table = Table("number", "workspace", "kind", "people")
        for row in rows:
            table.add_row(str(row.sending_id), row.workspace, row.kind, f"{row.people:,}")
        console.print(table)

    show([row._asdict() for row in rows], json, human)


@restored.command("release")
def restored_release(number: Which, data: Data = None, json: Json = False) -> None:
    """Let it go. Who got it from the lost installation gets it a second time."""
    _decide("release", number, data, json)


@restored.command("cancel")
def restored_cancel(number: Which, data: Data = None, json: Json = False) -> None:
    """It does not leave. Who did not get it from the lost installation gets nothing."""
    _decide("cancel", number, data, json)


def _decide(act: str, number: int, data: Data, json: bool) -> None:
    opened(data)
    from envol.outbound import restored as waits

    try:
        people = waits.release(number) if act == "release" else waits.cancel(number)
    except ValueError as error:
        fail(str(error))
    said = "goes to" if act == "release" else "is cancelled for"
    show({"number": number, "people": people}, json, lambda: say(f"{number} {said} {people:,} people."))
