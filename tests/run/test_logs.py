from __future__ import annotations

import logging

import pytest
import structlog

from envol.run import logs


@pytest.fixture(autouse=True)
def _restore_logging() -> object:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize("as_json", [False, True])
def test_no_address_of_a_person_is_written_at_info(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    logs.setup("test", json=as_json)
    structlog.get_logger().info("sent to zoe.martin@lecteurs.example", to="zoe.martin@lecteurs.example", n=1)
    logging.getLogger("any.library").warning("refused for %s", "zoe.martin@lecteurs.example")
    said = capsys.readouterr().err
    assert "zoe.martin" not in said and said.count("z…@lecteurs.example") + said.count("z\\u2026@") >= 3
