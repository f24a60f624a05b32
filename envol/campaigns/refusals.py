"""Acts that cannot be done, each with a sentence that says what to do."""

from __future__ import annotations


class Refused(ValueError):
    """Nothing was changed; the sentence says why and what to do."""


class Conflict(Refused):
    """Somebody else saved meanwhile."""
