"""The command line for moving in: another service's account or files, tried first, then taken in, and taken back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from envol.run.cli import Data, Json, Ws, app, fail, opened, say, show, workspace_named

if TYPE_CHECKING:
    from envol.api.moving.found import Found

move_in = typer.Typer(no_args_is_help=True, help="Move in from Mailjet, Brevo, Mailchimp, listmonk or Mautic.")
app.add_typer(move_in, name="move-in")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")]
Purpose = Annotated[
    str, typer.Option("--purpose", help="What people agreed to there, whose line proves it (see envol purpose list).")
]


GivenBy = Annotated[
    str,
    typer.Option(
        "--given-by", help='Who gave you these data: "people", when they did themselves, or the name of somebody else.'
    ),
]
ReceivedOn = Annotated[
    str, typer.Option("--received-on", help="Day on which somebody else's data came to you (YYYY-MM-DD).")
]


@move_in.command("files")
def files(
    paths: Annotated[list[Path], typer.Argument(help="Exports (CSV, ZIP) or a dump (SQL) of one service.")],
    purpose: Purpose = "",
    given_by: GivenBy = "",
    received_on: ReceivedOn = "",
    dry_run: DryRun = False,
    data: Data = None,
    workspace: Ws = "",
    json: Json = False,
) -> None:
    """Take in what another service gave away as files; which service it is, its files say."""
    opened(data)
    _must_say(given_by, dry_run)
    from envol.api.moving import read

    try:
        found = read.read(paths)
    except (read.Unknown, OSError) as error:
        fail(str(error), 2)
    _move(found, purpose, given_by, received_on, dry_run, workspace, json)


@move_in.command("mailjet")
def mailjet(
    key: Annotated[str, typer.Option("--key", help="The public key of the account; its secret is read from stdin.")],
    address: Annotated[str, typer.Option("--address", help="Where its API is.")] = "https://api.mailjet.com",
    purpose: Purpose = "",
    given_by: GivenBy = "",
    received_on: ReceivedOn = "",
    dry_run: DryRun = False,
    data: Data = None,
    workspace: Ws = "",
    json: Json = False,
) -> None:
    """Take in a Mailjet account by its own API."""
    opened(data)
    _must_say(given_by, dry_run)
    from envol.api.moving import mailjet as service
    from envol.net import NotFetched

    secret = sys.stdin.readline().strip()
    try:
        found = service.read(service.asking(address, key, secret))
    except (NotFetched, ValueError, KeyError) as error:
        fail(f"The account could not be read: {error}")
    _move(found, purpose, given_by, received_on, dry_run, workspace, json)


@move_in.command("undo")
def undo(
    number: Annotated[int, typer.Argument(help="The number that the move was told by.")],
    data: Data = None,
    workspace: Ws = "",
    json: Json = False,
) -> None:
    """Take a move back, for seven days: people, values, lists, templates. What people refused there stays refused."""
    opened(data)
    from envol.api.moving import move

    space = workspace_named(workspace)
    try:
        left = move.undo(space, number)
    except (ValueError, LookupError) as error:
        fail(str(error))
    show(left, json, lambda: say(f"{left['removed']} people removed, {left['restored']} as before."))


def _must_say(given_by: str, dry_run: bool) -> None:
    if not given_by and not dry_run:
        fail(
            "Say who gave you these data (GDPR art. 14): --given-by people when they did themselves, there or before,"
            " or --given-by NAME --received-on YYYY-MM-DD when it was somebody else; then they are told.",
            2,
        )


def _move(
    found: Found, purpose: str, given_by: str, received_on: str, dry_run: bool, workspace: str, json: bool
) -> None:
    from envol.api.moving import move
    from envol.contacts import imports

    space = workspace_named(workspace)
    try:
        made = move.plan(space, found, purpose=purpose)
        if dry_run:
            move.discard(made.imp)
            show(made.report, json, lambda: _say(made.report))
            return
        by = imports.PEOPLE if given_by.strip().lower() == "people" else imports.OTHER
        try:
            imports.set_origin(made.imp, by, given_by, received_on)
        except imports.ImportProblem:
            move.discard(made.imp)
            raise
        done = move.carry_out(space, found, made)
    except (ValueError, LookupError) as error:
        fail(str(error))

    def told() -> None:
        _say(made.report)
        say(f"Done. Taken back by: envol move-in undo {done['move']}")
        if made.report["not_evidenced"]:
            say("For those without evidence the page of a purpose makes a campaign ready that asks them again.")

    show({"report": made.report, "done": done}, json, told)


def _say(report: dict[str, Any]) -> None:
    counts = report["counts"]
    say(f"{report['people']} people of {report['origin']}: {counts.get('new', 0)} new, {counts.get('updated', 0)} to"
        f" update, {sum((counts.get('refused') or {}).values())} values refused.")  # fmt: skip
    say(f"Consent: {report['evidenced']} with a proof of their own, {report['not_evidenced']} not evidenced.")
    if report["evidenced"] and not report["purpose"]:
        say("Nobody is permitted anything: say with --purpose what those with a proof agreed to.")
    for why, n in report["refusals"].items():
        say(f"Refused there: {n} {why.replace('_', ' ')}.")
    for name, n in report["lists"].items():
        say(f"List {name}: {n}.")
    for name in report["new_properties"]:
        say(f"New property: {name} as {report['properties'][name]}.")
    for name in report["templates"]:
        say(f"Template: {name}.")
    for sentence in report["notes"]:
        say(sentence)
