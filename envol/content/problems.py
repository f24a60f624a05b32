"""What is wrong with a template, said so that its author can mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from django.utils.translation import gettext, gettext_noop


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend: where (part and line from 1), what, and, if we can guess it, what was meant."""

    line: int
    message: str
    suggestion: str = ""
    part: str = "html"

    def __str__(self) -> str:
        meant = " " + gettext("Did you mean %(word)s?") % {"word": self.suggestion} if self.suggestion else ""
        return f"{place(self.part, self.line)}: {self.message}{meant}"


_PARTS = {
    "html": gettext_noop("content"),
    "text": gettext_noop("text part"),
    "subject": gettext_noop("subject"),
    "preheader": gettext_noop("preheader"),
}


def place(part: str, line: int = 0) -> str:
    """Where something stands, as people call the parts of a message."""
    name = gettext(_PARTS[part]) if part in _PARTS else part
    return gettext("%(part)s, line %(line)s") % {"part": name, "line": line} if line else name


class TemplateProblem(ValueError):
    """A template that cannot be saved; ``problems`` has every reason, in the order of the lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))


class MediaProblem(ValueError):
    """A picture that cannot be taken in, or not be removed; the sentence says what to do."""


class RenderProblem(ValueError):
    """A template that cannot be shown for one person: a value is missing, or it works too long."""


class MissingValue(RenderProblem):
    """A value without fallback is missing. The campaign's check finds these people before anything is sent."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or ""."""
    found = get_close_matches(word, list(known), 1, 0.6)
    return found[0] if found else ""
