"""Whatever the other side sends: no exception, no hang, bounded memory, and one result for each message."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from envol.wire.smtp import client as c
from envol.wire.smtp import server as s
from envol.wire.smtp.grammar import MAX_REPLY_LINE, ReplyReader, ReplySyntaxError, crlf_only, encode_data, reply
from tests.examples import CHEAP, examples

EXAMPLES = settings(max_examples=examples(300, CHEAP), deadline=None)

SERVER_WORDS = [
    b"220 hello\r\n",
    b"250 ok\r\n",
    b"250-x\r\n",
    b"250-PIPELINING\r\n",
    b"250-SIZE 99\r\n",
    b"250-STARTTLS\r\n",
    b"250-AUTH PLAIN LOGIN\r\n",
    b"250 LIMITS MAILMAX=2 RCPTMAX=1\r\n",
    b"334 \r\n",
    b"235 in\r\n",
    b"354 go\r\n",
    b"421 4.3.2 bye\r\n",
    b"450 4.2.1 busy\r\n",
    b"550 5.1.1 no\r\n",
    b"999 what\r\n",
    b"\r\n",
    b"25",
]
CLIENT_WORDS = [
    b"EHLO a.example\r\n",
    b"HELO a.example\r\n",
    b"MAIL FROM:<a@b.example>\r\n",
    b"MAIL FROM:<> SIZE=5 BODY=8BITMIME\r\n",
    b"RCPT TO:<c@d.example>\r\n",
    b'RCPT TO:<"c d"@d.example>\r\n',
    b"DATA\r\n",
    b"hello\r\n",
    b"..\r\n",
    b".\r\n",
    b"\r\n.\r\n",
    b".\n",
    b"\r",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"QUIT\r\n",
    b"VRFY x\r\n",
    b"STARTTLS\r\n",
    b"AUTH PLAIN AGEAYg==\r\n",
    b"AUTH LOGIN\r\n",
    b"YQ==\r\n",
    b"*\r\n",
    b"BDAT 5\r\n",
    b"BDAT 5 LAST\r\nhello",
    b"BDAT 0 LAST\r\n",
    b"BDAT 60\r\n",
    b"BDAT x\r\n",
    b"GET / HTTP/1.1\r\n",
    b"x" * 700,
]


def stream(words: list[bytes]) -> st.SearchStrategy[list[bytes]]:
    """Pieces of plausible and of arbitrary bytes."""
    return st.lists(st.one_of(st.sampled_from(words), st.binary(max_size=40)), max_size=40)


@EXAMPLES
@given(
    pieces=stream(SERVER_WORDS),
    pipelining=st.booleans(),
    login=st.booleans(),
    recipients=st.integers(1, 3),
    cut_at=st.integers(0, 45),
)
def test_client_stands_any_server(
    pieces: list[bytes], pipelining: bool, login: bool, recipients: int, cut_at: int
) -> None:
    options = c.ClientOptions(
        "out.example",
        pipelining=pipelining,
        credentials=("key", "secret") if login else None,
        auth_in_clear=True,
    )
    machine = c.Client(options)
    sent = results = closed = 0

    def act(events: list[c.Event]) -> None:
        nonlocal results, closed, sent
        for event in events:
            assert closed == 0, "nothing comes after Closed"
            match event:
                case c.TransactionResult(outcomes):
                    results += 1
                    assert [o.recipient for o in outcomes] == [f"r{i}@in.example" for i in range(recipients)]
                case c.StartTls():
                    act(machine.tls_started())
                case c.Closed():
                    closed += 1
        while machine.can_send and sent < 4:
            sent += 1
            act(machine.send("b@out.example", [f"r{i}@in.example" for i in range(recipients)], b"Hello\r\n"))
        assert len(machine.data_to_send()) < 2000

    for number, piece in enumerate(pieces):
        if number == cut_at:
            act(machine.connection_lost())
        act(machine.receive_data(piece))
    act(machine.connection_lost())
    assert closed == 1
    assert results == sent
    assert machine.stage is c.Stage.CLOSED and not machine.can_send


@EXAMPLES
@given(
    pieces=stream(CLIENT_WORDS),
    code=st.sampled_from([250, 451, 550, 421]),
    tls=st.booleans(),
    strict=st.booleans(),
)
def test_server_stands_any_client(pieces: list[bytes], code: int, tls: bool, strict: bool) -> None:
    options = s.ServerOptions(
        "in.example", max_size=50, starttls=True, auth=True, strict_recipients=strict, chunking=True
    )
    machine = s.Server(options, tls=tls)
    reader = ReplyReader()
    reader.feed(machine.data_to_send())
    closed = 0

    def act(events: list[s.Event]) -> None:
        nonlocal closed
        for event in events:
            assert closed == 0, "nothing comes after Closed"
            match event:
                case s.Closed():
                    closed += 1
                case s.StartTls():
                    machine.tls_started()
                case s.Message(envelope, data):
                    # A last line without its end gets one.
                    assert crlf_only(data) and len(data) <= 50 + len("\r\n") and envelope.recipients
                    act(machine.answer(reply(code, None, "so")))
                case s.Authenticate():
                    act(machine.answer(s.AUTH_OK if code == 250 else s.AUTH_FAILED))
                case _:
                    act(machine.answer(reply(code if len(pieces) % 3 else 250, None, "so")))

    for piece in pieces:
        act(machine.receive_data(piece))
        reader.feed(machine.data_to_send())
        while (said := reader.next()) is not None:
            assert 200 <= said.code < 600
    assert machine.closed == bool(closed)


@EXAMPLES
@given(pieces=stream(CLIENT_WORDS), cuts=st.lists(st.integers(0, 400), max_size=10))
def test_pieces_do_not_matter_to_the_server(pieces: list[bytes], cuts: list[int]) -> None:
    """The same bytes, cut anywhere, have the same answers (without STARTTLS, whose buffer must be empty)."""
    whole = b"".join(p for p in pieces if b"STARTTLS" not in p)

    def talk(parts: list[bytes]) -> tuple[bytes, list[s.Event]]:
        machine = s.Server(s.ServerOptions("in.example", max_size=100_000, chunking=True))
        said, told = machine.data_to_send(), []
        for part in parts:
            todo = machine.receive_data(part)
            while todo:
                event = todo.pop(0)
                told.append(event)
                if not isinstance(event, s.Closed):
                    todo += machine.answer(s.OK)
            said += machine.data_to_send()
        return said, told

    marks = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    assert talk([whole]) == talk([whole[a:b] for a, b in zip(marks, marks[1:], strict=False)])


@EXAMPLES
@given(
    st.lists(st.sampled_from([b".", b"..", b"\r\n", b"\r\n.", b"text", b".\r\n", b"\x00", b"\xff"]), max_size=30).map(
        b"".join
    )
)
def test_what_the_client_stuffs_the_server_unstuffs(message: bytes) -> None:
    wire = encode_data(message)
    assert wire.find(b"\r\n.\r\n") in (-1, len(wire) - 5)
    machine = s.Server(s.ServerOptions("in.example"))
    machine.data_to_send()
    events = machine.receive_data(b"EHLO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@c.example>\r\nDATA\r\n")
    events = machine.answer(s.OK)
    machine.answer(s.OK)
    events = machine.receive_data(wire)
    assert len(events) == 1 and isinstance(events[0], s.Message)
    expected = message if not message or message.endswith(b"\r\n") else message + b"\r\n"
    assert events[0].data == expected


@EXAMPLES
@given(st.binary(max_size=200))
def test_data_with_a_bare_line_end_is_never_encoded(message: bytes) -> None:
    bare = b"\r" in message.replace(b"\r\n", b"") or b"\n" in message.replace(b"\r\n", b"")
    try:
        encode_data(message)
    except ValueError:
        assert bare
    else:
        assert not bare


@EXAMPLES
@given(st.binary(max_size=300), st.integers(1, 7))
def test_reply_reader_stands_any_bytes(data: bytes, step: int) -> None:
    def read(pieces: list[bytes]) -> tuple[list[object], bool]:
        reader, got = ReplyReader(), list[object]()
        try:
            for piece in pieces:
                reader.feed(piece)
                while (answer := reader.next()) is not None:
                    assert all(line.isprintable() for line in answer.lines)
                    got.append(answer)
        except ReplySyntaxError:
            return got, True
        return got, False

    assert read([data]) == read([data[i : i + step] for i in range(0, len(data), step)])


def test_an_endless_reply_is_refused() -> None:
    for flood in (b"2" * 100_000, b"250-more\r\n" * 100_000, b"250-" + b"x" * MAX_REPLY_LINE + b"\r\n"):
        machine = c.Client(c.ClientOptions("out.example"))
        machine.receive_data(b"220 hello\r\n")
        held = 0
        for i in range(0, len(flood), 1000):
            for event in machine.receive_data(flood[i : i + 1000]):
                assert isinstance(event, c.Closed) and event.cause is c.Cause.PROTOCOL
                held = i
                break
            if machine.stage is c.Stage.CLOSED:
                break
        assert machine.stage is c.Stage.CLOSED and held <= 8000


def test_an_endless_command_or_message_is_refused() -> None:
    machine = s.Server(s.ServerOptions("in.example", max_size=1000))
    machine.data_to_send()
    for _ in range(200):
        machine.receive_data(b"x" * 1000)
    assert machine.closed and b"500 5.5.2" in machine.data_to_send()

    machine = s.Server(s.ServerOptions("in.example", max_size=1000))
    machine.data_to_send()
    machine.receive_data(b"EHLO a.example\r\nMAIL FROM:<>\r\nRCPT TO:<b@c.example>\r\nDATA\r\n")
    machine.answer(s.OK)
    machine.answer(s.OK)
    for _ in range(200):
        machine.receive_data(b"x" * 1000)
    assert machine.closed and b"552 5.3.4" in machine.data_to_send()
