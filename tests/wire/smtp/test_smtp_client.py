"""What the owner of a client may do, and what it is told."""

from __future__ import annotations

import pytest

from envol.wire.smtp import client as c
from envol.wire.smtp.grammar import Reply, encode_data, reply


def ready(*keywords: str, **options: object) -> c.Client:
    machine = c.Client(c.ClientOptions("out.example", **options))  # type: ignore[arg-type]
    machine.receive_data(b"220 in.example\r\n")
    lines = ["in.example", *keywords]
    greeting = "".join(f"250{'-' if i < len(lines) - 1 else ' '}{line}\r\n" for i, line in enumerate(lines))
    machine.receive_data(greeting.encode())
    machine.data_to_send()
    assert machine.can_send
    return machine


@pytest.mark.parametrize(
    "address",
    ["a@b.example>\r\nRCPT TO:<c@d.example", "a b@c.example", "a\0@b.example", "<a@b.example>", "a@" + "b" * 260],
)
def test_an_address_cannot_carry_a_command(address: str) -> None:
    for reverse_path, recipients in [(address, ["x@y.example"]), ("x@y.example", ["x@y.example", address])]:
        machine = ready()
        with pytest.raises(ValueError):
            machine.send(reverse_path, recipients, b"Hello\r\n")
        assert machine.data_to_send() == b"" and machine.can_send, "nothing left, and the session is still good"


@pytest.mark.parametrize("data", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\r\n", b"\n", b"a\r"])
def test_a_message_with_a_bare_line_end_never_leaves(data: bytes) -> None:
    machine = ready()
    with pytest.raises(ValueError, match="CRLF"):
        machine.send("a@b.example", ["x@y.example"], data)
    assert machine.data_to_send() == b""


@pytest.mark.parametrize("data", [b"a\r\n", b"a\r\n.\r\nRSET\r\n.\r\n", b".\r\nRSET\r\n.\r\n", b"", b"\r\n."])
def test_data_said_to_be_encoded_must_be(data: bytes) -> None:
    machine = ready()
    with pytest.raises(ValueError, match="encode_data"):
        machine.send("a@b.example", ["x@y.example"], data, encoded=True)


def test_encoded_data_is_handed_over_without_a_copy() -> None:
    machine = ready("PIPELINING")
    data = encode_data(b"Hello\r\n" * 1000)
    machine.send("a@b.example", ["x@y.example"], data, encoded=True)
    machine.data_to_send()
    machine.receive_data(b"250 ok\r\n250 ok\r\n354 go\r\n")
    assert machine.data_to_send() is data


def test_no_second_message_while_one_runs() -> None:
    machine = ready()
    machine.send("a@b.example", ["x@y.example"], b"Hello\r\n")
    with pytest.raises(RuntimeError):
        machine.send("a@b.example", ["x@y.example"], b"Hello\r\n")
    with pytest.raises(RuntimeError):
        machine.quit()


def two_under_way() -> c.Client:
    """The data of the first and the commands of the second are handed out."""
    machine = ready("PIPELINING")
    machine.send("a@b.example", ["x@y.example"], b"Hello\r\n")
    assert not machine.can_follow
    machine.data_to_send()
    machine.receive_data(b"250 ok\r\n250 ok\r\n354 go\r\n")
    assert machine.can_follow
    machine.send("a@b.example", ["z@y.example"], b"Hello\r\n")
    assert not machine.can_follow
    with pytest.raises(RuntimeError):
        machine.send("a@b.example", ["w@y.example"], b"Hello\r\n")
    return machine


def test_bytes_that_never_left_decide_the_doubt_by_where_they_stand() -> None:
    """The commands of the next message stand behind the dot: only what is missing before them clears the doubt."""
    machine = two_under_way()
    all_of_it = machine.data_to_send()
    behind = len(all_of_it.partition(b"\r\n.\r\n")[2])
    for unsent, doubt in ((0, True), (1, True), (behind, True), (behind + 1, False), (len(all_of_it), False)):
        machine = two_under_way()
        machine.data_to_send()
        first, second, _ = machine.connection_lost(unsent=unsent)
        assert isinstance(first, c.TransactionResult) and isinstance(second, c.TransactionResult)
        assert first.outcomes[0].in_doubt is doubt and not second.outcomes[0].in_doubt


def test_nothing_follows_what_is_handed_out_or_where_a_limit_is_reached() -> None:
    for keywords, may in ((["PIPELINING"], True), (["SIZE"], False), (["PIPELINING", "LIMITS MAILMAX=1"], False)):
        machine = ready(*keywords)
        machine.send("a@b.example", ["x@y.example"], b"Hello\r\n")
        machine.data_to_send()
        for answer in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
            assert not machine.can_follow
            machine.receive_data(answer)
        assert machine.can_follow is may
        machine.data_to_send()
        assert not machine.can_follow


def test_mailmax_ends_the_use_of_a_connection() -> None:
    machine = ready("LIMITS MAILMAX=1 RCPTMAX=7")
    assert machine.max_recipients == 7
    machine.send("a@b.example", ["x@y.example"], b"Hello\r\n")
    machine.receive_data(b"550 5.7.1 no\r\n")
    assert not machine.can_send
    machine.quit()
    assert machine.data_to_send().endswith(b"QUIT\r\n")


def test_addresses_beyond_ascii() -> None:
    machine = ready()
    (result,) = machine.send("a@b.example", ["é@y.example"], b"Hello\r\n")
    assert isinstance(result, c.TransactionResult)
    assert result.outcomes[0].reply is not None and result.outcomes[0].reply.enhanced == "5.6.7"
    assert machine.can_send, "nothing was said to the host"

    machine = ready("SMTPUTF8")
    machine.send("a@b.example", ["é@y.example"], b"Hello\r\n")
    assert machine.data_to_send() == b"MAIL FROM:<a@b.example> SMTPUTF8\r\n"


def test_each_stage_has_its_own_time() -> None:
    """RFC 5321 §4.5.3.2: shorter waits make duplicates."""
    machine = c.Client(c.ClientOptions("out.example"))
    assert machine.timeout == 300
    machine = ready("PIPELINING")
    assert machine.timeout is None
    machine.send("a@b.example", ["x@y.example"], b"Hello\r\n")
    assert (machine.stage, machine.timeout) == ("mail", 300)
    machine.receive_data(b"250 ok\r\n")
    assert (machine.stage, machine.timeout) == ("rcpt", 300)
    machine.receive_data(b"250 ok\r\n")
    assert (machine.stage, machine.timeout) == ("data", 120)
    machine.receive_data(b"354 go\r\n")
    assert (machine.stage, machine.timeout) == ("end_of_data", 600)


def test_what_was_offered_before_tls_is_forgotten() -> None:
    """RFC 3207 §4.2."""
    machine = c.Client(c.ClientOptions("out.example"))
    machine.receive_data(b"220 in.example\r\n")
    machine.receive_data(b"250-in.example\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n")
    assert machine.receive_data(b"220 go\r\n250 injected\r\n") == [c.StartTls(discarded=14)]
    machine.tls_started()
    assert machine.capabilities.tls and not machine.capabilities.keywords


def test_data_not_yet_taken_never_leaves_after_the_end() -> None:
    machine = ready("PIPELINING")
    machine.send("a@b.example", ["x@y.example"], b"Hello\r\n")
    machine.data_to_send()
    machine.receive_data(b"250 ok\r\n250 ok\r\n354 go\r\n")
    result, closed = machine.connection_lost("reset")
    assert isinstance(result, c.TransactionResult) and isinstance(closed, c.Closed)
    assert not result.outcomes[0].in_doubt
    assert machine.data_to_send() == b""
    assert machine.connection_lost() == []


def test_a_reply_is_read_with_its_enhanced_code() -> None:
    machine = ready()
    machine.send("a@b.example", ["x@y.example"], b"Hello\r\n")
    (result,) = machine.receive_data(b"550-5.7.1 Not\r\n550-5.7.1 with us,\r\n550 5.7.1 caf\xc3\xa9\x07\r\n")
    assert isinstance(result, c.TransactionResult)
    answer = result.outcomes[0].reply
    assert answer == Reply(550, "5.7.1", ("Not", "with us,", "café "))
    assert answer is not None and answer.text == "Not with us, café "


def test_a_contradicting_enhanced_code_stays_in_the_text() -> None:
    machine = ready()
    machine.send("a@b.example", ["x@y.example"], b"Hello\r\n")
    (result,) = machine.receive_data(b"450 5.2.2 full\r\n")
    assert isinstance(result, c.TransactionResult)
    assert result.outcomes[0].reply == Reply(450, None, ("5.2.2 full",))


def test_our_own_replies_cannot_be_split() -> None:
    assert reply(550, "5.1.1", "no\r\n250 yes").to_bytes() == b"550 5.1.1 no  250 yes\r\n"
    assert reply(250, None, "a", "b").to_bytes() == b"250-a\r\n250 b\r\n"


def test_secrets_do_not_show() -> None:
    assert "secret" not in repr(c.ClientOptions("out.example", credentials=("key", "secret")))
