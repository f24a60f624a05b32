"""The command line of outgoing control: what is held, the list of blocked hosts, what the rules say of a message."""

from __future__ import annotations

import json as _json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from envol.run.cli import Data, Json, Ws, app, console, fail, opened, say, show, workspace_named
from envol.run.cli_mail import mail

held = typer.Typer(no_args_is_help=True, help="Mail that waits for a look before it leaves.")
blocklist = typer.Typer(no_args_is_help=True, help="Hosts to which no mail may link.")
app.add_typer(held, name="held")
app.add_typer(blocklist, name="blocklist")

Which = Annotated[int, typer.Argument(help="Its number, as `envol held list` tells.")]


def _rows(workspace: str) -> list[Any]:
    from envol.outbound import held as rows

    return rows.look(list(rows.waiting(workspace_named(workspace) if workspace else None)[:500]))


def _as_dict(one: Any) -> dict[str, Any]:
    from envol.outbound.fraud_words import all_said

    return {
        "id": one.held.pk,
        "workspace": one.held.workspace.name,
        "from": one.sender,
        "subject": one.subject,
        "people": one.people,
        "campaign": one.held.message_id is None,
        "points": one.held.points,
        "reasons": all_said(one.held.reasons),
        "at": one.held.at.isoformat(),
        "until": one.held.until.isoformat(),
    }


@held.command("list")
def held_list(workspace: Ws = "", data: Data = None, json: Json = False) -> None:
    """What waits, newest first; of every workspace unless one is named."""
    opened(data)
    found = [_as_dict(one) for one in _rows(workspace)]

    def human() -> None:
        if not found:
            say("Nothing waits.")
            return
        table = Table("id", "workspace", "from", "subject", "people", "why", "until")
        for one in found:
            why = one["reasons"][0] if one["reasons"] else ""
            table.add_row(
                str(one["id"]),
                one["workspace"],
                one["from"],
                one["subject"],
                str(one["people"]),
                why,
                one["until"][:16],
            )
        console.print(table)

    show(found, json, human)


@held.command("show")
def held_show(
    number: Which,
    source: Annotated[bool, typer.Option("--source", help="The whole message as it came.")] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """Why it waits, and what it is."""
    opened(data)
    from envol.outbound.models import Message

    one = _one(number)
    if source:
        message = Message.objects.filter(id=one.held.message_id or 0).first()
        if message is None:
            fail("It is a campaign: look at its page.", 2)
        raw = bytes(message.raw) if message.raw is not None else f"{message.text}\n{message.html}".encode()
        sys.stdout.buffer.write(raw)
        return
    facts = {**_as_dict(one), "to": one.to}

    def human() -> None:
        for name in ("id", "workspace", "from", "subject", "people", "at", "until"):
            say(f"{name:<10} {facts[name]}")
        say("why")
        for sentence in facts["reasons"]:
            say(f"  - {sentence}")

    show(facts, json, human)


def _one(number: int) -> Any:
    from envol.outbound import held as rows
    from envol.outbound.models import Held

    row = Held.objects.filter(pk=number).first()
    if row is None:
        fail(f"Nothing was held as {number}. See: envol held list")
    return rows.look([row])[0]


@held.command("release")
def held_release(number: Which, data: Data = None, json: Json = False) -> None:
    """Let it go, at once."""
    _decide(number, "release", data, json)


@held.command("refuse")
def held_refuse(number: Which, data: Data = None, json: Json = False) -> None:
    """Cancel it for good: nobody gets it."""
    _decide(number, "refuse", data, json)


def _decide(number: int, act: str, data: Path | None, json: bool) -> None:
    opened(data)
    from envol.outbound import held as rows

    row = _one(number).held
    try:
        (rows.release if act == "release" else rows.refuse)(row)
    except rows.Decided as error:
        fail(str(error))
    said = f"{number} leaves now." if act == "release" else f"{number} is refused: nobody gets it."
    show({"id": number, "decision": act}, json, lambda: say(said))


# ---- blocked hosts


@blocklist.command("add")
def blocklist_add(
    hosts: Annotated[list[str], typer.Argument(help="Hosts; everything below them is blocked too.")],
    source: Annotated[str, typer.Option(help="Why, or from which list.")] = "by hand",
    data: Data = None,
    json: Json = False,
) -> None:
    """Block hosts."""
    opened(data)
    from envol.outbound import control

    try:
        names = [control.host_in(host) for host in hosts]
    except ValueError as error:
        fail(str(error), 2)
    new = control.block(names, source)
    show({"new": new}, json, lambda: say(f"{new} new; known to every process within half a minute."))


@blocklist.command("import")
def blocklist_import(
    file: Annotated[
        Path, typer.Argument(help="One host a line; addresses, hosts files and comments (#) are understood.")
    ],
    source: Annotated[str, typer.Option(help="Name of the list.")],
    replace: Annotated[bool, typer.Option("--replace", help="Take off what this list does not name any more.")] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """Block every host of a list, as often as it is published."""
    opened(data)
    from envol.outbound import control

    names, unread = [], 0
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}.", 2)
    for line in lines:
        if line.strip() and not line.lstrip().startswith(("#", "!")):
            try:
                names.append(control.host_in(line))
            except ValueError:
                unread += 1
    new = control.block(names, source, replace=replace)
    facts = {"listed": len(set(names)), "new": new, "unread": unread}
    show(facts, json, lambda: say(f"{len(set(names))} hosts, {new} new, {unread} lines are no host."))


@blocklist.command("remove")
def blocklist_remove(hosts: Annotated[list[str], typer.Argument()], data: Data = None, json: Json = False) -> None:
    """Take hosts off the list."""
    opened(data)
    from envol.outbound import control

    gone = control.unblock(host.strip().lower() for host in hosts)
    show({"removed": gone}, json, lambda: say(f"{gone} removed."))


@blocklist.command("list")
def blocklist_list(
    host: Annotated[str, typer.Argument(help="Only what covers this host.")] = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """The blocked hosts, at most 1,000, or those that cover one host."""
    opened(data)
    from envol.outbound.models import BlockedHost
    from envol.wire.fraud.names import parents

    rows = BlockedHost.objects.order_by("host")
    rows = rows.filter(host__in=parents(host.strip().lower())) if host else rows[:1000]
    found = [{"host": r.host, "source": r.source, "added": r.added_at.isoformat()} for r in rows]

    def human() -> None:
        for one in found:
            say(f"{one['host']}  {one['source']}")
        if not found:
            say("Nothing is blocked." if not host else f"{host} is not blocked.")

    show(found, json, human)


# ---- asking the rules


@mail.command("judge")
def mail_judge(files: Annotated[list[Path], typer.Argument(help="Messages, one in each file.")]) -> None:
    """What outgoing control says of messages, one JSON object a file: allow, hold or refuse, and why."""
    from envol.wire.fraud import judge, letter_of
    from envol.wire.message.submit import Unacceptable, read_submission

    for file in files:
        try:
            raw = file.read_bytes()
            if b"\r\n" not in raw:
                raw = raw.replace(b"\n", b"\r\n")
            read = read_submission(raw)
        except (OSError, Unacceptable) as error:
            sys.stdout.write(_json.dumps({"file": str(file), "error": str(error)}) + "\n")
            continue
        verdict = judge(letter_of(read.raw, name=read.author.name, address=read.author.address, subject=read.subject))
        reasons = [{"rule": r.rule, "points": r.points, "what": r.what} for r in verdict.reasons]
        facts = {"file": str(file), "verdict": verdict.action, "points": verdict.points, "reasons": reasons}
        sys.stdout.write(_json.dumps({**facts, "language": verdict.language}, ensure_ascii=False) + "\n")
