from __future__ import annotations

from pathlib import Path

import pytest

from envol.run.config import Config, ConfigError, load, manual

ROOT = Path(__file__).resolve().parents[2]


def test_environment_wins_over_the_file_and_the_command_line_over_both(tmp_path: Path) -> None:
    (tmp_path / "envol.toml").write_text('http = "127.0.0.1:1111"\ncouriers = 3\n')
    config = load(tmp_path, environ={"ENVOL_HTTP": "127.0.0.1:2222"})
    assert (config.http_port, config.couriers) == (2222, 3)
    assert load(tmp_path, environ={"ENVOL_HTTP": "127.0.0.1:2222"}, http="127.0.0.1:3333").http_port == 3333


@pytest.mark.parametrize(
    ("written", "word"),
    [
        ('rout = "local"', "no setting 'rout'"),
        ('route = "pigeon"', "must be local, smart_host or direct"),
        ('couriers = "many"', "whole number"),
        ("route = ", "cannot be read"),
        ('http = "localhost"', "HOST:PORT"),
        ('public_url = "ftp://x.example"', "https://"),
        ('secret = "abcd"', "64 hexadecimal"),
    ],
)
def test_a_wrong_setting_is_named_with_what_it_may_be(tmp_path: Path, written: str, word: str) -> None:
    (tmp_path / "envol.toml").write_text(written)
    with pytest.raises(ConfigError, match=word):
        load(tmp_path, environ={})


def test_the_secret_is_made_once_and_only_the_owner_may_read_it(tmp_path: Path) -> None:
    first = load(tmp_path / "data", environ={})
    assert load(tmp_path / "data", environ={}).secret == first.secret
    assert (tmp_path / "data" / "secret").stat().st_mode & 0o077 == 0


def test_loopback_is_printed_as_localhost_because_passkeys_refuse_addresses() -> None:
    assert Config(http="127.0.0.1:8025").base_url == "http://localhost:8025"
    assert Config(http="127.0.0.1:8025", public_url="https://mail.example.org/").base_url == "https://mail.example.org"


def test_the_manual_page_of_settings_is_true() -> None:
    assert manual() in (ROOT / "docs" / "settings.md").read_text()
