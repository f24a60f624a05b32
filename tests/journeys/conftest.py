from __future__ import annotations

from tests.browser.conftest import address, browser, pytest_collection_modifyitems  # noqa: F401
