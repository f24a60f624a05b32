"""Each dialogue of tests/dialogues is replayed whole and one byte at a time, with the same result.

A dialogue is a text. Lines that begin with # say what it shows and which rule it keeps.
`machine:` names the machine under test and its options. Then, in order:

    S: / C:   what server and client say. What our machine says is a pattern: * is
              anything on one line, ** anything at all. A line without escapes ends with CRLF;
              a line with \\r \\n \\0 \\xNN is taken as it stands.
    do:       what the owner of the machine does: send FROM -> TO TO | DATA, quit, cut,
              cut unsent, tls, tls failed, shutdown, drain; ask PARAMETERS | OF EACH RECIPIENT is what the next
              send wants to hear (- for nothing); follow FROM -> TO TO | DATA sends as soon as
              the machine lets a transaction follow the one that runs
    is:       an event of the machine (patterns too)

Nothing more may be said, and nothing more may happen, than the dialogue shows.
The owner of a server takes every sender and recipient, but unknown@ (550), later@ (451) and
spam@ as sender (550); it takes every message but those that contain "refuse me" (554).
The secret of every key is "right"; proved (SCRAM), it is that of the example of RFC 7677, and so is our nonce.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envol.wire.scram import Verifier
from envol.wire.smtp import client as c
from envol.wire.smtp import server as s
from envol.wire.smtp.grammar import Reply, reply
from envol.wire.smtp.notify import Asked, Wish

DIALOGUES = sorted((Path(__file__).parents[2] / "dialogues").glob("*/*.txt"))

PENCIL = Verifier.of("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))


def unescape(text: str) -> bytes:
    if "\\" not in text:
        return text.encode() + b"\r\n"
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1")


def pattern(text: str) -> bytes:
    return re.escape(unescape(text)).replace(rb"\*\*", rb"[\s\S]*").replace(rb"\*", rb"[^\r\n]*")


class Replay:
    """One run of one dialogue: `said` is what the machine wrote, `events` what it told."""

    peer = ""

    def __init__(self, step: int | None) -> None:
        self.step = step
        self.said = b""
        self.events: list[str] = []

    def feed(self, data: bytes) -> None:
        for i in range(0, len(data), self.step or len(data)):
            self.hear(data[i : i + (self.step or len(data))])

    def hear(self, data: bytes) -> None:
        raise NotImplementedError

    def act(self, text: str) -> None:
        raise NotImplementedError

    def take(self) -> None:
        raise NotImplementedError


class ClientReplay(Replay):
    peer = "S"

    def __init__(self, step: int | None, options: dict[str, str]) -> None:
        super().__init__(step)
        user, _, password = options.pop("login", "").partition(":")
        self.machine = c.Client(
            c.ClientOptions(
                "out.example",
                tls=c.Tls(options.pop("tls", "if_offered")),
                implicit_tls=options.pop("implicit_tls", "no") == "yes",
                credentials=(user, password) if user else None,
                auth_in_clear=options.pop("auth_in_clear", "no") == "yes",
                pipelining=options.pop("pipelining", "yes") == "yes",
            )
        )
        assert not options, options
        self.following: list[tuple[str, list[str], bytes]] = []
        self.asks: dict[str, Any] = {}

    def hear(self, data: bytes) -> None:
        self.note(self.machine.receive_data(data))
        while self.following and self.machine.can_follow:
            self.note(self.machine.send(*self.following.pop(0)))
        self.take()

    def take(self) -> None:
        self.said += self.machine.data_to_send()

    def act(self, text: str) -> None:
        m = self.machine
        if text.startswith(("send ", "follow ")):
            what, _, rest = text.partition(" ")
            envelope, _, data = rest.partition(" | ")
            sender, recipients = envelope.split("->")
            message = sender.strip(), recipients.split(), unescape(data)
            if what == "follow":
                self.following.append(message)
            else:
                self.note(m.send(*message, **self.asks))
                self.asks = {}
        elif text.startswith("ask "):
            of_message, *of_each = text[4:].split(" | ")
            given = dict(word.split("=", 1) for word in of_message.split())
            wishes = [dict(word.split("=", 1) for word in one.split() if word != "-") for one in of_each]
            self.asks = {
                "asked": Asked(given["RET"], given["ENVID"]),
                "wishes": [Wish(one.get("NOTIFY", ""), one.get("ORCPT", "")) for one in wishes],
            }
        elif text == "quit":
            m.quit()
        elif text == "tls":
            self.note(m.tls_started())
        elif text == "tls failed":
            self.note(m.tls_failed("wrong version"))
        elif text == "cut":
            self.note(m.connection_lost())
        elif text == "cut unsent":
            self.note(m.connection_lost(unsent=1))
        else:
            raise AssertionError(text)
        self.take()

    def note(self, events: list[c.Event]) -> None:
        for event in events:
            match event:
                case c.Ready(capabilities):
                    words = " ".join(sorted(capabilities.keywords))
                    self.events.append(f"Ready {'tls' if capabilities.tls else 'clear'} {words}".strip())
                case c.StartTls():
                    self.events.append("StartTls")
                case c.TransactionResult(outcomes):
                    self.events.append("Result " + "; ".join(map(self.outcome, outcomes)))
                case c.Closed(cause, stage, answer):
                    self.events.append(f"Closed {cause} at {stage}" + (f" {answer.code}" if answer else ""))

    @staticmethod
    def outcome(o: c.Outcome) -> str:
        words = str(o.reply).split(" ")[0] if o.reply else "nothing"
        enhanced = f" {o.reply.enhanced}" if o.reply and o.reply.enhanced else ""
        assert o.accepted == (words.startswith("2") and o.stage == "end_of_data")
        return f"{o.recipient} {words}{enhanced} at {o.stage}" + (" in doubt" if o.in_doubt else "")


class ServerReplay(Replay):
    peer = "C"

    def __init__(self, step: int | None, options: dict[str, str]) -> None:
        super().__init__(step)
        tls = options.pop("tls", "no") == "yes"
        numbers = {k: int(options.pop(k)) for k in ("max_size", "max_recipients") if k in options}
        flags = {k: v == "yes" for k, v in options.items()}
        self.machine = s.Server(s.ServerOptions("in.example", **numbers, **flags), tls=tls)  # type: ignore[arg-type]

    def hear(self, data: bytes) -> None:
        self.note(self.machine.receive_data(data))

    def take(self) -> None:
        self.said += self.machine.data_to_send()

    def act(self, text: str) -> None:
        if text == "tls":
            self.machine.tls_started()
        elif text == "shutdown":
            self.note(self.machine.shutdown())
        elif text == "drain":
            self.note(self.machine.drain())
        else:
            raise AssertionError(text)

    def note(self, events: list[s.Event]) -> None:
        todo = list(events)
        while todo:
            event = todo.pop(0)
            match event:
                case s.Message(envelope, data):
                    to = " ".join(envelope.recipients)
                    text = data.decode("latin-1").encode("unicode_escape").decode()
                    asked = [envelope.asked.parameters(), *(wish.parameters() for wish in envelope.wishes)]
                    told = [f" | {one.strip() or '-'}" for one in asked] if any(asked) else []
                    self.events.append(f"Message {envelope.reverse_path} -> {to} | {text}{''.join(told)}")
                case s.Etrn(domain, below):
                    self.events.append(f"Etrn {'@' * below}{domain}")
                case s.StartTls():
                    self.events.append("StartTls")
                case s.Verify(identity):
                    self.events.append(f"Verify {identity}")
                case s.Authenticate(mechanism, identity, _, proved):
                    told = "" if proved is None else " proved" if proved else " not proved"
                    self.events.append(f"Authenticate {mechanism} {identity}{told}")
                case s.Closed():
                    self.events.append("Closed")
            if not isinstance(event, s.StartTls | s.Closed):
                todo += self.machine.answer(self.answer(event))

    @staticmethod
    def answer(event: s.Event) -> Reply | s.Challenge:
        match event:
            case s.Verify():
                return s.Challenge(PENCIL, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
            case s.MailFrom(path):
                return reply(550, "5.7.1", "No") if path.startswith("spam@") else s.SENDER_OK
            case s.RcptTo(path):
                if path.startswith("unknown@"):
                    return reply(550, "5.1.1", "No such mailbox")
                return reply(451, "4.3.0", "Later") if path.startswith("later@") else s.RECIPIENT_OK
            case s.Message(_, data):
                return reply(554, "5.6.0", "No") if b"refuse me" in data else s.ACCEPTED
            case s.Etrn(domain):
                return reply(253, "2.0.0", f"OK, 3 pending messages for node {domain} started")
            case s.Authenticate(_, _, secret, proved):
                return s.AUTH_OK if secret == "right" or proved else s.AUTH_FAILED
        raise AssertionError(event)


def parse(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            kind, _, rest = line.partition(":")
            yield kind, rest[1:]


@pytest.mark.parametrize("step", [None, 1], ids=["whole", "bytewise"])
@pytest.mark.parametrize("path", DIALOGUES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_dialogue(path: Path, step: int | None) -> None:
    text = path.read_text()
    assert text.startswith("#") and "RFC" in text.split("\nmachine:")[0], "a dialogue cites its rule"
    lines = list(parse(text))
    kind, head = lines.pop(0)
    assert kind == "machine"
    name, *words = head.split()
    options = dict(word.split("=") for word in words)
    if step and options.pop("replay", "") == "whole":
        pytest.skip("shows what comes in one piece")
    options.pop("replay", None)
    replay: Replay = {"client": ClientReplay, "server": ServerReplay}[name](step, options)

    while lines:
        kind, rest = lines.pop(0)
        if kind in ("S", "C"):
            group = [rest]
            while lines and lines[0][0] == kind:
                group.append(lines.pop(0)[1])
            if kind == replay.peer:
                replay.feed(b"".join(map(unescape, group)))
            else:
                replay.take()
                expected = b"".join(map(pattern, group))
                assert re.fullmatch(expected, replay.said), f"{replay.said!r} is not {group}; events {replay.events}"
                replay.said = b""
        elif kind == "do":
            replay.act(rest)
        elif kind == "is":
            assert replay.events, f"no event, expected {rest}; said {replay.said!r}"
            event = replay.events.pop(0)
            wanted = re.escape(rest).replace(r"\*", ".*")
            assert re.fullmatch(wanted, event), f"{event} is not {rest}"
        else:
            raise AssertionError(f"unknown line {kind}")
    replay.take()
    assert replay.said == b""
    assert replay.events == []


def test_there_are_dialogues_for_both_machines() -> None:
    assert len([p for p in DIALOGUES if p.parent.name == "client"]) >= 20
    assert len([p for p in DIALOGUES if p.parent.name == "server"]) >= 20
