"""What a reply means for the queue: retry, slow down, stop, give up, or never again.

Order of trust: words of the receiver's own, general words, families of words beside each
other, enhanced code (RFC 3463, RFC 5248), basic code (RFC 5321 §4.2). Whatever the words say, the first digit rules
retrying: 4yz is never final, 5yz is never tried again for that message, save a
connection limit told by 5yz before the first MAIL.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from . import families
from .grammar import Stage
from .reply_rules import (
    BASIC,
    CLASS_OF,
    ENHANCED,
    ENHANCED_OF_RECEIVER,
    GENERAL,
    MEANING_OF_CLASS,
    OF_RECEIVER,
    SAME,
    SUBJECTS,
    Action,
    Meaning,
    Rule,
)

CLASSES = (
    "user_unknown",
    "mailbox_disabled",
    "mailbox_full",
    "host_unknown",
    "blocked",
    "spam",
    "content",
    "size",
    "rate_limited",
    "temporary",
    "auth",
    "other",
)
"""The words of reports, of which every cause is one."""


def class_of(cause: str, digit: str) -> str:
    """The class of a cause; what a 4yz left unexplained is temporary."""
    return CLASS_OF.get(cause, "temporary" if digit == "4" else "other")


class Verdict(NamedTuple):
    """What to do.

    action:
      delivered    the other side took responsibility;
      retry        later, nothing is wrong with address or rate;
      throttle     later, with fewer connections and a lower rate for this receiver;
      blocked      pause the source address or the domain towards the receiver; ours to repair;
      hard_bounce  the mailbox is not there: suppress the address;
      fail         this message fails, the address is kept.
    cause: one word for reports.
    final: the message is over for this recipient. False: another attempt follows.
    """

    action: Action
    cause: str
    final: bool


_MAX_TEXT = 4000
"""Characters of a reply that are read: the reason stands at its beginning."""

_HOST_STAGES = frozenset({Stage.CONNECT, Stage.GREETING, Stage.EHLO, Stage.STARTTLS, Stage.HANDSHAKE, Stage.AUTH})
_RECIPIENT_STAGES = frozenset({Stage.RCPT, Stage.DATA, Stage.END_OF_DATA})


def classify(
    reply_code: int, enhanced: str | None, text: str, provider: str | None = None, stage: Stage | str = Stage.RCPT
) -> Verdict:
    """What one reply means.

    provider: our name for the receiver's group (a key of its own rules), or None.
    stage: the command answered. Before RCPT no reply speaks of the recipient, so none
    of them can suppress an address.
    """
    return explain(reply_code, enhanced, text, provider, stage).verdict


class Explained(NamedTuple):
    """A verdict, its class (see `CLASSES`), and the rule that decided."""

    verdict: Verdict
    kind: str
    rule: str


def explain(
    reply_code: int, enhanced: str | None, text: str, provider: str | None = None, stage: Stage | str = Stage.RCPT
) -> Explained:
    """What one reply means and why: as :func:`classify`, for people who ask.

    rule: ``receiver NAME: cause``, ``words: cause``, ``enhanced code 5.1.1``, ``code 550`` or what else decided.
    """
    stage = Stage(stage)
    if 200 <= reply_code < 300:
        return Explained(Verdict("delivered", "delivered", True), "other", "first digit")
    if not 400 <= reply_code < 600:
        return Explained(Verdict("retry", "protocol", False), "other", "not a reply to a command")
    digit = str(reply_code)[0]
    receiver = SAME.get(provider or "", provider or "")
    (action, cause), rule = _read(reply_code, digit, enhanced, text[:_MAX_TEXT].lower(), receiver)
    verdict = _judged(action, cause, digit, stage)
    kind = class_of(verdict.cause, digit)
    if rule.startswith("enhanced code") and enhanced and enhanced[2:3] == "6":
        kind = "content"  # RFC 3463 §3.7: form and media of the message, not what somebody thinks of it
    return Explained(verdict, kind, rule)


def _judged(action: Action, cause: str, digit: str, stage: Stage) -> Verdict:
    if action == "hard_bounce" and stage not in _RECIPIENT_STAGES and cause != "null_mx":
        action, cause = ("blocked", "refused_by_host") if stage in _HOST_STAGES else ("fail", "sender_refused")
    if stage in (Stage.CONNECT, Stage.GREETING, Stage.EHLO) and action == "fail":
        # "554 no service here": the host does not want us, whoever the recipient is.
        action, cause = "blocked", "refused_by_host"
    if digit == "4":
        # Never final by itself: the cause stays for the report.
        return Verdict(action if action in ("throttle", "blocked") else "retry", cause, False)
    if action == "throttle" and stage in (Stage.CONNECT, Stage.GREETING, Stage.EHLO):
        return Verdict("throttle", cause, False)
    if action in ("retry", "throttle"):
        action = "fail"
    return Verdict(action, cause, True)


def _read(code: int, digit: str, enhanced: str | None, text: str, provider: str) -> tuple[Meaning, str]:
    if (found := _match(OF_RECEIVER.get(provider, ()), digit, text)) is not None:
        return found, f"receiver {provider}: {found[1]}"
    if (found := _match(GENERAL, digit, text)) is not None:
        return found, f"words: {found[1]}"
    weighed = families.weigh(text, enhanced or "") if text else None
    if weighed is not None and (weighed.kind != "temporary" or code not in BASIC):
        return MEANING_OF_CLASS[weighed.kind], f"families of words: {weighed.why}"
    if enhanced:
        detail = enhanced[2:]
        own = ENHANCED_OF_RECEIVER.get(provider, {})
        if (found := own.get(enhanced) or own.get(detail)) is not None:
            return found, f"receiver {provider}: enhanced code {enhanced}"
        if (found := ENHANCED.get(detail) or SUBJECTS.get(detail.partition(".")[0])) is not None:
            return found, f"enhanced code {enhanced}"
    if code in BASIC:
        return BASIC[code], f"code {code}"
    if 500 <= code <= 504:
        return ("fail", "protocol"), f"code {code}"
    return (("retry", "later") if digit == "4" else ("fail", "refused")), f"first digit {digit}"


def _match(rules: Iterable[Rule], digit: str, text: str) -> Meaning | None:
    for rule in rules:
        if digit in rule.digits and rule.pattern.search(text):
            return rule.meaning
    return None


_SCHEDULE = tuple(timedelta(minutes=m) for m in (1, 5, 15, 30, 60, 120, 240))


def retry_delay(attempts: int, jitter: float) -> timedelta:
    """How long to wait after the `attempts`-th attempt (1, 2, …) that was deferred.

    1, 5, 15, 30 minutes, 1, 2, then 4 hours each time. RFC 5321 §4.5.4.1 advises 30
    minutes and allows more for a first try; the early ones meet greylisting (RFC 6647).
    jitter: a number from -1 to 1, by chance; it moves the delay by up to 20 %, so that
    what failed together does not come back together.
    """
    if attempts < 1:
        raise ValueError("A retry follows at least one attempt.")
    if not -1 <= jitter <= 1:
        raise ValueError("The jitter lies between -1 and 1.")
    return _SCHEDULE[min(attempts, len(_SCHEDULE)) - 1] * (1 + 0.2 * jitter)
