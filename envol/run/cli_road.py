"""The command line along the road: contacts, segments, campaigns, the demonstration."""

from __future__ import annotations

import json as _json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from envol.run.cli import Data, Json, Ws, app, console, errors, fail, opened, say, show, workspace_named


def bars() -> Progress:
    """Progress of long work: done of total, how many a second, time spent, time left."""
    return Progress(
        TextColumn("{task.description:<34}"), BarColumn(bar_width=28), MofNCompleteColumn(), _Rate(),
        TimeElapsedColumn(), TimeRemainingColumn(), console=errors, transient=False,
    )  # fmt: skip


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed", justify="right")


contacts = typer.Typer(no_args_is_help=True, help="People.")
app.add_typer(contacts, name="contacts")


@contacts.command("import")
def contacts_import(
    file: Annotated[Path, typer.Argument(help="CSV, XLSX or JSON Lines.")],
    map_: Annotated[
        list[str] | None, typer.Option("--map", help="COLUMN=TARGET, repeated; what is left out is proposed.")
    ] = None,
    list_name: Annotated[str, typer.Option("--list", help="A list they join.")] = "",
    given_by: Annotated[
        str, typer.Option(help='Who gave these data: "people", when they did themselves, or the name of somebody else.')
    ] = "",
    received_on: Annotated[str, typer.Option(help="Day on which somebody else's data came (YYYY-MM-DD).")] = "",
    purpose: Annotated[str, typer.Option(help="Purpose they agreed to; none: stored, not mailable.")] = "",
    basis: Annotated[str, typer.Option(help="consent, customer, business, transactional.")] = "consent",
    source: Annotated[str, typer.Option(help="Where they agreed: shop, form, fair.")] = "",
    date: Annotated[str, typer.Option(help="When they agreed (YYYY-MM-DD), unless a column says it.")] = "",
    document: Annotated[Path | None, typer.Option(help="One document that proves all permissions.")] = None,
    statement: Annotated[
        str, typer.Option(help="How these people gave their permission, in words that a member answers for.")
    ] = "",
    condition: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE, repeated: what the basis asks. customer: sale_ref, sale_date, entity_id, product_family, "
            "optout_offered=yes; business: job_role, relation_note."
        ),
    ] = None,
    member: Annotated[str, typer.Option(help="Address of the member who states it.")] = "",
    text_version: Annotated[int, typer.Option(help="Version of the purpose's words they read.")] = 1,
    line_proof: Annotated[bool, typer.Option("--line-proof", help="Each line carries its proof.")] = False,
    policy: Annotated[str, typer.Option(help="merge, keep or replace.")] = "merge",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, write nothing.")] = False,
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Import people: mapping, permission, dry run, then the import with its result."""
    opened(data)
    from envol.contacts import imports
    from envol.contacts.models import List

    space = workspace_named(workspace)
    if not file.exists():
        fail(f"{file} does not exist.")
    if not given_by and not dry_run:
        fail(
            "Say who gave these data (GDPR art. 14): --given-by people when they did themselves, or --given-by NAME"
            " --received-on YYYY-MM-DD when it was somebody else; then they are told within a month.",
            2,
        )
    try:
        imp = imports.receive(space, file, file.name)
        mapping = {column.name: column.target for column in imports.propose(imp)}
        for pair in map_ or []:
            column, _, target = pair.rpartition("=")
            if column not in mapping:
                fail(f"There is no column {column!r}. Columns: {', '.join(mapping)}.", 2)
            mapping[column] = target
        list_id = List.objects.get_or_create(workspace=space, name=list_name)[0].pk if list_name else None
        imports.set_mapping(imp, mapping, list_id=list_id, policy=policy)
        facts: dict[str, Any] = {}
        if purpose:
            facts = {"purpose": purpose, "basis": basis, "source": source or file.name, "text_version": text_version}
            if date:
                facts["date"] = date
            if condition:
                pairs = (pair.partition("=") for pair in condition)
                facts["conditions"] = {
                    name: value == "yes" if name == "optout_offered" else value for name, _, value in pairs
                }
            if line_proof:
                facts["evidence"] = {"kind": "line"}
            elif document:
                facts["evidence"] = {"kind": "document", "name": document.name, "content": document.read_bytes()}
            elif statement:
                facts["evidence"] = {"kind": "statement", "text": statement, "member_id": _member(space, member)}
            else:
                fail(
                    "Say what proves the permission: --line-proof when each line carries its proof, --document FILE"
                    " for one that proves all, or --statement WORDS --member ADDRESS. Without --purpose the people"
                    " are stored and not written to.",
                    2,
                )
        imports.set_permission(imp, facts)
        if given_by:
            by = imports.PEOPLE if given_by.strip().lower() == "people" else imports.OTHER
            imports.set_origin(imp, by, given_by, received_on)
        with bars() as progress:
            counts = imports.dry_run(imp, progress=bar(progress, "Dry run")) if dry_run else imports.run(
                imp, progress=bar(progress, "Import")
            )  # fmt: skip
    except ValueError as error:
        fail(str(error))
    show(
        {"import": imp.pk, "dry_run": dry_run, "mapping": mapping, **counts},
        json,
        lambda: say(_sentence(counts, dry_run)),
    )


def _condition(pair: str) -> tuple[str, str | bool]:
    name, _, value = pair.partition("=")
    return name, value == "yes" if name == "optout_offered" else value


def _member(space: Any, address: str) -> int:
    """Who answers for a statement."""
    from envol.accounts.models import Member

    found = Member.objects.filter(workspace=space, user__email=address.strip().lower()).first()
    if found is None:
        fail(f"A statement is made by a member of {space.name}: name her with --member ADDRESS. Not {address!r}.", 2)
    return int(found.pk)


def bar(progress: Progress, title: str) -> Any:
    """A callable (done, total, step) that moves one bar."""
    task = progress.add_task(title, total=None)

    def move(done: int, total: int | None = None, step: str = "") -> None:
        progress.update(task, completed=done, total=total, description=f"{title} {step}"[:34])

    return move


def _sentence(counts: dict[str, Any], dry: bool) -> str:
    causes = counts.get("refused", 0)
    refused = sum(causes.values()) if isinstance(causes, dict) else causes
    of = {name: f"{counts.get(name, 0):,}" for name in ("new", "updated", "unchanged", "suppressed", "mailable")}
    return (
        f"{'Nothing is written yet. ' if dry else ''}New: {of['new']}; updated: {of['updated']}; "
        f"unchanged: {of['unchanged']}; refused: {refused:,}; suppressed: {of['suppressed']}; "
        f"may be written to: {of['mailable']}."
    )


orders = typer.Typer(no_args_is_help=True, help="Orders of people who are here.")
app.add_typer(orders, name="orders")


@orders.command("import")
def orders_import(
    file: Annotated[Path, typer.Argument(help="CSV, XLSX or JSON Lines; one row for each line of an order.")],
    map_: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            help="COLUMN=TARGET, repeated; what is left out is proposed. Targets: order, date, email, "
            "identifier:customer, identifier:external, amount (of the order), currency, product, category, quantity, "
            "line (amount of the line), unit (price of one), lines (JSON), skip.",
        ),
    ] = None,
    currency: Annotated[str, typer.Option(help="Of orders that do not say theirs.")] = "EUR",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen, write nothing.")] = False,
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Import orders, each once by its number: bringing a file again writes nothing twice."""
    opened(data)
    from envol.contacts import imports

    space = workspace_named(workspace)
    if not file.exists():
        fail(f"{file} does not exist.")
    try:
        imp = imports.receive(space, file, file.name, what="orders")
        mapping = dict(imp.mapping)
        for pair in map_ or []:
            column, _, target = pair.rpartition("=")
            if column not in mapping:
                fail(f"There is no column {column!r}. Columns: {', '.join(mapping)}.", 2)
            mapping[column] = target
        imports.set_order_mapping(imp, mapping, currency)
        with bars() as progress:
            act, title = (imports.dry_run, "Dry run") if dry_run else (imports.run, "Import")
            counts = act(imp, progress=bar(progress, title))
    except ValueError as error:
        fail(str(error))
    wrong = sum(counts["refused"].values())
    show(
        {"import": imp.pk, "dry_run": dry_run, "mapping": mapping, **counts},
        json,
        lambda: say(
            f"{'Nothing is written yet. ' if dry_run else ''}New orders: {counts['new']:,} of {counts['people']:,} "
            f"people; known already: {counts['known']:,}; of nobody here: {counts['nobody']:,}; "
            f"refused lines: {wrong:,}."
        ),
    )


segment = typer.Typer(no_args_is_help=True, help="Segments.")
app.add_typer(segment, name="segment")


def segment_named(space: Any, name: str) -> Any:
    from envol.audience.models import Segment

    found = Segment.objects.filter(workspace=space, name=name).first()
    if found is None:
        known = ", ".join(Segment.objects.filter(workspace=space).values_list("name", flat=True)[:20]) or "none"
        fail(f"There is no segment {name!r}. Known: {known}.")
    return found


@segment.command("count")
def segment_count(
    name: Annotated[str, typer.Argument(help="Name of a segment, or its JSON.")],
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """How many people are in it now, and the rule as a sentence."""
    opened(data)
    from envol.audience import engine, sentences
    from envol.audience.language import SegmentProblem

    space = workspace_named(workspace)
    try:
        tree = _json.loads(name) if name.lstrip().startswith("{") else segment_named(space, name).whole
        count = engine.count(space, tree)
        sentence = sentences.describe(tree, space, space.language)
    except _json.JSONDecodeError as error:
        fail(f"This is no JSON: {error}.", 2)
    except RecursionError:
        fail("The rule is nested too deeply; use at most four levels of groups.", 2)
    except SegmentProblem as error:
        fail(str(error))
    show({"count": count, "sentence": sentence}, json, lambda: say(f"{count:,} people. {sentence}"))


events = typer.Typer(no_args_is_help=True, help="Events that your own programs tell of.")
app.add_typer(events, name="events")


@events.command("import")
def events_import(
    file: Annotated[Path, typer.Argument(help="JSON Lines: one event a line, as for POST /events.json.")],
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Keep the events of a file; it may be repeated: what was told before is left out. Exit 1: a line was refused."""
    opened(data)
    from envol.contacts import happenings

    space = workspace_named(workspace)
    if not file.exists():
        fail(f"{file} does not exist.")
    with open(file, encoding="utf-8", errors="replace") as text, bars() as progress:
        move = bar(progress, "Events")
        told = happenings.tell(space, _counted(_json_lines(text), move))
    refused = [{"line": place + 1, "why": why} for place, why in told.refused]

    def human() -> None:
        say(f"Added: {told.added:,}; known before: {told.known:,}; refused: {len(refused):,}.")
        for one in refused[:20]:
            errors.print(f"  line {one['line']}: {one['why']}", markup=False, highlight=False)

    show({"added": told.added, "known": told.known, "refused": refused}, json, human)
    if refused:
        raise typer.Exit(1)


@events.command("list")
def events_list(workspace: Ws = "", data: Data = None, json: Json = False) -> None:
    """The kinds of events that came in, and how often."""
    opened(data)
    from envol.events import custom
    from envol.events.models import CustomEvent

    space = workspace_named(workspace)
    heard = custom.heard(space)
    found = [
        {"event": one.key, "properties": one.properties, "events": heard[one.pk].events if one.pk in heard else 0}
        for one in CustomEvent.objects.filter(workspace=space, removed_at=None).order_by("key")
    ]

    def human() -> None:
        table = Table("event", "told with it", "events")
        for one in found:
            table.add_row(one["event"], ", ".join(one["properties"]), f"{one['events']:,}")
        console.print(table)

    show(found, json, human)


def _json_lines(text: Any) -> Iterator[Any]:
    """Each line's value; a line that is no JSON is itself, which no event is."""
    for line in text:
        try:
            yield _json.loads(line)
        except (ValueError, RecursionError):
            yield line


def _counted(lines: Iterator[Any], move: Any) -> Iterator[Any]:
    n = 0
    for n, line in enumerate(lines, 1):
        yield line
        if n % 1000 == 0:
            move(n)
    move(n, n)


campaign = typer.Typer(no_args_is_help=True, help="Campaigns.")
app.add_typer(campaign, name="campaign")


def campaign_named(space: Any, name: str) -> Any:
    from envol.campaigns.models import Campaign

    rows = Campaign.objects.filter(workspace=space)
    found = (rows.filter(id=int(name)) if name.isdigit() else rows.filter(name=name)).order_by("-id").first()
    if found is None:
        known = ", ".join(rows.order_by("-id").values_list("name", flat=True)[:20]) or "none"
        fail(f"There is no campaign {name!r}. Known: {known}.")
    return found


@campaign.command("send")
def campaign_send(
    name: Annotated[str, typer.Argument(help="Name or number of the campaign.")],
    at: Annotated[str, typer.Option(help="When, for example 2026-12-01T09:00+01:00; now when left out.")] = "",
    test: Annotated[str, typer.Option(help="Only a test message to this address.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until everybody has an outcome.")] = False,
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Say exactly what will happen, ask, and send; couriers of a running `envol up` deliver."""
    opened(data)
    from envol.campaigns import actions, checks

    space = workspace_named(workspace)
    row = campaign_named(space, name)
    try:
        if test:
            sending = actions.send_test(row, test)
        else:
            summary = checks.summary(row)
            excluded = ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in summary.excluded.items() if n)
            errors.print(
                f"“{row.name}” goes to {summary.allowed:,} people from {row.from_address}. "
                f"{summary.chosen - summary.allowed:,} are left out{': ' + excluded if excluded else ''}.",
                markup=False,
                highlight=False,
            )
            if not yes and not json:
                typer.confirm("Send it?", abort=True)
            sending = actions.schedule(row, datetime.fromisoformat(at)) if at else actions.send(row)
    except (actions.Refused, ValueError) as error:
        fail(str(error))
    if wait:
        while (state := actions.refresh(sending.id)) not in {"sent", "stopped", "failed"}:
            time.sleep(0.5)
        if state != "sent":
            fail(f"The sending is {state}.")
    facts = status_of(row, sending.id)
    show(facts, json, lambda: _print_status(facts))


@campaign.command("status")
def campaign_status(name: str, workspace: Ws = "", data: Data = None, json: Json = False) -> None:
    """Where it stands: people by state, then reactions."""
    opened(data)
    space = workspace_named(workspace)
    row = campaign_named(space, name)
    facts = status_of(row)
    show(facts, json, lambda: _print_status(facts))


def status_of(row: Any, sending_id: int | None = None) -> dict[str, Any]:
    from envol.insight.report import report
    from envol.outbound.models import Sending
    from envol.outbound.states import counts

    row.refresh_from_db()
    sendings = [sending_id] if sending_id else list(
        Sending.objects.filter(campaign_id=row.pk, kind__in=["campaign", "resend"]).values_list("id", flat=True)
    )  # fmt: skip
    people: dict[str, int] = {}
    for one in sendings:
        for state, number in counts(one).items():
            people[state] = people.get(state, 0) + number
    facts: dict[str, Any] = {
        "campaign": row.pk,
        "name": row.name,
        "state": row.state,
        "sendings": sendings,
        "people": people,
    }
    if sendings:
        facts["report"] = report(row.workspace, sendings).as_dict()
    return facts


def _print_status(facts: dict[str, Any]) -> None:
    """States of people, then reactions: clicks lead, people and events apart, machines apart."""
    say(f"{facts['name']}: {facts['state']}")
    for state, number in facts["people"].items():
        if number or state == "accepted":
            say(f"  {state:<11} {number:>9,}")
    made = facts.get("report")
    if not made:
        return
    for reason, number in made["excluded"].items():
        say(f"  left out: {reason.replace('_', ' ')} {number:,}")
    table = Table("reaction", "people", "of those who agreed", "events", "without a name", "machines apart")
    for name in ("clicked", "opened", "unsubscribed", "complained"):
        row = made[name]
        agreed = row["agreed"]
        share = f"{agreed['people']:,} of {agreed['of']:,}" if agreed else ""
        numbers = (f"{row[n]:,}" for n in ("events", "nameless", "machine_events"))
        table.add_row(name, f"{row['people']:,}", share, *numbers)
    console.print(table)
    links = Table("link", "people", "clicks", "without a name", "machines apart")
    for link in made["links"]:
        numbers = (f"{link[n]:,}" for n in ("people", "events", "nameless", "machine_events"))
        links.add_row(link["label"] or link["url"], *numbers)
    console.print(links)
    sites = Table("domain", "people", "delivered", "bounced", "deferred")
    for site in made["sites"]:
        sites.add_row(site["site"], *(f"{site[n]:,}" for n in ("accepted", "delivered", "bounced", "deferred")))
    console.print(sites)


@app.command()
def demo(
    check: Annotated[
        bool, typer.Option("--check", help="No screen; fail unless every figure is right, then end.")
    ] = False,
    http: Annotated[str, typer.Option(help="HOST:PORT of the pages.", envvar="ENVOL_HTTP")] = "127.0.0.1:8025",
    people: Annotated[int, typer.Option(help="How many of the 23,570 customers.")] = 0,
    data: Data = None,
    json: Json = False,
) -> None:
    """A French book and record shop, from its files to a measured campaign; nothing leaves this machine."""
    from envol.run.demo import main as demonstration

    raise typer.Exit(
        demonstration.run(data or Path("demo-data"), http=http, headless=check, limit=people, as_json=json)
    )
