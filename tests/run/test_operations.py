"""What docs/operations.md tells an administrator to type is there, with the options that it names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from envol.run import (  # those beside the first add their commands
    cli_audience,  # noqa: F401
    cli_consent,  # noqa: F401
    cli_control,  # noqa: F401
    cli_etrn,  # noqa: F401
    cli_keys,  # noqa: F401
    cli_mail,  # noqa: F401
    cli_move,  # noqa: F401
    cli_notice,  # noqa: F401
    cli_outbound,  # noqa: F401
    cli_restored,  # noqa: F401
    cli_rights,  # noqa: F401
)
from envol.run.cli_road import app
from envol.run.config import Config

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text("utf-8")
_FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`(envol [^`]+)`(?!`)")


def commands() -> list[str]:
    """Each command once: those in code, and the lines of blocks that begin with it."""
    found = [" ".join(one.split()) for one in _INLINE.findall(_FENCE.sub("", TEXT))]
    for block in _FENCE.findall(TEXT):
        for line in block.splitlines():
            if line.startswith("envol ") and not line.startswith("envol is"):
                found.append(re.split(r"\s{2,}#|\s#\s|;", line)[0].strip())
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("told", commands())
def test_a_command_that_is_told_is_there(told: str) -> None:
    words = shlex.split(told.replace("…", "").replace("’", ""))[1:]
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name = words.pop(0)
        assert name in command.commands, f"{told}: no {name}"
        command = command.commands[name]
    # A group alone names a family of commands (`envol held`); anything else must be a command.
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        if word.startswith("-"):
            assert word.partition("=")[0] in known | {"--help"}, f"{told}: no {word}"


def test_there_are_many_of_them() -> None:
    assert len(commands()) > 40


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([a-z_]+) = ", TEXT))))
def test_a_setting_that_is_told_is_there(name: str) -> None:
    assert name in Config.__dataclass_fields__
