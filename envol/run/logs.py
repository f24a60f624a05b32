"""One log stream for every process: structlog over the standard library, on standard error.

No address of a person appears at level INFO or above: whatever looks like one is masked before it
is written, so that a careless line cannot tell more than it should.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

# structlog loads rich where it finds it, for tracebacks that we never print: 5 MB in each process that stays.
if _plain := "rich" not in sys.modules:
    sys.modules["rich"] = None  # type: ignore[assignment]
import structlog

if _plain:
    del sys.modules["rich"]

_ADDRESS = re.compile(
    r"([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-])[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)"
)


get_logger = structlog.get_logger


def mask(text: str) -> str:
    """``zoe@lecteurs.example`` → ``z…@lecteurs.example``."""
    return _ADDRESS.sub(r"\1…@\2", text)


def _masked(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if event.get("level") == "debug":
        return event
    for key, value in event.items():
        if isinstance(value, str) and "@" in value:
            event[key] = mask(value)
    return event


def setup(process: str, *, level: str = "INFO", json: bool = False) -> None:
    """Send everything that is logged through one chain; call once, early, in every process."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _masked,
    ]
    final: Any = (
        structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, final],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("procrastinate", "uvicorn.access", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
