"""An SMTP host for tests: real sockets, a script of what goes wrong, and a memory of what it acknowledged."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Script = Callable[["Talk", str], Awaitable[str | None] | str | None]


@dataclass
class Talk:
    """One session as the script sees it. `command` is the verb; a script returns a reply, or None for the usual one."""

    sink: Sink
    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sender: str = ""
    recipient: str = ""
    tls: bool = False
    messages: int = 0

    def cut(self) -> None:
        self.writer.transport.abort()


@dataclass
class Sink:
    """`accepted`: (recipient, message) in order of their 250. script(talk, verb) may change any reply; verb DOT is
    the end of data. `starttls`: offered with this context; a string breaks the handshake."""

    script: Script | None = None
    starttls: ssl.SSLContext | str | None = None
    pipelining: bool = True
    accepted: list[tuple[str, bytes]] = field(default_factory=list)
    sessions: int = 0
    open: int = 0
    most_open: int = 0
    tls_sessions: int = 0
    commands: list[str] = field(default_factory=list)
    port: int = 0
    address: str = "127.0.0.1"

    async def __aenter__(self) -> Sink:
        self._server = await asyncio.start_server(self._serve, self.address, self.port, limit=2**24)
        self.port = self._server.sockets[0].getsockname()[1]
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def repeated(self) -> dict[str, int]:
        return {who: n for who, n in Counter(who for who, _ in self.accepted).items() if n > 1}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.sessions += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        talk = Talk(self, self.sessions, reader, writer)
        try:
            await self._talk(talk)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, OSError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.transport.abort()

    async def _say(self, talk: Talk, verb: str, usual: str) -> str:
        said: str | None = None
        if self.script is not None:
            answer = self.script(talk, verb)
            said = await answer if asyncio.iscoroutine(answer) else answer  # type: ignore[assignment]
        line = said or usual
        talk.writer.write(line.encode() + b"\r\n")
        await talk.writer.drain()
        if line.startswith("421"):
            talk.writer.close()
            raise ConnectionError
        return line

    async def _talk(self, talk: Talk) -> None:
        if not (await self._say(talk, "GREETING", "220 sink.example ESMTP")).startswith("2"):
            return
        begun = False
        while True:
            line = (await talk.reader.readuntil(b"\r\n")).decode().rstrip()
            verb = line.split()[0].upper() if line else ""
            self.commands.append(line)
            match verb:
                case "EHLO":
                    offers = ["sink.example", "8BITMIME"]
                    if self.pipelining:
                        offers.append("PIPELINING")
                    if self.starttls is not None and not talk.tls:
                        offers.append("STARTTLS")
                    lines = [f"250-{offer}" for offer in offers[:-1]] + [f"250 {offers[-1]}"]
                    await self._say(talk, verb, "\r\n".join(lines))
                case "STARTTLS":
                    await self._say(talk, verb, "220 2.0.0 Go on")
                    if not isinstance(self.starttls, ssl.SSLContext):
                        talk.writer.write(b"this is no handshake\r\n")
                        await talk.writer.drain()
                        return
                    await talk.writer.start_tls(self.starttls)
                    talk.tls = True
                    self.tls_sessions += 1
                case "MAIL":
                    talk.sender = line[line.index("<") + 1 : line.index(">")]
                    begun = (await self._say(talk, verb, "250 2.1.0 OK"))[0] == "2"
                case "RCPT" if not begun:
                    await self._say(talk, "OTHER", "503 5.5.1 Say MAIL FROM first")
                case "RCPT":
                    talk.recipient = line[line.index("<") + 1 : line.index(">")]
                    refused = (await self._say(talk, verb, "250 2.1.5 OK"))[0] != "2"
                    if refused:
                        talk.recipient = ""
                case "DATA":
                    if not talk.recipient:
                        await self._say(talk, verb, "554 5.5.1 No valid recipients")
                        continue
                    await self._say(talk, verb, "354 Go on")
                    data = (await talk.reader.readuntil(b"\r\n.\r\n"))[:-3].replace(b"\r\n..", b"\r\n.")
                    talk.messages += 1
                    who = talk.recipient
                    if (await self._say(talk, "DOT", "250 2.0.0 Kept")).startswith("2"):
                        self.accepted.append((who, data))
                    talk.recipient = ""
                case "RSET" | "NOOP":
                    await self._say(talk, verb, "250 2.0.0 OK")
                case "QUIT":
                    await self._say(talk, verb, "221 2.0.0 Goodbye")
                    return
                case _:
                    await self._say(talk, verb, "500 5.5.2 What?")
