"""What happened: append-only, by month; counters derived from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envol.events.writing import NewEvent as NewEvent
    from envol.events.writing import forget_mail as forget_mail
    from envol.events.writing import name_mail as name_mail
    from envol.events.writing import record as record
    from envol.events.writing import request_mail as request_mail

__all__ = ["NewEvent", "forget_mail", "name_mail", "record", "request_mail"]


def __getattr__(name: str) -> Any:
    # Models cannot be imported before Django is set up, and this package is imported to set it up.
    if name in __all__:
        from envol.events import writing

        return getattr(writing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
