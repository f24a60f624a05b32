"""The command line for administrators who ask what a reply or a returned message means; needs no installation."""

from __future__ import annotations

import json as _json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from envol.run.cli import app, fail

mail = typer.Typer(no_args_is_help=True, help="Messages that came back.")
reply = typer.Typer(no_args_is_help=True, help="Replies of SMTP servers.")
app.add_typer(mail, name="mail")
app.add_typer(reply, name="reply")


@mail.command("explain")
def mail_explain(files: Annotated[list[Path], typer.Argument(help="Messages, one in each file.")]) -> None:
    """One JSON object a file: bounce, delayed, delivered, auto_reply, feedback or not_bounce, for whom, and why."""
    from envol.wire.bounce import explain

    missing = False
    for file in files:
        try:
            raw = file.read_bytes()
        except OSError as error:
            missing = True
            _print({"file": str(file), "error": f"{file} cannot be read: {error.strerror}."})
            continue
        found = explain(raw)
        recipients = [
            {
                "recipient": one.recipient,
                "action": one.action,
                "status": one.status,
                "hard": one.hard,
                "class": one.kind,
            }
            for one in found.recipients
        ]
        _print({"file": str(file), "type": found.type, "recipients": recipients, "rule": found.rule})
    if missing:
        raise typer.Exit(1)


@reply.command("explain")
def reply_explain(
    file: Annotated[Path | None, typer.Argument(help="JSON lines; none: standard input.")] = None,
) -> None:
    """JSON lines with code, enhanced, text, provider, stage → JSON lines with action, class and the rule that decided.

    Stages: connect, greeting, ehlo, starttls, handshake, auth, mail, rcpt (when none is given), data, end_of_data.
    """
    from envol.wire.smtp.replies import explain

    for number, line in enumerate(_lines(file), 1):
        try:
            given = _json.loads(line)
            code, enhanced, text = int(given["code"]), given.get("enhanced"), str(given.get("text") or "")
            found = explain(
                code,
                str(enhanced) if enhanced else None,
                text,
                str(given["provider"]).lower() if given.get("provider") else None,
                str(given.get("stage") or "rcpt").lower(),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            _print({"line": number, "error": f"Not a reply: {error}. Give an object with code, and enhanced, text,"
                    " provider, stage where they are known."})  # fmt: skip
            continue
        _print({"action": found.verdict.action, "class": found.kind, "rule": found.rule})


def _lines(file: Path | None) -> Iterator[str]:
    try:
        stream = file.open(encoding="utf-8") if file else sys.stdin
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}.")
    with stream:
        yield from (line for line in stream if line.strip())


def _print(what: dict[str, Any]) -> None:
    sys.stdout.write(_json.dumps(what, ensure_ascii=False) + "\n")
