"""What is kept of a dialogue: every command and reply, never the message, a secret or the person's address."""

from __future__ import annotations

from envol.wire.smtp import client as c
from envol.wire.smtp.transcript import MOST, without_address, written

EHLO = b"250-mx.example\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN\r\n"


def begun(auth: bytes = EHLO, **options: object) -> c.Client:
    client = c.Client(c.ClientOptions("out.example", **options))  # type: ignore[arg-type]
    client.receive_data(b"220 mx.example ready\r\n")
    client.receive_data(auth)
    return client


def test_a_delivery_is_told_line_by_line() -> None:
    client = begun()
    client.send("b+1@shop.example", ["anna@x.example"], b"Subject: secret plans\r\n\r\nread me\r\n")
    client.data_to_send()
    client.receive_data(b"250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n")
    client.data_to_send()
    client.receive_data(b"250 2.0.0 queued as 12\r\n")
    assert written(client.opening).split("\n") == [
        "S: 220 mx.example ready",
        "C: EHLO out.example",
        "S: 250-mx.example",
        "S: 250-PIPELINING",
        "S: 250 AUTH PLAIN LOGIN",
    ]
    said = without_address(written(client.talks.popleft()), "anna@x.example")
    assert said.split("\n") == [
        "C: MAIL FROM:<b+1@shop.example>",
        "C: RCPT TO:<recipient>",
        "C: DATA",
        "S: 250 2.1.0 ok",
        "S: 250 2.1.5 ok",
        "S: 354 go on",
        "* message of 34 octets",
        "S: 250 2.0.0 queued as 12",
    ]
    assert not client.talks


def test_secrets_are_never_kept() -> None:
    for offered in (EHLO, EHLO.replace(b" PLAIN", b"")):
        client = begun(offered, credentials=("the-user", "the-secret"), auth_in_clear=True)
        client.receive_data(
            b"334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 2.7.0 in\r\n" if offered != EHLO else b"235 in\r\n"
        )
        said = written(client.opening)
        assert "AUTH" in said and "235" in said
        for secret in ("the-secret", "dGhlLXNlY3JldA", "dGhlLXVzZXI", "AHRoZS11c2VyAHRoZS1zZWNyZXQ"):
            assert secret not in said, said


def test_a_reply_that_repeats_the_address_is_kept_without_it() -> None:
    said = "C: MAIL FROM:<b+1@shop.example>\nC: RCPT TO:<Anna@x.example>\nS: 550 5.1.1 <ANNA@x.example>: unknown"
    kept = without_address(said, "Anna@x.example")
    assert "anna@x" not in kept.lower() and "b+1@shop.example" in kept and "<<address>>: unknown" in kept


def test_a_cut_session_tells_how_far_it_came() -> None:
    client = begun()
    client.send("", ["anna@x.example"], b"x\r\n")
    client.receive_data(b"421 4.3.2 going down\r\n")
    assert written(client.talks.popleft()).split("\n")[-1] == "S: 421 4.3.2 going down"


def test_a_host_that_talks_for_ever_is_cut() -> None:
    client = begun(b"".join(b"250-" + b"x" * 400 + b"\r\n" for _ in range(60)) + b"250 PIPELINING\r\n")
    assert len(written(client.opening)) == MOST
