"""The command line of what leaves: receivers, source addresses, warm-up."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from envol.run.cli import Data, Json, Ws, app, console, fail, opened, say, show, workspace_named


@app.command()
def receivers(data: Data = None, json: Json = False) -> None:
    """What each receiver takes, and where we go slower or wait because its replies said so."""
    opened(data)
    from envol.outbound import shaping, sites

    slower = shaping.table()
    facts = {
        "as_of": sites.as_of(),
        "slower": slower,
        "receivers": [
            {
                "receiver": one.name,
                "connections": one.connections,
                "messages_per_connection": one.messages_per_connection,
                "messages_per_minute": one.messages_per_minute,
                "pause_seconds": one.pause_seconds,
                "source": one.source,
            }
            for one in sites.receivers().values()
        ],
    }

    def human() -> None:
        table = Table("receiver", "connections", "messages each", "first pause", "where from")
        for one in sites.receivers().values():
            pause = f"{one.pause_seconds} s"
            table.add_row(one.name, str(one.connections), str(one.messages_per_connection), pause, one.source)
        console.print(table)
        say(f"As of {sites.as_of():%Y-%m-%d}, from each source address.")
        say_slower(slower)

    show(facts, json, human)


def say_slower(slower: list[dict[str, object]]) -> None:
    """A table of receivers where we hold back; nothing when there is none."""
    if not slower:
        return
    table = Table("receiver", "from", "connections", "a minute", "wait until", "because")
    for row in slower:
        rate = row["per_minute"]
        table.add_row(
            str(row["receiver"]),
            str(row["source"]),
            f"{row['held']} of {row['connections']}",
            f"{rate:.0f}" if isinstance(rate, float) else "",
            f"{row['paused_until']:%H:%M}" if row["paused_until"] else "",
            str(row["reason"])[:80],
        )
    console.print(table)


@app.command()
def warmup(
    source: Annotated[str, typer.Argument(help="One source address; none: all.")] = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """The calendar of source addresses that warm up: what they may send today, and what they sent before."""
    config = opened(data)
    from envol.outbound import egress, shaping, warmup

    sources = [one for one in egress.parse(config.sources) if one.warm and source in ("", one.address)]
    days = shaping.calendar(source)
    plans = {one.address: {"plan": one.warm, "days": warmup.PLANS[one.warm]} for one in sources}

    def human() -> None:
        if not sources:
            say("No source address warms up. Name one in the setting `sources`, with the word warm.")
        for one in sources:
            say(f"{one.address}: plan {one.warm}, {len(warmup.PLANS[one.warm])} days.")
        if not days:
            return
        table = Table("day", "from", "receiver", "step", "went", "allowed", "deferred", "dead", "complaints", "")
        for row in days[:60]:
            table.add_row(
                f"{row['day']}",
                row["source"],
                row["receiver"],
                str(row["step"] + 1),
                str(row["used"]),
                str(row["allowed"]),
                str(row["deferred"]),
                str(row["hard"]),
                str(row["complaints"]),
                "stopped: refused" if row["blocked"] else row["note"],
            )
        console.print(table)

    show({"plans": plans, "days": days}, json, human)


@app.command()
def limit(
    per_hour: Annotated[int | None, typer.Option(help="Messages an hour; 0: no limit.")] = None,
    per_day: Annotated[int | None, typer.Option(help="Messages a day; 0: no limit.")] = None,
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """What a workspace may send; campaigns and lists wait when it is used up. Without options: what holds now."""
    opened(data)
    from envol.outbound import limits

    here = workspace_named(workspace)
    if per_hour is not None or per_day is not None:
        known = limits.of(here.id)
        hour = known.per_hour if per_hour is None else per_hour or None
        day = known.per_day if per_day is None else per_day or None
        try:
            limits.put(here.id, hour, day)
        except ValueError as error:
            fail(str(error))
    found = limits.of(here.id)

    def human() -> None:
        for what, most, used in (("hour", found.per_hour, found.hour), ("day", found.per_day, found.day)):
            say(f"{used:,} messages within the last {what}; {f'at most {most:,}' if most else 'no limit'}.")

    show(
        {"per_hour": found.per_hour, "per_day": found.per_day, "last_hour": found.hour, "last_day": found.day},
        json,
        human,
    )
