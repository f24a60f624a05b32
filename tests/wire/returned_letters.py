"""Returned mail in the layouts of many programs, and what only looks like it: labelled, and held against the rules.

`tests/mail/returned`: layouts and the reasons that stand in them, and letters that are no bounces; each set was
measured before the rules were mended from it. `mixed` is made of parts by chance: greeting × label × reason × codes,
of eleven languages. `docs/operations.md` has the figures.

    python -m tests.wire.returned_letters [first|…|mixed [SEED]]   the figures, and everything that was read wrongly
"""

from __future__ import annotations

import random
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from envol.wire.bounce import explain

FOLDER = Path(__file__).resolve().parent.parent / "mail" / "returned"
SETS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "mixed")
US = "b+1@lettre.boutique.example"
DEAD = ("user_unknown", "host_unknown", "mailbox_disabled")
"""Classes that may suppress; whoever has another one is alive."""


class Returned(NamedTuple):
    """kind: of the letter; address and cause: of its recipient where it is a bounce."""

    name: str
    kind: str
    address: str
    cause: str
    raw: bytes


def bounces(half: str, seed: int = 1) -> Iterator[Returned]:
    """Each layout with four reasons in turn, or with the one that it says in its own words."""
    if half == "mixed":
        yield from mixed(seed)
        return
    told = [line.split("\t") for line in (FOLDER / f"{half}_reasons.txt").read_text("utf-8").splitlines()]
    number = 0
    for block in (FOLDER / f"{half}_layouts.txt").read_text("utf-8").split("\n===\n"):
        title, _, text = block.partition("\n")
        name, _, own = title.partition(" | ")
        for cause, reason in [(own.strip(), "")] if own else [told[(number + n) % len(told)] for n in range(4)]:
            number += 1
            domain = f"boite{number}.example"
            address = f"luc.martin{number}@{domain}"
            put = {"us": US, "address": address, "domain": domain}
            said = text.replace("{reason}", reason)
            for key, value in put.items():
                said = said.replace(f"{{{key}}}", value)
            yield Returned(f"{name}: {cause} ({reason[:60]})", "bounce", address, cause, _octets(said))


_CODES = {
    "user_unknown": ("550 5.1.1", "550", "553"),
    "mailbox_disabled": ("550 5.2.1", "550", "554"),
    "mailbox_full": ("552 5.2.2", "552", "452 4.2.2"),
    "host_unknown": ("5.1.2", "5.4.4", "550"),
    "blocked": ("550 5.7.1", "554", "554 5.7.1"),
    "spam": ("550 5.7.1", "554", "554 5.7.1"),
    "content": ("550 5.7.1", "554", "554 5.6.0"),
    "size": ("552 5.3.4", "552", "552"),
    "rate_limited": ("450 4.7.1", "421", "421 4.7.0"),
    "temporary": ("4.4.1", "451", "4.4.7"),
    "auth": ("550 5.7.1", "554", "550 5.7.23"),
}
"""Two of three say no more than the class of the reply."""


def mixed(seed: int, count: int = 200) -> Iterator[Returned]:
    """Letters of parts that never stood together, the same for the same seed; half of them without any code."""
    chance = random.Random(seed)
    parts: dict[tuple[str, str], list[str]] = {}
    for line in (FOLDER / "mixed.txt").read_text("utf-8").splitlines():
        language, kind, text = line.split("\t")
        parts.setdefault((language, kind), []).append(text)
    reasons = [(key[0], key[1], text) for key, texts in parts.items() if key[1] in _CODES for text in texts]
    for number in range(count):
        language, cause, reason = chance.choice(reasons)
        # Words of a country, or English ones from its host, as mostly.
        around = language if chance.random() < 0.6 else chance.choice(["en", "fr", "de", "es", "it", "pl", "ru"])
        said = f"{chance.choice(_CODES[cause])} {reason}" if chance.random() < 0.5 else reason
        domain = f"hote{number}.example"
        address = f"c.durand{number}@{domain}"
        opening, label = (chance.choice(parts[around, kind]) for kind in ("open", "label"))
        shape = chance.choice(
            ["{o}{nl}{nl}{l}: {r}", "{o}{nl}{nl}{r}", "{o} {l}: {r}", "{r}{nl}{nl}{o}", "{o}{nl}{l}{nl}  {r}"]
        )
        text = shape.replace("{o}", opening).replace("{l}", label).replace("{r}", said)
        for key, value in {"address": address, "domain": domain, "nl": "\n"}.items():
            text = text.replace(f"{{{key}}}", value)
        sender, subject = (chance.choice(parts[around, kind]) for kind in ("from", "subject"))
        head = f"From: {sender}\nTo: {US}\nSubject: {subject}\n"
        head += chance.choice(
            ["", "Return-Path: <>\n", "Auto-Submitted: auto-replied\n", "Auto-Submitted: auto-generated\n"]
        )
        if chance.random() < 0.25:
            coded = b64encode(text.encode()).decode()
            body = f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n{coded}\n"
        elif chance.random() < 0.25:
            body = f"Content-Type: text/html; charset=utf-8\n\n<p>{text.replace(chr(10), '<br>')}</p>\n"
        else:
            body = f"Content-Type: text/plain; charset=utf-8\n\n{text}\n"
        yield Returned(f"{language} in {around}: {cause} ({said[:60]})", "bounce", address, cause, _octets(head + body))


def others(half: str) -> Iterator[Returned]:
    if half == "mixed":
        return
    for number, block in enumerate((FOLDER / f"{half}_others.txt").read_text("utf-8").split("\n===\n")):
        kind, _, text = block.partition("\n")
        address = f"luc.martin{number}@poste.example"
        yield Returned(text[:90], kind.strip(), address, "", _octets(text.replace("{address}", address)))


def _octets(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


@dataclass
class Figures:
    bounces: int = 0
    seen: int = 0
    found: int = 0
    classed: int = 0
    alive: int = 0
    suppressed: int = 0
    others: int = 0
    taken: int = 0
    named: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


def measure(half: str, seed: int = 1) -> Figures:
    had = Figures()
    letters = [*bounces(half, seed), *others(half)]
    began = time.process_time()
    answers = [explain(letter.raw) for letter in letters]
    had.seconds = time.process_time() - began
    for letter, told in zip(letters, answers, strict=True):
        hard = [one for one in told.recipients if one.hard]
        if letter.kind != "bounce":
            had.others += 1
            had.named += told.type == letter.kind
            had.taken += told.type == "bounce"
            if told.type != letter.kind:
                had.wrong.append(f"{letter.kind}, read as {told.type} ({told.rule}): {letter.name!r}")
            continue
        had.bounces += 1
        had.seen += told.type == "bounce"
        mine = [one for one in told.recipients if one.recipient == letter.address]
        had.found += told.type == "bounce" and len(mine) == 1 and len(told.recipients) == 1
        had.classed += bool(mine) and mine[0].kind == letter.cause
        had.alive += letter.cause not in DEAD
        had.suppressed += bool(hard) and letter.cause not in DEAD
        if not mine or mine[0].kind != letter.cause or len(told.recipients) != 1 or told.type != "bounce":
            said = [(one.recipient, one.kind, one.hard) for one in told.recipients]
            had.wrong.append(f"{told.type} ({told.rule}) {said}: {letter.name}")
    return had


def main(asked: list[str]) -> None:
    seed = next((int(word) for word in asked if word.isdigit()), 1)
    for half in [word for word in asked if not word.isdigit()] or list(SETS):
        had = measure(half, seed)
        total = had.bounces + had.others
        print(
            f"{half}: {had.bounces} bounces, recipient found {had.found / had.bounces:.1%},"
            f" class right {had.classed / had.bounces:.1%}, living suppressed {had.suppressed} of {had.alive};"
            f" {had.others} others, {had.taken} taken for bounces, {had.named} named rightly;"
            f" {60 * total / had.seconds:,.0f} a minute of processor time"
        )
        print(*(f"  {line}" for line in had.wrong), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
