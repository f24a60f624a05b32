"""The command line: ``envol``.

Exit codes: 0 done · 1 refused or failed, the sentence says why · 2 wrong use · 3 the installation
cannot be opened · 4 a check found something that must be mended.
"""

from __future__ import annotations

import json as _json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from envol import __version__
from envol.run import config as _config

if TYPE_CHECKING:
    from envol.accounts.models import Workspace
    from envol.run.config import Config

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Envol: the email platform that a European organisation runs itself.",
)
console = Console()
errors = Console(stderr=True)

Data = Annotated[Path | None, typer.Option("--data", help="Data directory (default ./envol-data or ENVOL_DATA).")]
Ws = Annotated[str, typer.Option("--workspace", help="Name of the workspace; may be left out when there is one.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def fail(sentence: str, code: int = 1) -> NoReturn:
    """Say it on standard error and end; with --json a program finds the same sentence on standard output."""
    if "--json" in sys.argv:
        sys.stdout.write(_json.dumps({"error": sentence, "code": code}, ensure_ascii=False) + "\n")
    errors.print(sentence, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def show(facts: Any, as_json: bool, human: Callable[[], None]) -> None:
    if as_json:
        sys.stdout.write(_json.dumps(facts, ensure_ascii=False, default=str) + "\n")
    else:
        human()


def say(sentence: str) -> None:
    console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def opened(data: Path | None, **overrides: Any) -> Config:
    """The installation, or exit 3 with a sentence."""
    from envol.run.installation import NotReady, open_installation

    try:
        config = open_installation(data, **overrides)
    except (NotReady, _config.ConfigError) as error:
        fail(str(error), 3)
    from envol.run import logs

    logs.setup("command", level="WARNING")
    return config


def workspace_named(name: str) -> Workspace:
    from envol.accounts.models import Workspace

    found = list(Workspace.objects.filter(name=name) if name else Workspace.objects.all()[:2])
    if len(found) == 1:
        return found[0]
    known = ", ".join(Workspace.objects.order_by("name").values_list("name", flat=True)[:20])
    if not known:
        fail("There is no workspace yet. Make one: envol setup --email YOU --password-stdin --workspace NAME")
    fail(
        f"There is no workspace {name!r}. Known: {known}." if name else f"Say which with --workspace. Known: {known}.",
        2,
    )


@app.command()
def version(json: Json = False) -> None:
    """Print the version."""
    show({"version": __version__}, json, lambda: say(__version__))


@app.command()
def settings(json: Json = False) -> None:
    """Every setting, its default and what it does (the page docs/settings.md)."""

    def human() -> None:
        sys.stdout.write(_config.manual())

    show(_config.table(), json, human)


@app.command()
def setup(
    email: Annotated[str, typer.Option(help="Address of the first owner.")],
    workspace: Annotated[str, typer.Option("--workspace", help="Name of the organisation.")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    """Make the first owner and her workspace; says so when they exist already."""
    opened(data)
    from envol.accounts import first

    password = sys.stdin.readline().rstrip("\n") if password_stdin else typer.prompt("Password", hide_input=True)
    try:
        made = first.setup(email, password, workspace)
    except ValueError as error:
        fail(str(error))
    show(made, json, lambda: say(made["sentence"]))


domain = typer.Typer(no_args_is_help=True, help="Domains to send from.")
app.add_typer(domain, name="domain")


@domain.command("add")
def domain_add(
    name: str,
    trusted: Annotated[bool, typer.Option("--trusted", help="The operator vouches: no DNS check needed.")] = False,
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Declare a domain, make its DKIM keys, and print the records to publish."""
    opened(data)
    from envol.outbound import domains

    try:
        row = domains.add(workspace_named(workspace), name, trusted=trusted)
    except ValueError as error:
        fail(str(error))
    records = domains.expected_records(row)

    def human() -> None:
        say(f"{row.name} is declared{' and trusted' if row.trusted else ''}. Records to publish:")
        for record in records:
            say(f"  {record['name']}  {record['record']}  {record['expected']}")

    show({"domain": row.name, "trusted": row.trusted, "records": records}, json, human)


@domain.command("check")
def domain_check(
    name: Annotated[str, typer.Argument(help="The domain; all when left out.")] = "",
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Compare the DNS records found with those expected; exit 4 when something is missing."""
    opened(data)
    from envol.outbound import domains

    checked = [domains.check(row) for row in domains.of(workspace_named(workspace), name)]
    if not checked:
        fail(
            f"No domain {name!r} is declared. Add it: envol domain add {name or 'D'}"
            if name
            else "No domain is declared yet."
        )

    def human() -> None:
        for row in checked:
            say(f"{row.name}: {'ready' if row.passed_at else 'not ready'}")
            for f in row.findings:
                state = "ok     " if f["ok"] else "MISSING"
                say(f"  {state} {f['record']} {f['name']}: expected {f['expected']!r}, found {f['found']!r}")

    show(
        [{"domain": r.name, "ready": bool(r.passed_at), "trusted": r.trusted, "findings": r.findings} for r in checked],
        json,
        human,
    )
    if not all(r.passed_at or r.trusted for r in checked):
        raise typer.Exit(4)


@domain.command("rotate")
def domain_rotate(
    name: Annotated[str, typer.Argument(help="The domain.")],
    finish: Annotated[
        bool, typer.Option("--finish", help="Sign with the next keys now, if they are published.")
    ] = False,
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Make the next DKIM keys and print their records; they sign two days after they are published, or by --finish."""
    opened(data)
    from envol.outbound import domains

    rows = domains.of(workspace_named(workspace), name)
    if not rows:
        fail(f"No domain {name!r} is declared. Add it: envol domain add {name}")
    try:
        if finish:
            domains.finish_rotation(rows[0])
        else:
            domains.prepare_rotation(rows[0])
    except ValueError as error:
        fail(str(error))
    records = [record for record in domains.expected_records(rows[0]) if record["record"] == "DKIM"]

    def human() -> None:
        if finish:
            say(f"{name} signs with its new keys. Leave the old records published for a week.")
        else:
            say(f"Publish these records of {name} beside each other:")
        for record in records:
            say(f"  {record['name']}  {record['expected']}")

    show({"domain": name, "finished": finish, "records": records}, json, human)


@app.command()
def queue(
    site: Annotated[str, typer.Option(help="This site alone.")] = "",
    most: Annotated[int, typer.Option(min=1, max=10_000, help="Lines shown.")] = 200,
    skip: Annotated[int, typer.Option(min=0, help="Lines left out before them.")] = 0,
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """What waits, by site and last reply, most people first.

    Where more than 20,000 people wait, small sites of large sendings stand together as *.
    """
    opened(data)
    from envol.outbound import shaping, states
    from envol.run.cli_outbound import say_slower

    slower = shaping.table()
    waiting = states.waiting(workspace_named(workspace).id, site=site.strip().lower(), most=most, skip=skip)

    def human() -> None:
        if not waiting:
            return say("Nothing waits." if not (site or skip) else "Nothing more waits.")
        table = Table("site", "state", "people", "next try", "last reply")
        for row in waiting:
            table.add_row(row["site"], row["state"], str(row["count"]), str(row["due"] or ""), row["reply"][:80])
        console.print(table)
        if len(waiting) == most:
            say(f"There may be more: --skip {skip + most}.")
        return say_slower(slower)

    show(waiting, json, human)


@app.command()
def check(workspace: Ws = "", data: Data = None, json: Json = False) -> None:
    """What would stop mail from leaving; exit 4 when something would."""
    config = opened(data)
    from envol.run import doctor

    found = doctor.check(config, workspace_named(workspace))

    def human() -> None:
        for item in found:
            say(f"{'ok  ' if item['ok'] else 'STOP'}  {item['sentence']}")

    show(found, json, human)
    if not all(item["ok"] for item in found):
        raise typer.Exit(4)


@app.command()
def up(
    http: Annotated[str | None, typer.Option(help="HOST:PORT of pages, API and links.")] = None,
    submission: Annotated[
        str | None, typer.Option(help="HOST:PORT of SMTP submission; several with a comma between.")
    ] = None,
    inbound: Annotated[
        str | None, typer.Option(help="HOST:PORT where bounces and complaints come in; several with a comma between.")
    ] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Listen beyond this machine without TLS.")] = False,
    tls_cert: Annotated[str | None, typer.Option(help="PEM certificate.")] = None,
    tls_key: Annotated[str | None, typer.Option(help="PEM key of the certificate.")] = None,
    data: Data = None,
    json: Annotated[bool, typer.Option("--json", help="Log as one JSON object a line.")] = False,
) -> None:
    """Start everything and keep it up until Ctrl-C."""
    from envol.run import up as _up

    config = opened(
        data,
        http=http,
        submission=submission,
        inbound=inbound,
        insecure=insecure or None,
        tls_cert=tls_cert,
        tls_key=tls_key,
        log_json=json or None,
    )
    try:
        _up.become(config)
    except _config.ConfigError as error:
        fail(str(error), 3)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where to write, for example envol.backup.")],
    data: Data = None,
    json: Json = False,
) -> None:
    """Write database and secret into one file (0600), while Envol runs."""
    config = opened(data)
    from envol.run import backup as _backup

    try:
        facts = _backup.write(config, file)
    except _backup.BackupError as error:
        fail(str(error))
    show(
        facts,
        json,
        lambda: say(
            f"{file}: {facts['bytes']:,} bytes, {facts['contacts']:,} contacts. "
            "Keep it as safe as the data: it holds the secret."
        ),
    )


@app.command()
def restore(
    file: Path,
    erasures: Annotated[
        Path | None, typer.Option("--erasures", help="The erasures.jsonl of the installation that was lost.")
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Bring a backup into an empty data directory; who was erased since is erased again."""
    from envol.run import backup as _backup
    from envol.run.installation import NotReady

    try:
        facts = _backup.restore(file, data, erasures)
    except (_backup.BackupError, NotReady, _config.ConfigError) as error:
        fail(str(error))
    show(
        facts,
        json,
        lambda: say(
            f"Restored {facts['contacts']:,} contacts into {facts['data']}; erased again: {facts['erased_again']}."
            f"\n{facts['erasures']}\n{facts['mail']}\nStart it: envol up --data {facts['data']}"
        ),
    )


def main() -> None:
    from envol.run import (
        cli_audience,  # noqa: F401 - it adds its commands
        cli_consent,  # noqa: F401 -- consent
        cli_control,  # noqa: F401 -- held and blocklist
        cli_etrn,  # noqa: F401 -- etrn
        cli_keys,  # noqa: F401 -- apikey
        cli_mail,  # noqa: F401 -- mail and reply
        cli_move,  # noqa: F401 -- move-in
        cli_notice,  # noqa: F401 -- notice
        cli_outbound,  # noqa: F401 -- receivers and warmup
        cli_restored,  # noqa: F401 -- restored
        cli_rights,  # noqa: F401 -- erasures
    )
    from envol.run.cli_road import app as whole  # with contacts, segment, campaign and demo

    whole()


if __name__ == "__main__":
    main()
