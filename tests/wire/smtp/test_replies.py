"""What replies mean. Each row is a promise to a recipient (suppressed or kept) and to a receiver (slower or not)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envol.wire.smtp.grammar import Stage
from envol.wire.smtp.replies import classify, retry_delay
from envol.wire.smtp.reply_rules import OF_RECEIVER

GENERAL = [
    # code, enhanced, text, action, cause
    (250, "2.0.0", "Ok: queued as 4F00", "delivered", "delivered"),
    # the mailbox is not there
    (550, "5.1.1", "The email account that you tried to reach does not exist", "hard_bounce", "unknown_user"),
    (550, "5.1.1", "<ann@in.example>: Recipient rejected: User unknown in table", "hard_bounce", "unknown_user"),
    (550, None, "No such user here", "hard_bounce", "unknown_user"),
    (550, None, "Requested action not taken: mailbox unavailable", "hard_bounce", "unknown_user"),
    (550, None, "Unrouteable address", "hard_bounce", "unknown_user"),
    (550, None, "Invalid recipient ann@in.example", "hard_bounce", "unknown_user"),
    (550, None, "mailbox not found", "hard_bounce", "unknown_user"),
    (554, None, "delivery error: dd This user doesn't have an in.example account", "hard_bounce", "unknown_user"),
    (550, "5.1.1", "Adresse d'au moins un destinataire inconnu", "hard_bounce", "unknown_user"),
    (550, "5.1.1", "no", "hard_bounce", "unknown_user"),
    (550, "5.1.2", "no", "hard_bounce", "unknown_domain"),
    (550, "5.1.10", "no", "hard_bounce", "null_mx"),
    (556, None, "no", "hard_bounce", "null_mx"),
    (551, None, "User has moved", "hard_bounce", "moved"),
    (550, "5.2.1", "The email account is disabled", "hard_bounce", "mailbox_disabled"),
    (550, "5.2.1", "no", "hard_bounce", "mailbox_disabled"),
    (554, None, "This account has been suspended", "hard_bounce", "mailbox_disabled"),
    # 4yz never suppresses, whatever it says
    (450, "4.1.1", "User unknown", "retry", "unknown_user"),
    (450, None, "mailbox unavailable", "retry", "mailbox_busy"),
    (450, "4.2.1", "no", "retry", "mailbox_disabled"),
    # full: the message fails or waits, the address is kept
    (452, "4.2.2", "The recipient's inbox is out of storage space", "retry", "mailbox_full"),
    (552, "5.2.2", "Mailbox full", "fail", "mailbox_full"),
    (552, "5.1.1", "Mailbox quota exceeded", "fail", "mailbox_full"),
    (550, None, "Requested mail action aborted: exceeded storage allocation", "fail", "mailbox_full"),
    (552, None, "no", "fail", "mailbox_full"),
    (452, "4.3.1", "Insufficient system storage", "retry", "their_storage"),
    # wait
    (450, "4.7.1", "Greylisted, please try again in 5 minutes", "retry", "greylisted"),
    (451, "4.7.1", "Graylisting in action", "retry", "greylisted"),
    (451, None, "Temporary local problem - please try later", "retry", "later"),
    (451, None, "Requested action aborted", "retry", "their_error"),
    (421, None, "closing connection", "retry", "host_closing"),
    (452, "4.5.3", "Too many recipients", "retry", "too_many_recipients"),
    (499, None, "something new", "retry", "later"),
    # slow down
    (421, "4.7.0", "Too many connections from your IP", "throttle", "rate"),
    (421, "4.7.28", "Our system has detected an unusual rate of mail", "throttle", "rate"),
    (450, None, "Rate limit exceeded", "throttle", "rate"),
    (451, "4.3.2", "Server busy, try again later", "throttle", "rate"),
    (421, None, "Messages temporarily deferred", "throttle", "rate"),
    (550, "5.7.28", "no", "fail", "rate"),
    # blocked: ours to repair, and the address is kept although the code says unknown
    (550, "5.1.1", "Rejected, your IP is listed at zen.spamhaus.example", "blocked", "ip_listed"),
    (554, "5.7.1", "Client host [192.0.2.1] blocked using bl.spamcop.example", "blocked", "ip_listed"),
    (451, "4.7.1", "Sending IP has a poor reputation", "blocked", "ip_listed"),
    (550, "5.7.25", "no", "blocked", "reverse_dns"),
    (554, None, "Client host rejected: cannot find your reverse hostname (no PTR)", "blocked", "reverse_dns"),
    (550, "5.7.26", "blocked: sender is unauthenticated, DKIM did not pass", "blocked", "authentication"),
    (550, "5.7.23", "no", "blocked", "authentication"),
    (530, "5.7.0", "Must issue a STARTTLS command first", "blocked", "tls_required"),
    (535, "5.7.8", "no", "blocked", "credentials"),
    # the message fails
    (554, "5.7.1", "Relay access denied", "fail", "relay_denied"),
    (550, "5.7.1", "We do not relay", "fail", "relay_denied"),
    (552, "5.3.4", "Message size exceeds fixed limit", "fail", "too_large"),
    (552, None, "message too large", "fail", "too_large"),
    (554, "5.6.0", "no", "fail", "content_refused"),
    (550, None, "This looks like spam", "fail", "content_refused"),
    (550, None, "Virus found", "fail", "malware"),
    (554, "5.4.6", "Too many hops", "fail", "loop"),
    (550, "5.7.1", "no", "fail", "policy"),
    (553, "5.6.7", "no", "fail", "smtputf8"),
    (501, None, "no", "fail", "protocol"),
    (550, None, "no", "fail", "refused"),
    (521, None, "no", "fail", "host_refuses_mail"),
    (550, "5.1.8", "Sender address rejected: Domain not found", "fail", "sender_refused"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "enhanced", "text", "action", "cause"), GENERAL)
def test_general_replies(code: int, enhanced: str | None, text: str, action: str, cause: str) -> None:
    verdict = classify(code, enhanced, text, None, Stage.RCPT)
    assert (verdict.action, verdict.cause) == (action, cause)
    assert verdict.final == (not 400 <= code < 500)


RECEIVERS = [
    ("google", 550, "5.2.1", "no", "hard_bounce", "mailbox_disabled"),
    ("google", 450, "4.2.1", "The user is receiving mail at a rate that prevents more", "retry", "recipient_rate"),
    ("google", 452, "4.2.2", "OverQuotaTemp", "retry", "mailbox_full"),
    ("google", 552, "5.2.2", "OverQuotaPerm", "fail", "mailbox_full"),
    ("google", 421, "4.7.0", "no", "throttle", "rate"),
    ("google", 550, "5.7.30", "no", "blocked", "authentication"),
    ("google", 550, "5.7.1", "this message is likely unsolicited mail", "blocked", "reputation"),
    ("microsoft", 550, "5.5.0", "Requested action not taken: mailbox unavailable", "hard_bounce", "unknown_user"),
    ("microsoft", 550, "5.4.1", "Recipient address rejected: Access denied", "hard_bounce", "unknown_user"),
    ("microsoft", 550, "5.7.1", "messages from [192.0.2.1] weren't sent (S3140)", "blocked", "ip_listed"),
    ("microsoft", 550, "5.7.606", "Access denied, banned sending IP", "blocked", "ip_listed"),
    ("microsoft", 451, "4.7.651", "no", "throttle", "rate"),
    ("microsoft", 550, "5.7.515", "Access denied", "blocked", "authentication"),
    ("yahoo", 421, "4.7.0", "[TSS04] Messages temporarily deferred", "throttle", "rate"),
    ("yahoo", 421, "4.7.1", "[TS03] All messages permanently deferred", "blocked", "reputation"),
    ("yahoo", 553, "5.7.1", "[BL21] Connections will not be accepted", "blocked", "ip_listed"),
    ("orange", 552, "5.1.1", "quota, OFR004_417", "fail", "mailbox_full"),
    ("orange", 550, "5.1.1", "OFR_416", "hard_bounce", "unknown_user"),
    ("orange", 421, None, "OFR004_104 Too many connections", "throttle", "rate"),
    ("orange", 550, None, "OFR004_506", "fail", "content_refused"),
    ("laposte", 550, None, "LPN007_420", "hard_bounce", "mailbox_disabled"),
    ("laposte", 550, None, "LPN007_401", "blocked", "authentication"),
    ("sfr", 450, "4.7.1", "SFR_IN_101", "blocked", "two_hours"),
    ("free", 421, None, "Too many spams from your IP", "blocked", "ip_listed"),
    ("gmx", 554, None, "No SMTP service", "blocked", "ip_listed"),
    ("gmx", 550, None, "Requested action not taken: mailbox unavailable", "hard_bounce", "unknown_user"),
    ("icloud", 421, "4.7.0", "[CS01] Message rejected due to local policy", "throttle", "rate"),
    ("icloud", 554, "5.7.0", "[HM08] Message rejected due to local policy", "blocked", "reputation"),
]


@pytest.mark.parametrize(("receiver", "code", "enhanced", "text", "action", "cause"), RECEIVERS)
def test_replies_of_receivers(
    receiver: str, code: int, enhanced: str | None, text: str, action: str, cause: str
) -> None:
    verdict = classify(code, enhanced, text, receiver, Stage.RCPT)
    assert (verdict.action, verdict.cause) == (action, cause)


@pytest.mark.parametrize("stage", [Stage.CONNECT, Stage.GREETING, Stage.EHLO, Stage.MAIL])
@pytest.mark.parametrize(("code", "enhanced", "text"), [row[:3] for row in GENERAL if row[3] == "hard_bounce"])
def test_nothing_said_before_rcpt_suppresses_an_address(
    stage: Stage, code: int, enhanced: str | None, text: str
) -> None:
    verdict = classify(code, enhanced, text, None, stage)
    assert verdict.action != "hard_bounce" or verdict.cause == "null_mx"


def test_a_connection_limit_told_by_5yz_before_mail_is_only_a_brake() -> None:
    assert classify(554, None, "Too many connections", None, Stage.GREETING) == ("throttle", "rate", False)
    assert classify(554, None, "Too many connections", None, Stage.RCPT).final


def test_a_host_without_service_blocks_us_not_the_address() -> None:
    assert classify(554, None, "No SMTP service here", None, "greeting") == ("blocked", "refused_by_host", True)


BUSY = settings(suppress_health_check=[HealthCheck.too_slow])
"""Where other work shares the machine, inputs may take their time."""


@BUSY
@given(
    st.integers(400, 499),
    st.one_of(st.none(), st.from_regex(r"\A4\.[0-9]{1,3}\.[0-9]{1,3}\Z")),
    st.one_of(st.text(), st.sampled_from([row[2] for row in GENERAL + [r[1:] for r in RECEIVERS]])),
    st.one_of(st.none(), st.sampled_from(sorted(OF_RECEIVER))),
    st.sampled_from(list(Stage)),
)
def test_4yz_is_never_final(code: int, enhanced: str | None, text: str, receiver: str | None, stage: Stage) -> None:
    verdict = classify(code, enhanced, text, receiver, stage)
    assert not verdict.final and verdict.action in ("retry", "throttle", "blocked")


@BUSY
@given(
    st.integers(500, 599),
    st.one_of(st.none(), st.from_regex(r"\A5\.[0-9]{1,3}\.[0-9]{1,3}\Z")),
    st.one_of(st.text(), st.sampled_from([row[2] for row in GENERAL + [r[1:] for r in RECEIVERS]])),
    st.one_of(st.none(), st.sampled_from(sorted(OF_RECEIVER))),
    st.sampled_from([Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.END_OF_DATA]),
)
def test_5yz_is_never_tried_again_in_a_transaction(
    code: int, enhanced: str | None, text: str, receiver: str | None, stage: Stage
) -> None:
    verdict = classify(code, enhanced, text, receiver, stage)
    assert verdict.final and verdict.action in ("hard_bounce", "fail", "blocked")


def test_a_long_hostile_text_is_read_in_linear_time() -> None:
    import time

    began = time.perf_counter()
    for text in ("mailbox " * 20_000, "host " * 20_000, "too many " * 20_000, "exceed " * 20_000, "a" * 200_000):
        classify(550, None, text, "orange", Stage.RCPT)
    assert time.perf_counter() - began < 20, "a runaway pattern takes hours"


def test_the_schedule_of_retries() -> None:
    minutes = [retry_delay(n, 0) / timedelta(minutes=1) for n in range(1, 11)]
    assert minutes == [1, 5, 15, 30, 60, 120, 240, 240, 240, 240]


@given(st.integers(1, 1000), st.floats(-1, 1))
def test_jitter_moves_a_retry_by_a_fifth_at_most(attempts: int, jitter: float) -> None:
    plain, moved = retry_delay(attempts, 0), retry_delay(attempts, jitter)
    assert abs(moved - plain) <= plain * 0.2 + timedelta(microseconds=1)
    assert (moved > plain) == (jitter > 1e-6) or abs(jitter) <= 1e-6


@pytest.mark.parametrize(("attempts", "jitter"), [(0, 0), (-1, 0), (1, 1.5), (1, -2)])
def test_the_schedule_refuses_nonsense(attempts: int, jitter: float) -> None:
    with pytest.raises(ValueError):
        retry_delay(attempts, jitter)
