"""Recipients of returned mail, and what the reason of each means, whether a program or a host wrote it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from envol.wire.bounce import rules
from envol.wire.smtp import families, replies
from envol.wire.smtp.grammar import Stage

Kind = Literal["bounce", "delayed", "delivered", "auto_reply", "feedback", "not_bounce"]

MAX_RECIPIENTS = 1000
STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
CODE = re.compile(r"(?<![\w.\[])(4[2-5]\d|5[0-57]\d)(?![\d.\]])")
_QUOTED = re.compile(r"(?<![\w.\[])[45]\d\d[ -]{1,3}(['\"\[])(.{4,1900})['\"\]]", re.DOTALL)
"""What the host said, within the sentence of the program that reports it ("Unknown address error 550-'…'")."""
_PROVIDERS = {
    "google": r"gmail\.com|googlemail\.com",
    "microsoft": r"(?:hotmail|outlook|live|msn)\.[a-z.]+",
    "yahoo": r"(?:yahoo|ymail|rocketmail|aol)\.[a-z.]+",
    "orange": r"(?:orange|wanadoo|voila)\.fr",
    "laposte": r"laposte\.net",
    "sfr": r"(?:sfr|neuf|cegetel|club-internet|numericable)\.(?:fr|com)",
    "free": r"(?:free|aliceadsl|libertysurf)\.fr",
    "gmx": r"(?:gmx|web)\.[a-z]+",
    "icloud": r"(?:icloud|me|mac)\.com",
}


@dataclass(frozen=True, slots=True)
class Recipient:
    """action: as in `smtp.replies`, or delivered. kind: of `replies.CLASSES`. status: the enhanced code, or empty."""

    recipient: str
    action: str
    status: str
    hard: bool
    kind: str
    text: str = ""


@dataclass(slots=True)
class Explanation:
    """marks: Message-ID, CFBL-Feedback-ID and reverse-path of the message it is about, by which its sender may know
    it."""

    type: Kind
    rule: str
    recipients: list[Recipient] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)


def judged(address: str, failed: bool, status: str, text: str) -> Recipient:
    """What the reason means, whether a program or a host wrote it."""
    quoted = _QUOTED.search(text)
    if quoted and (CODE.search(quoted[2]) or STATUS.search(quoted[2])):
        text = quoted[2]  # the program's own sentence is made from the first digit alone
    codes = CODE.findall(text)
    inner = [".".join(found) for found in STATUS.findall(text)]
    # The host's own code says more than the sum that the reporting program made of it.
    enhanced = next((code for code in inner if code[0] in "45"), "") or status
    code = int(codes[0]) if codes else {"4": 450, "5": 550}.get(enhanced[:1], 550 if failed else 450)
    if failed and code < 500 and not codes:
        code = 550
    provider = next(
        (name for name, names in _PROVIDERS.items() if re.fullmatch(names, address.rpartition("@")[2])), None
    )
    words = _unnamed(text, address)
    said = replies.explain(code, enhanced if enhanced[:1] in "45" else None, words, provider, Stage.RCPT)
    action, cause, kind = said.verdict.action, said.verdict.cause, said.kind
    decided = said.rule.startswith(("words", "receiver"))
    if not decided and (found := reason_of(words, refused=bool(codes) and code >= 500)) is not None:
        # Whoever gives up says that time is over, whatever the reason was; families may have heard it.
        if not (
            found[1] in ("expired", "unreachable")
            and said.rule.startswith("families")
            and kind not in ("temporary", "blocked")
        ):
            action, cause = found  # type: ignore[assignment]
            kind = replies.class_of(cause, "5")
    elif cause == "routing":
        kind = "host_unknown" if enhanced in ("5.4.4", "5.1.2", "5.4.0") else "temporary"
    if kind == "user_unknown" and enhanced[2:] != "1.1":
        told = families.weigh(words, enhanced)
        if told is not None and told.kind == "host_unknown":
            kind = told.kind  # "does not exist" is said of domains, too
    if kind == "mailbox_disabled" and enhanced == "5.1.6":
        kind = "user_unknown"  # moved away, and nobody says where to (RFC 3463 §3.2)
    if failed and action in ("retry", "throttle"):
        action = "fail"
    if not failed:
        action = action if action in ("throttle", "blocked") else "retry"
    if failed and kind == "other" and enhanced[:1] == "4":
        kind = "temporary"
    hard = failed and action == "hard_bounce"
    return Recipient(address, action, enhanced or status, hard, kind, text[:500])


def _unnamed(text: str, address: str) -> str:
    """A reason without whom it is about: people and hosts may be called Full, Unknown or Boite."""
    low = text.lower()
    for name, sign in ((address, "@"), (address.rpartition("@")[2], "#")):
        if name:
            low = low.replace(name, f" {sign} ")  # as `families` calls them
    return low


def reason_of(text: str, *, refused: bool = False) -> tuple[str, str] | None:
    """refused: a host said no, for good. Whoever gives up then says so too, and the refusal is the reason."""
    low = text.lower()
    for pattern, action, cause in rules.REASONS:
        if not (refused and cause in ("expired", "unreachable")) and pattern.search(low):
            return action, cause
    return None
