"""``envol erasures``: who was erased, and erasing again after a restore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from envol.run.cli import Data, Json, Ws, app, fail, opened, say, show, workspace_named

erasures = typer.Typer(no_args_is_help=True, help="People who were erased, by keyed digest.")
app.add_typer(erasures, name="erasures")


@erasures.command("list")
def erasures_list(workspace: Ws = "", data: Data = None, json: Json = False) -> None:
    """The certificates: what was deleted where; without a date as long as a copy may still hold the person."""
    opened(data)
    from envol.consent import erasures as kept
    from envol.consent.models import Erasure

    here = workspace_named(workspace)
    kept.certify(here.pk)
    found = [kept.certificate(one) for one in Erasure.objects.filter(workspace_id=here.pk).order_by("-at")[:1000]]

    def human() -> None:
        for one in found:
            state = f"certified {one['certified_at'][:10]}" if one["certified_at"] else "a copy may still hold her"
            say(f"{one['reference']}  {one['erased_at'][:16]}  {sum(d['rows'] for d in one['deleted'])} rows  {state}")
        if not found:
            say("Nobody was erased.")

    show(found, json, human)


@erasures.command("erase")
def erasures_erase(
    address: Annotated[str, typer.Argument(help="The address of the person.")],
    cause: Annotated[str, typer.Option(help="Why, without the address: it is kept.")],
    workspace: Ws = "",
    data: Data = None,
    json: Json = False,
) -> None:
    """Erase one person everywhere; prints the certificate."""
    opened(data)
    from envol.consent import erasures as kept
    from envol.consent.models import Erasure
    from envol.contacts import people
    from envol.contacts.models import Contact
    from envol.wire.address import AddressError, normalise

    here = workspace_named(workspace)
    try:
        person = Contact.objects.filter(workspace_id=here.pk, email_key=normalise(address).key).first()
    except AddressError as error:
        fail(str(error), 2)
    if not cause.strip() or "@" in cause:
        fail("Say why with --cause, without the address.", 2)
    if person is None:
        fail("Nobody in this workspace has this address.")
    people.erase(person, cause=cause, actor="command")
    kept.certify(here.pk)
    told = kept.certificate(Erasure.objects.filter(workspace_id=here.pk).latest("pk"))
    rows = sum(one["rows"] for one in told["deleted"])
    show(told, json, lambda: say(f"Erased: {rows} rows. Certificate {told['reference']}: envol erasures list"))


@erasures.command("replay")
def erasures_replay(
    file: Annotated[Path, typer.Argument(help="An erasures.jsonl, newer than the backup that was restored.")],
    data: Data = None,
    json: Json = False,
) -> None:
    """Erase again whoever the file names; before `envol up`, after a restore."""
    opened(data)
    from envol.consent import erasures as kept
    from envol.contacts import forgotten

    try:
        given = kept.read(file.read_bytes())
    except (OSError, ValueError) as error:
        fail(f"{file}: {error}")
    journal = kept.journal()
    before = kept.read(journal.read_bytes()) if journal.exists() else []
    fresh = kept.merged(one for one in given if one not in set(before))
    kept.append(fresh)
    # Lines that the journal had were replayed by the restore.
    done = forgotten.replay(fresh, fresh[0].moment) if fresh else 0
    show({"erased_again": done, "new_lines": len(fresh)}, json, lambda: say(f"{len(fresh)} new lines, {done} erased."))
