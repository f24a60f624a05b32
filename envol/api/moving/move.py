"""From what was found in another service to people, lists, refusals and templates here.

People come by an import of their own, so that its dry run, its figures, its refused lines and its undo hold for a move
too. Refusals are written first: at no moment may somebody be written to who said no there. They stay when a move is
taken back, for they are what people decided. Nobody is permitted anything but by a proof of her own line.
"""

from __future__ import annotations

import contextlib
import csv
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from envol.accounts.journal import note
from envol.accounts.models import Job, Workspace
from envol.api.models import StoredTemplate
from envol.api.moving import asking
from envol.api.moving.found import REFUSALS, SCOPES, Found
from envol.api.rest import names
from envol.consent import purposes, suppression
from envol.contacts import catalogue, fields, imports, lists, subscriptions
from envol.contacts.imports import origin
from envol.contacts.imports.receive import copy_of
from envol.contacts.models import Import, ImportRefusal, List, Property
from envol.wire.address import AddressError, normalise

Tell = Callable[[int, int | None, str], None]
KIND = "move"
"""Of the jobs that keep what a move made."""
_HOUSE = {
    "email": "email",
    "language": "language",
    "time_zone": "time_zone",
    "tags": "tag",
    "consent_date": "permission_date",
    "consent_proof": "permission_proof",
}
_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a move will do. ``columns``: name of a value there → key of the property here; ``new``: to be declared."""

    imp: Import
    columns: dict[str, str]
    new: list[str]
    report: dict[str, Any]


def plan(
    workspace: Workspace, found: Found, *, purpose: str = "", member_id: int | None = None, tell: Tell | None = None
) -> Plan:
    """Try it: nothing is written but the import that waits. ``purpose``: what those permit whose line has a proof."""
    imp = _received(workspace, found, member_id)
    known = catalogue.of(workspace)
    columns: dict[str, str] = {}
    for name in found.columns:
        target = imp.mapping.get(f"value {name}", "skip")
        proposed = _proposed(workspace, name, known)
        columns[name] = proposed or (target.partition(":")[2] if target.startswith("property:") else "")
        columns[name] = columns[name] or _key(name, set(columns.values()) | known.keys())
    new = [name for name, key in columns.items() if key not in known]
    imports.set_mapping(imp, _mapping(columns, set(known)))
    imports.set_permission(imp, _permission(workspace, found, purpose))
    # The same organisation had them there; who gave it the data is said before they come in (`imports.set_origin`).
    imports.set_origin(imp, imports.MOVED, found.origin)
    counts = imports.dry_run(imp, tell)
    evidenced = sum(1 for one in found.people.values() if one.since and one.proof and not one.refusal)
    refusals = Counter(one.refusal for one in found.people.values() if one.refusal)
    on = Counter(name for one in found.people.values() for name in one.on)
    report = {
        "origin": found.origin,
        "people": len(found.people),
        "counts": counts,
        "evidenced": evidenced,
        "not_evidenced": len(found.people) - evidenced - sum(refusals.values()),
        "purpose": purpose if evidenced else "",
        "refusals": {why: refusals[why] for why in REFUSALS if refusals[why]},
        "lists": {name: on[name] for name in found.lists},
        "left": sum(len(one.left) for one in found.people.values()),
        "properties": columns,
        "new_properties": new,
        "templates": [one.name for one in found.letters],
        "notes": found.notes,
    }
    return Plan(imp, columns, new, report)


def discard(imp: Import) -> None:
    """What was tried and is not wanted: the import goes with its file and its refused lines."""
    with contextlib.suppress(imports.ImportProblem):
        copy_of(imp).unlink()
    ImportRefusal.objects.filter(import_id=imp.pk).delete()
    Import.objects.filter(pk=imp.pk).delete()


def carry_out(
    workspace: Workspace, found: Found, made: Plan, tell: Tell | None = None, *, job: Job | None = None
) -> dict[str, Any]:
    """Do what was tried; what it made is told, and kept with a job: :func:`undo` finds it by that number.

    ImportProblem, and nothing is done, while nobody said who gave these people's data (GDPR art. 14).
    """
    origin.must_be_said(made.imp)
    done: dict[str, Any] = {"import": made.imp.pk, "lists": [], "properties": [], "templates": {}, "refusals": {}}
    done["refusals"] = _refuse(workspace, found)
    purpose = made.report["purpose"]
    mask = purposes.mask(workspace, purpose, "transactional") if purpose else 0
    for name in made.new:
        kind = found.types.get(name, "text")
        one = catalogue.declare(workspace, made.columns[name], kind, name[:200], name[:200], purposes=mask)
        note(workspace, "member", "property.added", one, actor_id=made.imp.member_id)
        done["properties"].append(one.pk)
    permission = dict(made.imp.permission)
    imports.set_mapping(made.imp, _mapping(made.columns, set(catalogue.of(workspace))))
    made.imp.permission = permission
    done["counts"] = imports.run(made.imp, tell)
    made.imp.refresh_from_db()
    assert made.imp.source_id is not None
    for name in found.lists:
        one_list = List.objects.filter(workspace=workspace, name=name).first()
        if one_list is None:
            one_list = lists.create(workspace, name, by="member", actor_id=made.imp.member_id)
            done["lists"].append(one_list.pk)
        for keys in _pieces(one.email for one in found.people.values() if name in one.left):
            subscriptions.unsubscribe_many(one_list, keys, made.imp.source_id)
        for keys in _pieces(one.email for one in found.people.values() if name in one.on - one.left):
            subscriptions.join_many(one_list, keys, made.imp.source_id)
    for letter in found.letters:
        kept, fresh = StoredTemplate.objects.get_or_create(
            workspace=workspace,
            name=(letter.name or letter.former)[:200],
            defaults={"html": letter.html.replace("\0", ""), "text": letter.text.replace("\0", "") or None},
        )
        if fresh:
            done["templates"][letter.former or letter.name] = kept.pk
    facts = {"origin": found.origin, "people": len(found.people)}
    if job is None:
        job = Job.objects.create(workspace=workspace, kind=KIND, state="done", ended_at=timezone.now())
    done["move"] = job.pk
    Job.objects.filter(pk=job.pk).update(
        object_id=made.imp.pk, result=job.result | {"report": made.report, "done": done, "state": "moved"}
    )
    note(workspace, "member", "move.done", made.imp, actor_id=made.imp.member_id, **facts)
    return done


def undo(workspace: Workspace, number: int, tell: Tell | None = None) -> dict[str, Any]:
    """Take a move back within the days of an import; refusals stay. Raises ImportProblem, LookupError."""
    job = Job.objects.filter(workspace=workspace, kind=KIND, pk=number).first()
    if job is None or job.result.get("state") != "moved":
        raise LookupError(gettext("There is no such move, or it was taken back already."))
    done = job.result["done"]
    imp = Import.objects.get(workspace=workspace, pk=done["import"])
    asking.take_back(workspace, job)
    left = imports.undo(imp, tell)
    StoredTemplate.objects.filter(workspace=workspace, pk__in=list(done["templates"].values())).delete()
    for one in List.objects.filter(workspace=workspace, pk__in=done["lists"]):
        with contextlib.suppress(lists.ListProblem):  # something was built on it since
            lists.remove(one, by="member", actor_id=imp.member_id)
    for prop in Property.objects.filter(workspace=workspace, pk__in=done["properties"]):
        with contextlib.suppress(fields.FieldProblem):  # somebody has a value by now
            fields.delete(prop, actor_id=imp.member_id)
    Job.objects.filter(pk=job.pk).update(result=job.result | {"state": "undone"})
    note(workspace, "member", "move.undone", imp, actor_id=imp.member_id)
    return left


# ---- the import


def _received(workspace: Workspace, found: Found, member_id: int | None) -> Import:
    columns = found.columns
    with tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="utf-8", newline="") as file:
        write = csv.writer(file).writerow
        write([*_HOUSE, *(f"value {name}" for name in columns)])
        for one in found.people.values():
            tags = ";".join(sorted(tag.replace(";", ",")[:60] for tag in one.tags))
            proof = one.since and one.proof and not one.refusal
            house = [one.email, one.language, one.time_zone, tags, *((one.since, one.proof) if proof else ("", ""))]
            write([*house, *(one.values.get(name, "") for name in columns)])
        file.flush()
        return imports.receive(workspace, Path(file.name), f"{found.origin}.csv", member_id)


def _proposed(workspace: Workspace, name: str, known: dict[str, Property]) -> str:
    """The property that is meant by this name: by its key or label, or as other services call it."""
    if name == names.FULL_NAME:
        return name
    from envol.contacts.imports.mapping import _ALIKE, plain

    wanted = plain(name)
    for key, one in known.items():
        if wanted in (plain(key), plain(one.label_fr), plain(one.label_en)):
            return key
    group = next((group for group in _ALIKE if wanted in group), set())
    return next((key for key in known if plain(key) in group), "")


def _key(name: str, taken: set[str]) -> str:
    """A key of our catalogue for a name of theirs."""
    key = re.sub(r"[^a-z0-9]+", "_", names.key_of(name)).strip("_")[:56] or "value"
    key = key if key[0].isalpha() else f"p_{key}"
    while key in taken or key in catalogue.RESERVED:
        key += "_"
    return key


def _mapping(columns: dict[str, str], known: set[str]) -> dict[str, str]:
    there = {f"value {name}": f"property:{key}" if key in known else "skip" for name, key in columns.items()}
    seen: set[str] = set()
    for column, target in there.items():  # two of theirs that are one of ours: the first counts
        if target != "skip" and target in seen:
            there[column] = "skip"
        seen.add(target)
    return _HOUSE | there


def _permission(workspace: Workspace, found: Found, purpose: str) -> dict[str, Any]:
    if not purpose or not any(one.since and one.proof for one in found.people.values()):
        return {}
    wanted = purposes.get(workspace, purpose)
    return {
        "purpose": wanted.key,
        "basis": "consent",
        "source": found.origin,
        "text_version": purposes.text(wanted, workspace.language).version,
        "language": workspace.language,
        "evidence": {"kind": "legacy"},
    }


# ---- what people refused


def _pieces(addresses: Iterable[str]) -> Iterator[Sequence[str]]:
    """Normalised addresses, some thousands at a time; what is none is among the import's refused lines."""
    found: set[str] = set()
    for written in addresses:
        with contextlib.suppress(AddressError):
            found.add(normalise(written).key)
    keys = sorted(found)
    for place in range(0, len(keys), _AT_ONCE):
        yield keys[place : place + _AT_ONCE]


def _refuse(workspace: Workspace, found: Found) -> dict[str, int]:
    written: dict[str, int] = defaultdict(int)
    with transaction.atomic():
        for why in REFUSALS:
            for keys in _pieces(one.email for one in found.people.values() if one.refusal == why):
                cause = f"moved in from {found.origin}"
                written[why] += suppression.add_many(workspace.pk, keys, SCOPES[why], why, cause)
    return dict(written)
