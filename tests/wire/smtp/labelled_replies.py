"""Replies of real receivers, labelled before a rule was changed for them (`docs/operations.md` has the figures).

    python -m tests.wire.smtp.labelled_replies        the figures, and every reply that was read otherwise

A line of `tests/mail/replies`: provider, code, enhanced code, action, classes that are right, text; behind a ``|`` in
it, another action and class that are right as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from envol.wire.smtp.replies import Explained, explain

FOLDER = Path(__file__).resolve().parent.parent.parent / "mail" / "replies"

SETS = ("first", "second", "third", "fourth")


class Figures(NamedTuple):
    replies: int
    actions: int
    classes: int
    suppressed: int
    wrong: list[str]


def read(name: str) -> Iterator[tuple[Explained, list[tuple[str, str]], str]]:
    for line in (FOLDER / f"{name}.txt").read_text("utf-8").splitlines():
        provider, code, enhanced, action, kinds, said = line.split("\t")
        text, *others = said.split("|")
        right = [(action, kind) for kind in kinds.split(",")]
        right += [(other.split()[0], other.split()[1]) for other in others]
        told = explain(
            int(code), enhanced if enhanced != r"\N" else None, text, provider if provider != r"\N" else None, "rcpt"
        )
        yield told, right, line


def measure(name: str) -> Figures:
    found = list(read(name))
    wrong = [
        f"{told.verdict.action} {told.kind} ({told.rule}): {line}"
        for told, right, line in found
        if (told.verdict.action, told.kind) not in right
    ]
    actions = sum(told.verdict.action in {action for action, _ in right} for told, right, _ in found)
    classes = sum(told.kind in {kind for _, kind in right} for told, right, _ in found)
    alive = [told for told, right, _ in found if told.verdict.action == "hard_bounce" and right[0][0] != "hard_bounce"]
    return Figures(len(found), actions, classes, len(alive), wrong)


if __name__ == "__main__":
    for name in SETS:
        had = measure(name)
        print(
            f"{name}: {had.replies} replies, action right {had.actions / had.replies:.1%}, class right"
            f" {had.classes / had.replies:.1%}, living suppressed {had.suppressed}"
        )
        print(*(f"  {line}" for line in had.wrong), sep="\n")
