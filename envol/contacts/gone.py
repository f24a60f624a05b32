"""Who is gone (``contacts_gone``): kept until no columnar copy can be old enough to still hold her."""

from __future__ import annotations

from datetime import timedelta

from envol import db

OLDEST_COPY = timedelta(days=7)
"""A columnar copy older than this is not read any more."""


def forget() -> int:
    """Drop the ids of those who were gone before the oldest copy that may be read; how many rows."""
    return db.execute("DELETE FROM contacts_gone WHERE at < now() - %s * 2", [OLDEST_COPY])
