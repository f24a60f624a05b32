"""The command line for domains whose mail waits here for their own server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from envol.run.cli import Data, Json, Ws, app, console, fail, opened, say, show, workspace_named

if TYPE_CHECKING:
    from envol.outbound.models import StoredDomain

etrn = typer.Typer(no_args_is_help=True, help="Domains whose mail waits here until their own server asks (ETRN).")
app.add_typer(etrn, name="etrn")

Name = Annotated[str, typer.Argument(help="The domain.")]


@etrn.command("add")
def etrn_add(
    domain: Name,
    host: Annotated[str, typer.Option(help="Host name of its server; mail goes to its port 25.")],
    recipient: Annotated[
        list[str] | None,
        typer.Option("--recipient", help="What stands before the @ of a mailbox; none: all are taken."),
    ] = None,
    scheduled: Annotated[bool, typer.Option("--scheduled", help="Also try by itself, not only when asked.")] = False,
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Take in mail for a declared domain of the workspace, and keep it for its server."""
    opened(data)
    from envol.outbound import stored

    try:
        made = stored.add(workspace_named(workspace), domain, host, recipients=recipient or (), scheduled=scheduled)
    except ValueError as error:
        fail(str(error))
    show(stored.facts(made), json, lambda: say(f"Mail for {made.name} waits here and goes to {made.host}."))


@etrn.command("list")
def etrn_list(workspace: Ws = "", data: Data = None, json: Json = False) -> None:
    """The listed domains, and how much waits for each."""
    opened(data)
    from envol.outbound import stored

    rows = [stored.facts(one) for one in workspace_named(workspace).stored_domains.order_by("name")]

    def human() -> None:
        from rich.table import Table

        table = Table("Domain", "Host", "Mailboxes", "Tries", "Waiting", "Asked")
        for one in rows:
            tries = "by itself too" if one["scheduled"] else "when asked"
            boxes = ", ".join(one["recipients"]) or "all"
            table.add_row(one["domain"], one["host"], boxes, tries, f"{one['waiting']:,}", one["asked_at"] or "-")
        console.print(table)

    show(rows, json, human)


def _the_domain(workspace: str, name: str) -> StoredDomain:
    found = workspace_named(workspace).stored_domains.filter(name=name.strip().lower()).first()
    if found is None:
        fail(f"{name} is not listed: see envol etrn list.")
    return found


@etrn.command("start")
def etrn_start(domain: Name, workspace: Ws = "", data: Data = None, json: Json = False) -> None:
    """Start the queue of a domain, as its server may by ETRN."""
    opened(data)
    from envol.outbound import stored

    one = _the_domain(workspace, domain)
    code, enhanced, text = stored.start(one.workspace_id, one.name)
    show({"code": code, "enhanced": enhanced, "text": text}, json, lambda: say(f"{code} {text}"))


@etrn.command("remove")
def etrn_remove(domain: Name, workspace: Ws = "", data: Data = None, json: Json = False) -> None:
    """Take a domain off the list; what waits for it is cancelled."""
    opened(data)
    from envol.outbound import stored

    one = _the_domain(workspace, domain)
    cancelled = stored.remove(one)
    show(
        {"domain": domain, "cancelled": cancelled}, json, lambda: say(f"{domain} is off the list; {cancelled} waited.")
    )
