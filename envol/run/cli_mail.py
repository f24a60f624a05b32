"""The command line for administrators who ask what became of a message, and what a reply or a returned message means.

`explain` needs no installation.
"""

from __future__ import annotations

import json as _json
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from envol.run.cli import Data, Json, Ws, app, console, fail, opened, say, show, workspace_named

mail = typer.Typer(no_args_is_help=True, help="What became of a message.")
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


@mail.command("log")
def mail_log(
    words: Annotated[str, typer.Argument(help="Address, Message-ID, number, or words of the subject.")] = "",
    state: Annotated[str, typer.Option(help="queued, deferred, delivered, bounced, expired, cancelled…")] = "",
    since: Annotated[str, typer.Option(help="YYYY-MM-DD, or with an hour; the workspace's time.")] = "",
    until: Annotated[str, typer.Option(help="Before this moment.")] = "",
    most: Annotated[int, typer.Option(help="Lines at most.", min=1)] = 50,
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Single messages, newest first; with an address, campaigns' mail to it too."""
    opened(data)
    from envol import db
    from envol.outbound import mail_log as log
    from envol.outbound.states import STATES

    space = workspace_named(workspace)
    if state and state not in STATES:
        fail(f"There is no state {state!r}. States: {', '.join(STATES)}.", 2)
    query = log.Query(words, state, None, _moment(since, space), _moment(until, space))
    try:
        found = [_facts(one) for one in islice(log.walk(space.pk, query), most)]
    except db.TooSlow:
        fail("Looking through so many messages takes too long: name a period with --since and --until.")

    def human() -> None:
        table = Table("id", "handed in", "to", "subject", "state", "they said")
        for one in found:
            said = " ".join(str(one[name]) for name in ("code", "enhanced", "reply") if one[name])
            table.add_row(
                one["id"], f"{one['at']:%Y-%m-%d %H:%M:%S}", one["to"], one["subject"], one["state"], said[:80]
            )
        console.print(table)

    show(found, json, human)


def _moment(text: str, space: Any) -> datetime | None:

    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{text!r} is no moment: write 2026-11-26, or 2026-11-26T09:00.", 2)
    return found if found.tzinfo else found.replace(tzinfo=space.zone)


def _facts(one: Any) -> dict[str, Any]:
    return {
        "id": f"{one.sending_id}/{one.no}", "number": one.message_id, "kind": one.kind, "to": one.address,
        "subject": one.subject, "at": one.at, "state": one.state, "attempts": one.attempts, "cause": one.cause,
        "code": one.code, "enhanced": one.enhanced, "reply": one.reply, "host": one.host, "tls": one.tls,
        "next_try": one.due, "ended_at": one.ended_at, "key": one.key_id, "custom_id": one.custom_id,
    }  # fmt: skip


def _one(space: Any, words: str) -> Any:
    from envol.outbound import mail_log as log

    found = log.search(space.pk, log.Query(words), most=2).entries
    if not found:
        fail(f"No message is like {words!r}.")
    if len(found) > 1:
        fail("Several messages are like that: `envol mail log` lists them, name one by its id (12/345).", 2)
    return found[0]


Named = Annotated[str, typer.Argument(help="Its id (12/345), number or Message-ID.")]


@mail.command("show")
def mail_show(message: Named, workspace: Ws = "", data: Data = None, json: Json = False) -> None:
    """One message: each attempt with its whole dialogue, what came back later, what she did with it."""
    opened(data)
    from envol.outbound import dialogues, grounds
    from envol.outbound import mail_log as log

    space = workspace_named(workspace)
    one = _one(space, message)
    ground = grounds.of(space.pk, one.sending_id, one.no)
    steps = log.history(one)
    said = dialogues.found(one.sending_id, one.no, [step["at"] for step in steps])
    for step in steps:
        step["dialogue"] = said.get(step["at"], "")

    def human() -> None:
        say(
            f"{one.subject or '–'}  to {one.address}  {one.state}"
            + (f", next try {one.due:%H:%M:%S}" if one.due else "")
        )
        if ground is not None:
            line = "the answer was erased since" if ground.block is None else (
                f"{ground.basis}, {ground.since:%Y-%m-%d}, line {ground.leaf} of block {ground.block}"
            )  # fmt: skip
            say(f"  on the ground of answer {ground.permission_id}: {line}")
        for step in steps:
            said = " ".join(str(step[name]) for name in ("code", "enhanced", "reply", "host", "tls") if step[name])
            say(f"  {step['at']:%Y-%m-%d %H:%M:%S}  {step['what']:<12} {step['cause']:<16} {said}")
            for line in step["dialogue"].splitlines():
                say(f"      {line}")

    more = {"message_id": log.message_id_of(one), "ground": ground.facts() if ground else None, "history": steps}
    show({**_facts(one), **more}, json, human)


@mail.command("resend")
def mail_resend(message: Named, workspace: Ws = "", data: Data = None, json: Json = False) -> None:
    """Send it again to the same person, as a new message; every gate is asked anew."""
    opened(data)
    from envol.outbound.accept import Refused
    from envol.outbound.resend import resend

    space = workspace_named(workspace)
    one = _one(space, message)
    try:
        sending_id, no = resend(space.pk, one, actor="command")
    except Refused as error:
        fail(str(error))
    show({"id": f"{sending_id}/{no}"}, json, lambda: say(f"Sent again as {sending_id}/{no}."))


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
