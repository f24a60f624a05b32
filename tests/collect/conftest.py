from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def nobody_asked() -> None:
    """The limits hold over the whole installation, so over tests too."""
    from envol.db import execute

    execute("DELETE FROM collect_attempt")
