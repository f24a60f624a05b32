"""The worker: jobs of the rooms, and the clock that starts what is due."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable

import structlog

from envol.run.config import Config

log = structlog.get_logger()
TICK_SECONDS = 1.0


def run(config: Config, ready: Callable[[], None]) -> None:
    """Work until SIGTERM. A job in progress is given 30 s, then it is cut and taken up again later."""
    asyncio.run(_work(config, ready))


async def _work(config: Config, ready: Callable[[], None]) -> None:
    from procrastinate import PsycopgConnector
    from procrastinate.contrib.django import app
    from procrastinate.contrib.django.utils import connector_params

    stop = threading.Event()
    clock = threading.Thread(target=_clock, args=(stop,), name="clock")
    clock.start()
    teller = threading.Thread(target=_tell, args=(stop,), name="webhooks")
    teller.start()
    worker_app = app.with_connector(
        PsycopgConnector(kwargs=connector_params(), min_size=2, max_size=config.queue_connections)
    )
    async with worker_app.open_async():
        await _take_up_abandoned(worker_app)
        task = asyncio.create_task(
            worker_app.run_worker_async(
                concurrency=config.worker_jobs,
                install_signal_handlers=False,
                shutdown_graceful_timeout=30,
                delete_jobs="successful",
            )
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        ready()
        try:
            await task
        except asyncio.CancelledError:
            pass
        finally:
            stop.set()
            await asyncio.to_thread(clock.join)
            await asyncio.to_thread(teller.join)


async def _take_up_abandoned(app: object) -> None:
    """Jobs of a worker that was killed go back to the queue: they are all resumable."""
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=30):  # type: ignore[attr-defined]
        await app.job_manager.retry_job(job)  # type: ignore[attr-defined]
        log.info("job taken up again", task=job.task_name)


def _clock(stop: threading.Event) -> None:
    """Once a second: sendings that fall due, leases that ended, states that follow from rows."""
    from django.db import close_old_connections

    from envol.run.clock import beat

    while not stop.wait(TICK_SECONDS):
        close_old_connections()
        try:
            beat()
        except Exception as error:
            log.warning("tick failed, next try in a second", error=str(error))
    close_old_connections()


def _tell(stop: threading.Event) -> None:
    """Once a second: programs are told what happened. Beside the clock, which waits for nobody's server."""
    from django.db import close_old_connections

    from envol.api.hooks import runner

    while not stop.wait(TICK_SECONDS):
        close_old_connections()
        try:
            runner.run_due(stop)
        except Exception as error:
            log.warning("webhooks wait, next try in a second", error=str(error))
    close_old_connections()
