"""The command line for the keys of programs: what each may do, and when it may not."""

from __future__ import annotations

import json as _json
import sys
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from envol.run.cli import Data, Json, Ws, app, console, fail, opened, say, show, workspace_named

if TYPE_CHECKING:
    from envol.accounts.api_keys import Limits
    from envol.accounts.models import ApiKey, Workspace

apikey = typer.Typer(no_args_is_help=True, help="API keys: the programs that may come in, and what each may do.")
app.add_typer(apikey, name="apikey")

Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", help="smtp, read, events, orders, segments, consent; several times. None: all of them."),
]
Domains = Annotated[list[str] | None, typer.Option("--domain", help="From must be of this domain; several times.")]
Addresses = Annotated[list[str] | None, typer.Option("--address", help="From may be this address; several times.")]
Rates = Annotated[
    list[str] | None,
    typer.Option("--rate", help="Such as 500/hour or 5000/day, by SMTP; a message to three people counts three."),
]
Recipients = Annotated[int | None, typer.Option("--recipients", help="Most recipients of one message.")]
Expires = Annotated[str, typer.Option("--expires", help="The last day it opens anything, such as 2027-01-31.")]
Which = Annotated[str, typer.Argument(help="The key, or the beginning of it; see envol apikey list.")]


def _limits(
    workspace: Workspace,
    scope: list[str] | None,
    domain: list[str] | None,
    address: list[str] | None,
    rate: list[str] | None,
    recipients: int | None,
    expires: str,
) -> Limits:
    from envol.accounts.api_keys import Limits

    rates: dict[str, int] = {}
    for one in rate or ():
        number, _, unit = one.partition("/")
        if unit not in ("hour", "day") or not number.isdigit():
            fail(f"{one!r} is no rate: write a number and hour or day, such as 500/hour.", 2)
        rates[unit] = int(number)
    if wrong := next((one for one in domain or () if "@" in one), None):
        fail(f"{wrong!r} is an address: give it with --address.", 2)
    if wrong := next((one for one in address or () if "@" not in one), None):
        fail(f"{wrong!r} is no address: give a domain with --domain.", 2)
    ends = None
    if expires:
        try:
            day = date.fromisoformat(expires)
        except ValueError:
            fail(f"{expires!r} is no day: write it as 2027-01-31.", 2)
        ends = datetime.combine(day, time(23, 59, 59), workspace.zone)
    senders = [*(domain or ()), *(address or ())]
    return Limits(scope or (), senders, rates.get("hour"), rates.get("day"), recipients, ends)


@apikey.command("create")
def apikey_create(
    name: Annotated[str, typer.Option(help="What will use it.")],
    scope: Scopes = None,
    domain: Domains = None,
    address: Addresses = None,
    rate: Rates = None,
    recipients: Recipients = None,
    expires: Expires = "",
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Make a key and print it with its secret, once, as JSON."""
    opened(data)
    from envol.accounts.workspaces import create_api_key

    place = workspace_named(workspace)
    limits = _limits(place, scope, domain, address, rate, recipients, expires)
    try:
        new = create_api_key(place, name, limits)
    except ValueError as error:
        fail(str(error), 2)
    sys.stdout.write(_json.dumps({"key": new.key, "secret": new.secret}) + "\n")


@apikey.command("list")
def apikey_list(workspace: Ws = "", data: Data = None, json: Json = False) -> None:
    """The keys of a workspace: what each may do, what it did lately, and whether it is paused and why."""
    opened(data)
    from envol.accounts import api_keys

    rows = list(workspace_named(workspace).api_keys.order_by("revoked_at", "-id"))
    lately = api_keys.sent_lately(row.pk for row in rows)
    facts = [_facts(row, lately.get(row.pk, (0, 0))) for row in rows]

    def human() -> None:
        from rich.table import Table

        table = Table("Key", "What for", "State", "May", "From", "Rate", "Last used")
        for one in facts:
            rates = [f"{one[per]}/{unit}" for per, unit in (("per_hour", "hour"), ("per_day", "day")) if one[per]]
            table.add_row(
                one["key"][:8],
                f"{one['name']}\nabout {one['product_family']}" if one["product_family"] else one["name"],
                one["state"],
                " ".join(one["scopes"]),
                "\n".join(one["senders"]) or "any of its domains",
                "\n".join(rates) or "-",
                one["last_used_at"] or "-",
            )
        console.print(table)

    show(facts, json, human)


def _facts(row: ApiKey, lately: tuple[int, int]) -> dict[str, Any]:
    from envol.accounts import api_keys

    def told(moment: datetime | None) -> str | None:
        return moment.isoformat(timespec="seconds") if moment else None

    return {
        "key": row.public_id,
        "name": row.name,
        "state": api_keys.closed(row) or "open",
        "scopes": row.scopes,
        "senders": row.senders,
        "per_hour": row.per_hour,
        "per_day": row.per_day,
        "most_recipients": row.most_recipients,
        "product_family": row.product_family,
        "seller": row.seller,
        "last_hour": lately[0] if row.per_hour or row.per_day else None,
        "last_day": lately[1] if row.per_hour or row.per_day else None,
        "expires_at": told(row.expires_at),
        "last_used_at": told(row.last_used_at),
    }


def _the_key(workspace: str, which: str) -> ApiKey:
    found = list(workspace_named(workspace).api_keys.filter(public_id__startswith=which, revoked_at=None)[:2])
    if len(found) != 1:
        fail(f"{len(found) or 'No'} keys begin with {which!r}: see envol apikey list.")
    return found[0]


@apikey.command("limit")
def apikey_limit(
    key: Which,
    scope: Scopes = None,
    domain: Domains = None,
    address: Addresses = None,
    rate: Rates = None,
    recipients: Recipients = None,
    expires: Expires = "",
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Say anew what a key may do; what is left out is not limited."""
    opened(data)
    from envol.accounts import api_keys

    row = _the_key(workspace, key)
    try:
        api_keys.limit(row, _limits(row.workspace, scope, domain, address, rate, recipients, expires))
    except ValueError as error:
        fail(str(error), 2)
    row.refresh_from_db()
    show(_facts(row, (0, 0)), json, lambda: say(f"{row.name} may now do what was said, and nothing else."))


@apikey.command("about")
def apikey_about(
    key: Which,
    family: Annotated[
        str, typer.Option(help="The kind of product. Left out: anything; no existing customer gets it.")
    ] = "",
    seller: Annotated[str, typer.Option(help="Who sells it. Left out: the organisation itself.")] = "",
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Say what the campaigns are about that a key drafts: by law existing customers hear of products like those they
    bought, from the same seller, alone."""
    opened(data)
    from envol.accounts import api_keys

    row = _the_key(workspace, key)
    api_keys.is_about(row, family, seller)
    row.refresh_from_db()
    about = (row.product_family or "anything") + (f", sold by {row.seller}" if row.seller else "")
    sentence = f"Campaigns that {row.name} drafts from now on are about {about}."
    show(_facts(row, (0, 0)), json, lambda: say(sentence))


@apikey.command("pause")
def apikey_pause(
    key: Which,
    reason: Annotated[str, typer.Option(help="Told to the program that is refused.")],
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Let a key open nothing until it is resumed."""
    opened(data)
    from envol.accounts import api_keys

    row = _the_key(workspace, key)
    changed = api_keys.pause(row, reason, by="command")
    sentence = f"{row.name} is paused." if changed else f"{row.name} was paused already."
    show({"key": row.public_id, "changed": changed}, json, lambda: say(sentence))


@apikey.command("resume")
def apikey_resume(key: Which, workspace: Ws = "", data: Data = None, json: Json = False) -> None:
    """Let a paused key open again what it may."""
    opened(data)
    from envol.accounts import api_keys

    row = _the_key(workspace, key)
    changed = api_keys.resume(row, by="command")
    sentence = f"{row.name} opens again what it may." if changed else f"{row.name} was not paused."
    show({"key": row.public_id, "changed": changed}, json, lambda: say(sentence))
