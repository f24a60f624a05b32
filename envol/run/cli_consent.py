"""The command line for the ledger of permissions: is it whole, take it along, and why may somebody be written to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from envol.run.cli import Data, Json, Ws, app, console, fail, opened, say, show, workspace_named

consent = typer.Typer(no_args_is_help=True, help="The ledger of permissions: verify it, take it along, ask it why.")
app.add_typer(consent, name="consent")


@consent.command("verify")
def consent_verify(
    anchor: Annotated[
        Path | None, typer.Option(help="A file of anchors that was kept elsewhere; DATA/proof is looked at anyway.")
    ] = None,
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Recompute the ledger of a workspace and compare it with where it was noted to stand. Exit code 4: altered."""
    opened(data)
    from envol.consent import anchor as anchors
    from envol.consent import ledger

    place = workspace_named(workspace)
    files = [file for file in (anchors.path(), anchor) if file is not None and (file == anchor or file.exists())]
    report = ledger.verify(place.pk)
    held = 0
    try:
        for file in files:
            count, missed = anchors.check(place.pk, anchors.read(file))
            held += count
            report.problems.extend(missed)
    except (OSError, anchors.Unreadable) as error:
        fail(str(error), 4 if isinstance(error, anchors.Unreadable) else 1)
    facts = {
        "ok": report.ok,
        "blocks": report.blocks,
        "lines": report.lines,
        "readable": report.readable,
        "anchors": held,
        "head": list(report.head) if report.head else None,
        "problems": [problem._asdict() for problem in report.problems],
    }

    def human() -> None:
        for one in report.problems:
            where = f"Block {one.block}" if one.block else f"Evidence {one.leaf}"
            line = f", line {one.leaf}" if one.block and one.leaf >= 0 else ""
            say(f"{where}{line}: {one.what}.")
        counted = f"{report.blocks:,} blocks, {report.lines:,} lines, {report.readable:,} readable, {held:,} anchors"
        say(f"{counted}: {'nothing was altered' if report.ok else f'{len(report.problems)} faults'}.")

    show(facts, json, human)
    if not report.ok:
        raise typer.Exit(4)


@consent.command("anchor")
def consent_anchor(data: Data = None, json: Json = False) -> None:
    """Note where each ledger stands now, as it is done every night, in DATA/proof."""
    opened(data)
    from envol.consent import anchor

    made = anchor.write()
    show([one._asdict() for one in made], json, lambda: say(f"{len(made)} noted in {anchor.path()}"))


@consent.command("pack")
def consent_pack(
    file: Annotated[Path, typer.Argument(help="The zip to write.")],
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Write the ledger of a workspace with all that proves it, and the program that verifies it without Envol."""
    opened(data)
    from envol.consent import pack

    try:
        counts = pack.write(workspace_named(workspace), file)
    except OSError as error:
        fail(str(error))
    said = f"{counts['blocks']:,} blocks and {counts['lines']:,} readable lines are in {file}."
    show({"file": str(file), **counts}, json, lambda: say(f"{said} Unpack verify.py from it: python3 verify.py {file}"))


@consent.command("why")
def consent_why(
    address: Annotated[str, typer.Argument(help="The person's address.")],
    purpose: Annotated[str, typer.Argument(help="Key of the purpose, such as newsletter.")],
    at: Annotated[str, typer.Option(help="A past day or moment, such as 2026-03-31T18:00; left out: now.")] = "",
    about: Annotated[str, typer.Option(help="Kind of product that the message is about, for customers.")] = "",
    seller: Annotated[str, typer.Option(help="Who sells it; left out: the organisation itself.")] = "",
    language: Annotated[str, typer.Option(help="fr or en.")] = "en",
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """May this person be written to for a purpose, and why? One sentence, with the line of the ledger behind it."""
    opened(data)
    from envol.consent import purposes, why
    from envol.consent.models import Purpose
    from envol.consent.similar import Offer
    from envol.contacts import people
    from envol.wire.address import AddressError, normalise

    place = workspace_named(workspace)
    try:
        key = normalise(address).key
        wanted = purposes.get(place, purpose)
        moment = why.read_moment(at, place) if at else None
    except (AddressError, Purpose.DoesNotExist, ValueError) as error:
        fail(str(error), 2)
    person = people.find(place, key)
    offer = Offer(about, seller) if about else None
    found = why.why(place, person.pk if person else None, key, wanted, at=moment, offer=offer)
    facts: dict[str, Any] = {"contact": person.pk if person else None, **found.facts()}
    show(facts, json, lambda: console.print(found.sentence(language), markup=False, highlight=False, soft_wrap=True))
