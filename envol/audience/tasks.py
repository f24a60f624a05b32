"""Jobs of the queue for the worker, by the clock: each runs once, however many workers there are."""

from __future__ import annotations

from procrastinate.contrib.django import app

# Every process reads this file at start; what the jobs need is imported when they run.


@app.periodic(cron="* * * * *")
@app.task(queue="house", name="audience.columns", queueing_lock="audience.columns", lock="audience.columns")
def write_columns(timestamp: int) -> None:
    """Every minute: columns that are missing or have fallen behind are written anew."""
    from envol.audience.columns import upkeep

    upkeep.look_after()
