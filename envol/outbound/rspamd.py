"""A second opinion: Rspamd, over its HTTP protocol, where the setting `rspamd` names one.

It is asked about messages of programs only, with a short patience, and beside our own rules: when it does not answer,
they alone decide, and the log says so.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import msgspec
import structlog

from envol.wire.fraud import Reason, Verdict

log = structlog.get_logger()

PATIENCE = 3.0  # seconds, for connecting and for each read
MOST_ANSWER = 1 << 20
AT_ONCE = 8
REST = 30.0  # seconds in which whoever asks about many does not ask it again after it did not answer

_POINTS = {"reject": 10.0, "add header": 5.0, "rewrite subject": 5.0}
"""Its actions; greylisting and soft refusals are for strangers at an MX, and say nothing of a sender who signed in."""


class Answer(msgspec.Struct):
    action: str
    score: float = 0.0
    required_score: float = 0.0


class Question(NamedTuple):
    verdict: Verdict
    raw: bytes
    sender: str
    recipients: list[str]
    key: str


_away: dict[str, float] = {}
"""Address → until when (monotonic) those who ask about many leave it alone."""


def asked_about_all(url: str, questions: Sequence[Question]) -> list[Verdict]:
    """The verdicts in their order, a few asked for at once. When it does not answer it is left alone for a while, so
    that a call of many messages waits for it once."""

    def one(question: Question) -> Verdict:
        return question.verdict if time.monotonic() < _away.get(url, 0) else asked(url, *question)

    if len(questions) == 1:
        return [one(questions[0])]
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="rspamd") as pool:
        return list(pool.map(one, questions))


def asked(url: str, verdict: Verdict, raw: bytes, sender: str, recipients: list[str], key: str) -> Verdict:
    """The verdict with what Rspamd adds to it."""
    try:
        answer = check(url, raw, sender, recipients, key)
    except (OSError, http.client.HTTPException, msgspec.MsgspecError, ValueError) as error:
        log.warning("rspamd did not answer", error=str(error).strip() or type(error).__name__)
        _away[url] = time.monotonic() + REST
        return verdict
    points = _POINTS.get(answer.action, 0.0)
    if not points:
        return verdict
    score = f"{answer.action}, {answer.score:.1f} / {answer.required_score:.1f}"
    return verdict.and_also([Reason("rspamd", points, score)])


def check(url: str, raw: bytes, sender: str, recipients: list[str], key: str) -> Answer:
    """POST /checkv2. Raises OSError, HTTPException, ValueError."""
    where = urlsplit(url)
    kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    connection = kind(where.hostname or "", where.port, timeout=PATIENCE)
    try:
        connection.putrequest("POST", "/checkv2")
        connection.putheader("Content-Length", str(len(raw)))
        connection.putheader("From", quote(sender, safe="@!#$&'*+-/=?^_`{|}~."))
        for recipient in recipients[:100]:
            connection.putheader("Rcpt", quote(recipient, safe="@!#$&'*+-/=?^_`{|}~."))
        connection.putheader("User", key)  # signed in: rules for strangers are left out
        connection.endheaders(raw)
        answer = connection.getresponse()
        body = answer.read(MOST_ANSWER)
        if answer.status != 200:
            raise ValueError(f"{answer.status} {answer.reason}")
        return msgspec.json.decode(body, type=Answer)
    finally:
        connection.close()
