"""The processes of a crash run: `python -m tests.crash.parts sink|accepter|expander|courier`.

sink      an SMTP host that says 250 only after the number of the message is in its journal, fsynced; at SIGUSR1 it
          cuts one of its connections, best one that waits for its 250;
accepter  accepts single messages and journals, fsynced, the numbers it was promised;
expander  puts the people of a campaign into the queue by the road campaigns take, batch after batch;
courier   the real courier process.

All but the sink may be killed at any moment: it is the receiver, whose word is what we compare with.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

NUMBER = re.compile(r"m(\d+)@")
AT_ONCE = 50
SETTLED_EARLY = 0.05
"""Seconds by which the control commits an outcome too soon. A receiver on the same machine has the message a
millisecond after the commit, and twelve kills may all miss a moment that short; they do not miss this one."""
BACKLOG = 1500
"""The accepter is so far ahead of what arrived, and the expander goes beside it: both must live while couriers work
and things die. The campaign itself leaves when its expansion is complete, so the accepter cannot wait for it."""


def append(file: int, numbers: list[int]) -> None:
    """Numbers into a journal, on disk when this returns."""
    os.write(file, b"".join(b"%d\n" % n for n in numbers))
    os.fsync(file)


def opened(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def backlog(produced: int) -> bool:
    """Is enough on its way already?"""
    file = Path(os.environ["CRASH_SINK_JOURNAL"])
    arrived = file.read_bytes().count(b"\n") if file.exists() else 0
    return produced - arrived > BACKLOG and "CRASH_PACE" not in os.environ


def sink() -> None:
    from envol.edge.gather import Gatherer
    from envol.wire.smtp import server as smtp

    file = opened(os.environ["CRASH_SINK_JOURNAL"])
    gatherer: Gatherer[int, None] = Gatherer(lambda numbers: append(file, numbers), name="sink")

    sessions: set[Any] = set()

    class Session(asyncio.Protocol):
        transport: Any
        keeping = False

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport
            sessions.add(self)
            self.server = smtp.Server(smtp.ServerOptions("sink.example"))
            self.flush()

        def connection_lost(self, exc: Exception | None) -> None:
            sessions.discard(self)

        def flush(self) -> None:
            if data := self.server.data_to_send():
                self.transport.write(data)

        def data_received(self, data: bytes) -> None:
            self.act(self.server.receive_data(data))

        def act(self, events: list[smtp.Event]) -> None:
            pending = list(events)
            while pending:
                event = pending.pop(0)
                if isinstance(event, smtp.MailFrom):
                    pending += self.server.answer(smtp.SENDER_OK)
                elif isinstance(event, smtp.RcptTo):
                    pending += self.server.answer(smtp.RECIPIENT_OK)
                elif isinstance(event, smtp.Message):
                    asyncio.ensure_future(self.keep(event))
                elif isinstance(event, smtp.Closed):
                    self.flush()
                    self.transport.close()
                    return
            self.flush()

        async def keep(self, message: smtp.Message) -> None:
            found = NUMBER.match(message.envelope.recipients[0])
            assert found
            self.keeping = True
            await gatherer.put(int(found[1]))
            self.keeping = False
            if not self.transport.is_closing():  # else its client was killed, or the connection cut, meanwhile
                self.act(self.server.answer(smtp.ACCEPTED))

    def cut() -> None:
        if sessions:
            random.choice([one for one in sessions if one.keeping] or list(sessions)).transport.abort()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, cut)
        listener = await loop.create_server(Session, "127.0.0.1", 0)
        print(listener.sockets[0].getsockname()[1], flush=True)
        await loop.create_future()

    import uvloop

    uvloop.run(main())


def accepter() -> None:
    """Number on from the journal's end, a whole batch further: what was in doubt at a kill is left in doubt."""
    import django

    django.setup()
    from django.db import Error, InterfaceError, connection

    from envol.outbound.accept import Outgoing, accept_messages

    path, most = os.environ["CRASH_PROMISED_JOURNAL"], int(os.environ["CRASH_MESSAGES"])
    workspace = int(os.environ["CRASH_WORKSPACE"])
    already = [int(line) for line in Path(path).read_text().split()] if Path(path).exists() else []
    number = max(already, default=-1) + 1 + (AT_ONCE if already else 0)
    promised = len(already)
    file = opened(path)
    pace = float(os.environ.get("CRASH_PACE", "0"))
    while promised < most:
        while backlog(promised):
            time.sleep(0.02)
        batch = range(number, number + AT_ONCE)
        number += AT_ONCE
        messages = [
            Outgoing(
                workspace,
                ("Shop", "shop@librairie.example"),
                [("", f"m{n}@d{n % 7}.example")],
                f"Order {n}",
                "Thank you for your order. " * 20,
            )
            for n in batch
        ]
        try:
            accept_messages(messages)
        except (Error, InterfaceError):
            connection.close()  # the outcome of the commit is unknown: no promise
            time.sleep(0.2)
            continue
        append(file, list(batch))
        promised += len(batch)
        time.sleep(pace)


def expander() -> None:
    """Expand the campaign's sending; started again after a kill it goes on where the last whole batch ended."""
    import django

    django.setup()
    from django.db import Error, InterfaceError, connection

    from envol import db
    from envol.campaigns import expand
    from tests.crash.machine import REFUSED

    sending = int(os.environ["CRASH_SENDING"])
    step = expand._batch

    def paced(*given: Any) -> Any:
        # The last of them allowed nothing: nobody's arrival would end the waiting for theirs.
        asked = db.value("SELECT expand_cursor FROM outbound_sending WHERE id = %s", [sending])
        while backlog(asked * REFUSED // (REFUSED + 1)):
            time.sleep(0.02)
        return step(*given)

    expand._batch = paced
    while True:
        try:
            if expand.run(sending, batch=int(os.environ["CRASH_BATCH"])).complete:
                return
        except (Error, InterfaceError):
            connection.close()
        time.sleep(0.2)


def courier() -> None:
    import django

    django.setup()
    from django.conf import settings

    from envol.edge import courier as real
    from envol.run import logs

    logs.setup("courier", level="ERROR")
    if os.environ.get("CRASH_CONTROL") == "settle-early":
        settle_before_sending()
    real.run(settings.ENVOL, lambda: None)


def settle_before_sending() -> None:
    """The fault a crash run must notice: the outcome is committed before the receiver's 250."""
    from envol.edge.courier_lanes import Channel, Connection, Item, Lanes
    from envol.outbound.settle import Result, settle

    async def deliver(self: Lanes, channel: Channel, connection: Connection, item: Item) -> None:
        result = Result(item.row, "delivered", "", 250, "2.0.0", "surely", connection.host)
        courier = self._courier
        await courier._in(courier._settler.pool, settle, [result])
        await asyncio.sleep(SETTLED_EARLY)
        await connection.run(item, lambda: None, lambda item, outcome: None)
        self._unpick(channel, item)
        courier.untake(item.row)
        courier._give_back(item.row)

    Lanes._deliver = deliver  # type: ignore[method-assign]


if __name__ == "__main__":
    {"sink": sink, "accepter": accepter, "expander": expander, "courier": courier}[sys.argv[1]]()
