"""Jobs of campaigns for the worker."""

from __future__ import annotations

from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

# Every process reads this file at start; what the jobs need (sqlglot: 15 MB) is imported when they run.


@app.task(queue="campaigns", name="campaigns.expand")
def expand(sending_id: int) -> None:
    """Queue the people of a sending; goes on where an earlier run ended."""
    from envol.campaigns import expand as expansion

    expansion.run(sending_id)


@app.periodic(cron="* * * * *")
@app.task(queue="campaigns", name="campaigns.tick", queueing_lock="campaigns.tick")
def tick(timestamp: int) -> None:
    """The same as the worker's own clock, for workers that run without it."""
    from envol.campaigns import tick as clock

    clock.run()


def ask(sending_id: int) -> None:
    """Ask for an expansion; nothing happens when one waits already."""
    name = f"campaigns.expand {sending_id}"
    try:
        expand.configure(lock=name, queueing_lock=name).defer(sending_id=sending_id)
    except AlreadyEnqueued:
        pass
