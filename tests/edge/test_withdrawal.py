"""After a withdrawal no MAIL FROM is issued more than one second later, by whichever door it came (GDPR art. 7(3))."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable

import pytest
from django.test import Client

from envol import db
from envol.accounts.workspaces import create_api_key
from envol.content import links
from envol.edge import courier
from envol.outbound import states
from tests.edge.sink import Sink, Talk
from tests.edge.test_courier import _closing, couriers, run, until, version  # noqa: F401
from tests.outbound.helpers import queued

pytestmark = pytest.mark.usefixtures("empty_database")
PACE = 0.1
STAY, LEAVE = 14, 5


def doors(workspace, sending_id: int, people: list[tuple[int, str]]) -> list[Callable[[], int]]:  # noqa: ANN001
    """One way out for each of five people; each answers with its status."""
    browser = Client(HTTP_HOST="localhost")
    key = create_api_key(workspace, "boutique")
    basic = "Basic " + base64.b64encode(f"{key.key}:{key.secret}".encode()).decode()

    def unsubscribe(no: int, form: dict[str, str]) -> int:
        return browser.post(f"/u/{links.unsubscribe_token(sending_id, no)}", form).status_code

    def choose(no: int, act: str) -> int:
        return browser.post(f"/p/{links.preferences_token(sending_id, no)}", {"act": act}).status_code

    def program(address: str) -> int:
        told = json.dumps({"email": address, "purpose": "newsletter"})
        return browser.post(
            "/consent/withdrawals.json", told, content_type="application/json", headers={"Authorization": basic}
        ).status_code

    one, two, three, four, five = people
    return [
        lambda: unsubscribe(one[0], {"List-Unsubscribe": "One-Click"}),
        lambda: unsubscribe(two[0], {"act": "leave"}),
        lambda: choose(three[0], "all"),
        lambda: choose(four[0], "ask_restriction"),
        lambda: program(five[1]),
    ]


def late_mail(workspace, version: int) -> tuple[list[str], bool]:  # noqa: ANN001, F811
    """To whom MAIL FROM was said more than a second after leaving; and whether it was still said to others then."""
    one = queued(workspace, STAY + LEAVE, version_id=version)
    people = db.rows("SELECT no, address FROM outbound_send WHERE sending_id = %s ORDER BY no", [one.id])
    leaving = people[-LEAVE:]
    acts = doors(workspace, one.id, leaving)
    inside: list[str] = []
    gone: dict[str, float] = {}
    said: list[tuple[str, float]] = []
    held, begun = asyncio.Event(), asyncio.Event()

    async def script(talk: Talk, verb: str) -> None:
        if verb == "MAIL":
            said.append(("", time.monotonic()))
        elif verb == "RCPT":
            said[-1] = (talk.recipient, said[-1][1])
        elif verb == "DOT":
            if not inside:
                inside.append(talk.recipient)
                begun.set()
                await held.wait()
            await asyncio.sleep(PACE)

    async def work() -> None:
        async with Sink(script) as sink, couriers(sink, connections=1):
            await asyncio.wait_for(begun.wait(), 20)
            number = next(no for no, address in people if address == inside[0])
            last = Client(HTTP_HOST="localhost")
            for act, (_no, address) in zip(acts, leaving, strict=True):
                assert await asyncio.to_thread(_closing, lambda act=act: act() == 200), address  # type: ignore[misc]
                gone[address] = time.monotonic()
            token = links.unsubscribe_token(one.id, number)
            await asyncio.to_thread(_closing, lambda: last.post(f"/u/{token}").status_code == 200)
            held.set()
            await until(lambda: states.finished(one.id))
            assert [who for who, _ in sink.accepted].count(inside[0]) == 1, "what is inside DATA ends"

    run(work())
    late = [who for who, at in said if who in gone and at > gone[who] + 1]
    return late, any(at > max(gone.values()) + 1 for who, at in said if who not in gone)


def test_no_mail_from_later_than_a_second(workspace, version, monkeypatch) -> None:  # noqa: F811
    late, others_went_on = late_mail(workspace, version)
    assert late == [] and others_went_on
    # A courier that does not ask again would be caught.
    monkeypatch.setattr(courier.leasing, "changed", lambda held: {})
    late, _others = late_mail(workspace, version)
    assert late
