"""Jobs of reports for the worker."""

from __future__ import annotations

from procrastinate.contrib.django import app


@app.periodic(cron="* * * * *")
@app.task(queue="house", name="insight.reports", queueing_lock="insight.reports", lock="insight.reports")
def count_reports(timestamp: int) -> None:
    """Every minute, on a large base: reports that somebody will want to see are counted before she asks."""
    from envol.insight import kept

    kept.look_after()
