"""``envol notice``: whoever runs Envol for others tells every workspace of a breach, or of a processor that changes."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from envol.run.cli import Data, Json, Ws, app, fail, opened, say, show, workspace_named

if TYPE_CHECKING:
    from envol.consent.tenants import Notice, Planned

notice = typer.Typer(no_args_is_help=True, help="Tell the owners of every workspace (GDPR art. 28(2), 33(2)).")
app.add_typer(notice, name="notice")


@notice.command("send")
def notice_send(
    kind: Annotated[str, typer.Argument(help="breach, or processor for a change of processors.")],
    subject: Annotated[str, typer.Option(help="What it is about; the subject of the mail.")],
    text: Annotated[Path, typer.Option(help="A file with what happened or will change, and what is to be done.")],
    on: Annotated[str, typer.Option(help="The day from which the change holds, such as 2027-01-31.")] = "",
    days: Annotated[int, typer.Option(min=1, max=365, help="So many days before a change must be told.")] = 30,
    workspace: Annotated[str, typer.Option("--workspace", help="Only this one; every workspace without it.")] = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Mail owners and data-protection officers of every workspace, and keep in each journal who was told when."""
    opened(data)
    from envol.consent import tenants

    among = [workspace_named(workspace)] if workspace else None
    try:
        day = date.fromisoformat(on) if on else None
    except ValueError:
        fail("Write the day of --on as 2027-01-31.", 2)
    try:
        words = text.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        fail(f"{text} cannot be read as a text.", 2)
    try:
        made = tenants.tell(kind, subject, words, on=day, days=days, among=among)
    except tenants.Refused as error:
        fail(str(error), 2)
    _shown(made, json)


@notice.command("plan")
def notice_plan(
    subject: Annotated[str, typer.Option(help="What will change; the subject of the mail.")],
    text: Annotated[Path, typer.Option(help="A file with what will change, why, and how one objects.")],
    on: Annotated[str, typer.Option(help="The day from which the change holds, such as 2027-03-01.")],
    days: Annotated[int, typer.Option(min=1, max=365, help="So many days before it is told.")] = 30,
    data: Data = None,
    json: Json = False,
) -> None:
    """Write down a change of processors: every workspace is told of it in time, by itself (GDPR art. 28(2))."""
    opened(data)
    from envol.consent import tenants

    try:
        day = date.fromisoformat(on)
    except ValueError:
        fail("Write the day of --on as 2027-03-01.", 2)
    try:
        made = tenants.plan(subject, text.read_text("utf-8"), day, days=days)
    except (OSError, UnicodeDecodeError):
        fail(f"{text} cannot be read as a text.", 2)
    except tenants.Refused as error:
        fail(str(error), 2)
    _waiting([made], json)


@notice.command("planned")
def notice_planned(data: Data = None, json: Json = False) -> None:
    """What waits to be told, and when it will be."""
    opened(data)
    from envol.consent import tenants

    _waiting(tenants.planned(), json)


@notice.command("cancel")
def notice_cancel(no: Annotated[int, typer.Argument()], data: Data = None, json: Json = False) -> None:
    """Take back a planned change that was not told yet."""
    opened(data)
    from envol.consent import tenants

    try:
        _waiting([tenants.cancel(no)], json)
    except tenants.Refused as error:
        fail(str(error), 2)


def _waiting(found: list[Planned], json: bool) -> None:
    facts = [
        {"no": one.no, "subject": one.subject, "on": one.on.isoformat(), "told_on": one.tell_on.isoformat(),
         "days": one.days, "missed": one.missed}
        for one in found
    ]  # fmt: skip

    def human() -> None:
        for one in facts:
            when = "MISSED: cancel it, and plan it with a later day" if one["missed"] else f"told on {one['told_on']}"
            say(f"{one['no']}  {one['subject']}  holds from {one['on']}  {when}")
        if not facts:
            say("Nothing is planned.")

    show(facts, json, human)


@notice.command("list")
def notice_list(workspace: Ws = "", data: Data = None, json: Json = False) -> None:
    """What was told to whom, and when."""
    opened(data)
    from envol.consent import tenants

    _shown(tenants.told(workspace_named(workspace) if workspace else None), json)


def _shown(found: list[Notice], json: bool) -> None:
    facts: list[dict[str, Any]] = [
        {"workspace": one.workspace.name, "at": one.at.isoformat(), "kind": one.kind, "subject": one.subject,
         "on": one.on.isoformat() if one.on else None, "people": one.people,
         "objected": one.objected}
        for one in found
    ]  # fmt: skip

    def human() -> None:
        for one in facts:
            people = f"told: {one['people']}" if one["people"] else "NOBODY TO TELL: reach it otherwise"
            say(f"{one['at'][:16]}  {one['workspace']}  {one['kind']}  {one['subject']}  {people}")
            if one["objected"]:
                say(f"    objects: {one['objected']}")
        if not facts:
            say("Nothing was told.")

    show(facts, json, human)
