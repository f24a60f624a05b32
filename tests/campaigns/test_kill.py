"""Processes that die or meet while they expand a sending."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import pytest
from django.db import connection
from procrastinate.contrib.django import app

from envol import db
from envol.accounts.models import Workspace
from envol.campaigns import actions, expand, tick
from envol.outbound import states
from envol.outbound.models import Send, Sending
from tests.campaigns.shop import open_shop

pytestmark = pytest.mark.usefixtures("empty_database")  # the books are read whole

RUNNER = """
import sys, django
django.setup()
from envol.campaigns import expand
print("ready", flush=True)
expand.run(int(sys.argv[1]), batch=5)
"""


def test_kill_9_in_the_middle_misses_nobody_and_queues_nobody_twice(workspace: Workspace) -> None:
    """Killed for real, twice, at whatever instruction it happened to be; the third runner ends the work."""
    shop = open_shop(workspace)
    people = shop.people(4000)
    sending = actions.send(shop.campaign, take_back=0)
    tick.run()
    cursor = 0
    for _ in range(2):
        runner = subprocess.Popen(
            [sys.executable, "-c", RUNNER, str(sending.id)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            assert runner.stdout is not None and runner.stdout.readline() == b"ready\n"
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                now = db.value("SELECT expand_cursor FROM outbound_sending WHERE id = %s", [sending.id])
                if now > cursor + 50:
                    break
                time.sleep(0.001)
        finally:
            runner.kill()
            runner.wait()
            assert runner.stdout is not None
            runner.stdout.close()
        cursor = db.value("SELECT expand_cursor FROM outbound_sending WHERE id = %s", [sending.id])
        sending.refresh_from_db()
        assert sending.expanded_at is None and people[0] <= cursor < people[-1], "it was killed in the middle"
    assert expand.run(sending.id).complete
    assert list(Send.objects.filter(sending_id=sending.id).order_by("no").values_list("no", flat=True)) == people
    assert db.value("SELECT sum(size) FROM outbound_chunk WHERE sending_id = %s", [sending.id]) == len(people)
    assert states.invariants() == []


def test_two_runners_of_one_sending_share_it_without_harm(workspace: Workspace) -> None:
    shop = open_shop(workspace)
    people = shop.people(600)
    sending = actions.send(shop.campaign, take_back=0)
    tick.run()
    errors: list[BaseException] = []

    def runner() -> None:
        try:
            expand.run(sending.id, batch=20)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    runners = [threading.Thread(target=runner) for _ in range(3)]
    for thread in runners:
        thread.start()
    for thread in runners:
        thread.join()
    assert errors == []
    assert list(Send.objects.filter(sending_id=sending.id).order_by("no").values_list("no", flat=True)) == people
    assert Sending.objects.get(id=sending.id).state == "sending"


def test_acts_and_ticks_meet_without_deadlock(workspace: Workspace) -> None:
    """People pause and resume while the tick and the expansion work on the same rows."""
    shop = open_shop(workspace)
    shop.people(400)
    sending = actions.send(shop.campaign, take_back=0)
    tick.run()
    errors: list[BaseException] = []
    over = threading.Event()

    def ticking() -> None:
        try:
            while not over.is_set():
                tick.run()
                actions.refresh(sending.id)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    def expanding() -> None:
        try:
            for _ in range(200):
                if expand.run(sending.id, batch=10).complete:
                    return
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=act) for act in (ticking, expanding)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        for act in (actions.pause, actions.resume):
            try:
                act(shop.campaign)
            except actions.Refused:
                pass
    shop.campaign.refresh_from_db()
    if shop.campaign.state == "paused":
        actions.resume(shop.campaign)
    threads[1].join()
    over.set()
    threads[0].join()
    assert errors == []
    assert expand.run(sending.id).complete
    assert Send.objects.filter(sending_id=sending.id).count() == 400


def test_a_worker_expands_what_the_clock_found_due(workspace: Workspace) -> None:
    """The whole way: the tick asks, a real Procrastinate worker takes the job and does it."""
    shop = open_shop(workspace)
    people = shop.people(30)
    sending = actions.send(shop.campaign, take_back=0)
    tick.run()

    async def work() -> None:
        worker = app.with_connector(app.connector.get_worker_connector())  # type: ignore[attr-defined]
        async with worker.open_async():
            await worker.run_worker_async(wait=False, queues=["campaigns"], install_signal_handlers=False)

    asyncio.run(work())
    sending.refresh_from_db()
    assert sending.state == "sending"
    assert Send.objects.filter(sending_id=sending.id).count() == len(people)
