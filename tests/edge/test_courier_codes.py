"""Codes at the courier: what its minutes are over for is not sent, whether it waited in the queue or in its hands."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from envol import db
from envol.outbound import accept, states
from envol.outbound.accept import Outgoing
from tests.edge.sink import Sink, Talk
from tests.edge.test_courier import _closing, couriers, until

pytestmark = pytest.mark.usefixtures("empty_database")


def codes(workspace: Any, *names: str) -> dict[str, tuple[int, int]]:
    sender = ("Librairie", "noreply@librairie.example")
    letters = [
        Outgoing(workspace.id, sender, [("", f"{one}@un.example")], "Code", one, kind="system", code=True)
        for one in names
    ]
    found = accept.accept_messages(letters)
    return {name: made.recipients[0] for name, made in zip(names, found, strict=True)}


def grow_old(key: tuple[int, int]) -> bool:
    return (
        db.execute(
            "UPDATE outbound_send SET created_at = now() - interval '16 minutes' WHERE sending_id = %s AND no = %s",
            [*key],
        )
        == 1
    )


def ends() -> dict[str, tuple[str, str]]:
    found = db.rows(
        "SELECT s.address, o.state, o.cause FROM outbound_send s JOIN outbound_outcome o"
        " ON o.sending_id = s.sending_id AND o.no = s.no"
    )
    return {address.partition("@")[0]: (state, cause) for address, state, cause in found}


def test_a_code_that_waited_too_long_is_not_sent_and_the_next_one_is(workspace: Any) -> None:
    made = codes(workspace, "old", "new")
    grow_old(made["old"])

    async def work() -> list[str]:
        async with Sink() as sink, couriers(sink):
            await until(lambda: len(ends()) == 2)
            return [who for who, _ in sink.accepted]

    assert asyncio.run(work()) == ["new@un.example"]
    assert ends() == {"old": ("expired", "too_late"), "new": ("delivered", "")}
    assert states.invariants() == []


def test_nor_one_whose_minutes_end_while_the_courier_has_it(workspace: Any) -> None:
    made = codes(workspace, "first", "second")
    go_on = asyncio.Event()

    async def hold(talk: Talk, verb: str) -> str | None:
        if verb == "DOT":
            await go_on.wait()
        return None

    async def work() -> list[str]:
        async with Sink(hold) as sink, couriers(sink, connections=1) as (courier,):
            await until(lambda: "DATA" in sink.commands)
            # The second is made and waits for the only connection.
            await asyncio.to_thread(_closing, lambda: grow_old(made["second"]))
            await until(lambda: made["second"] in courier._withheld)
            assert not sink.accepted
            go_on.set()
            await until(lambda: len(ends()) == 2)
            return [who for who, _ in sink.accepted]

    assert asyncio.run(work()) == ["first@un.example"]
    assert ends() == {"first": ("delivered", ""), "second": ("expired", "too_late")}
    assert states.invariants() == []
