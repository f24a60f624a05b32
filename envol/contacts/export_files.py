"""People on their way out as a file: written by a job, kept for a day, taken by who may see whole addresses.

Beside each file lie the ids it holds, so that the erasure of a person takes away exactly the files she is in. The
file of an advertising platform holds nothing but SHA-256 digests of the addresses of people who agreed to that.
"""

from __future__ import annotations

import os
import secrets
from array import array
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import translation
from django.utils.translation import gettext as _

from envol import disk
from envol.accounts.journal import note
from envol.accounts.models import Member, Role, Workspace
from envol.consent import partners, transfers
from envol.consent.models import Partner, Purpose
from envol.consent.purposes import AD_MATCHING, ASKED_ONCE, UNSENT
from envol.contacts import catalogue, exports, filters
from envol.contacts.export_kinds import TELL, WRITERS, Tell, purpose_of
from envol.contacts.filters import Filter
from envol.contacts.models import Export
from envol.db import execute, rows
from envol.events.writing import request_mail

KINDS = ("csv", "xlsx", "parquet", "hashed")
KEPT = timedelta(hours=24)
"""A file of people that lies about is a breach to come (GDPR art. 5(1)(e), 32): who needs it again asks again."""
MOST_ROWS = 1_048_575
"""Rows of a sheet beside its header: what spreadsheets take."""
_LOCK = "hashtext('envol contacts export')"


class ExportProblem(ValueError):
    """This file cannot be made; the sentence says what to do."""


def folder() -> Path:
    """Where files wait to be taken, readable by nobody else."""
    path = Path(settings.ENVOL.data) / "exports"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def prepare(
    workspace: Workspace,
    chosen: Filter,
    kind: str,
    columns: Sequence[str] = (),
    *,
    purpose: Purpose | None = None,
    partner: Partner | None = None,
    reason: str = "",
    name: str = "",
    language: str = "fr",
    member_id: int | None = None,
) -> Export:
    """Check what is wanted and write it down; no file is made yet. Raises ExportProblem.

    ``purpose``: what the file is for; it holds whom and what may serve that. ``reason``: what it is for when that is
    no purpose people were asked for (a backup, a move, an authority); then it is whole, and the reason is kept.
    ``partner``: to whom the file goes, with a reason too; it holds whose agreement names that partner, and nobody else.
    """
    if kind not in KINDS:
        raise ExportProblem(_("Choose what kind of file it shall be."))
    try:
        filters.where(workspace, chosen)
    except filters.FilterProblem as error:
        raise ExportProblem(str(error)) from None
    reason = " ".join(reason.split())[:300]
    if kind == "hashed":
        purpose, reason = ad_purpose(workspace), ""
        if purpose is None:
            raise ExportProblem(
                _("Nobody was asked for this yet: add the purpose “Targeted advertising” on the page of consent.")
            )
        worst = transfers.of_kind(workspace, "ads")
        if worst is not None and worst[1].colour == transfers.RED:
            said = _("No file is made for an advertising platform while %(name)s is among the processors: %(why)s")
            raise ExportProblem(said % {"name": worst[0].name, "why": worst[1].why})
        columns = ("sha256",)
        partner = None
    else:
        if partner is not None:
            purpose = partner.purpose
            if why := partners.barred(partner):
                raise ExportProblem(why)
            if not reason:
                raise ExportProblem(_("Say why the partner gets this file: the journal keeps it."))
        if purpose is None and not reason:
            raise ExportProblem(_("Say what the file is for: a purpose, or the reason why it has to be whole."))
        columns = [one for one in exports.columns_of(workspace, sensitive=True) if one in set(columns)]
        if not columns:
            raise ExportProblem(_("Choose at least one column."))
        columns = serving(workspace, columns, purpose)
        if not columns:
            raise ExportProblem(_("None of these columns may serve this purpose: choose others."))
    return Export.objects.create(
        workspace=workspace,
        name=name[:200],
        kind=kind,
        chosen=chosen.to_json(),
        columns=list(columns),
        purpose_id=purpose.pk if purpose else None,
        partner_id=partner.pk if partner else None,
        reason="" if purpose and not partner else reason,
        language="fr" if language.startswith("fr") else "en",
        member_id=member_id,
    )


def purposes_for(workspace: Workspace) -> QuerySet[Purpose]:
    """What a file with columns may be made for: what people are written to for, or agreed that it is done."""
    out = (*UNSENT, ASKED_ONCE)
    return Purpose.objects.filter(workspace=workspace).exclude(kind="measuring").exclude(key__in=out).order_by("bit")


def serving(workspace: Workspace, columns: Sequence[str], purpose: Purpose | None) -> list[str]:
    """Of these columns those that may serve any purpose at all; the cells of each person are judged by `exports.gated`.
    Without a purpose all of them."""
    if purpose is None:
        return list(columns)
    barred = {f"property:{one.key}" for one in catalogue.of(workspace).values() if one.personal and not one.purposes}
    return [one for one in columns if one not in barred]


def partner_of(export: Export) -> Partner | None:
    return (
        Partner.objects.select_related("purpose", "workspace").get(workspace=export.workspace, pk=export.partner_id)
        if export.partner_id
        else None
    )


def needs_approval(workspace: Workspace, people: int, member_id: int | None) -> bool:
    """Must another owner agree before a file of so many people is made (GDPR art. 32(1))?

    An owner who is alone has nobody to ask; what she does is in the journal.
    """
    most = settings.ENVOL.export_approval
    return 0 < most < people and approvers(workspace, member_id).exists()


def approvers(workspace: Workspace, member_id: int | None) -> QuerySet[Member]:
    """The owners who may agree to what this member asks for: all but herself."""
    owners = Member.objects.filter(workspace=workspace, role=Role.OWNER, user__is_active=True).select_related("user")
    return owners.exclude(pk=member_id or 0)


def ask(export: Export, people: int, link: str) -> None:
    """It waits for the yes of another owner; each of them is written to."""
    with transaction.atomic():
        Export.objects.filter(pk=export.pk).update(state="asked", people=people)
        for owner in approvers(export.workspace, export.member_id):
            with translation.override(owner.user.language):
                text = _(
                    "Somebody wants to take %(people)s people of %(workspace)s along as a file (%(name)s). So many"
                    " leave only when a second person agrees.\n\nLook at it, and agree or refuse:\n%(link)s\n"
                ) % {"people": people, "workspace": export.workspace.title, "name": export.name, "link": link}
                facts = {"subject": _("A file of people waits for your yes"), "text": text}
            request_mail(
                "approval",
                owner.user.email,
                facts,
                workspace_id=export.workspace.pk,
                language=owner.user.language,
            )


def decide(export: Export, owner: Member, agreed: bool) -> None:
    """Another owner agrees or refuses, once. Raises ExportProblem."""
    if not approvers(export.workspace, export.member_id).filter(pk=owner.pk).exists():
        raise ExportProblem(_("Another owner decides on this: nobody agrees to what she asks for herself."))
    with transaction.atomic():
        then = {"state": "waiting", "approved_by": owner.pk} if agreed else {"state": "refused", "people": 0}
        if not Export.objects.filter(pk=export.pk, state="asked").update(**then):
            raise ExportProblem(_("Somebody decided on this already; nothing was changed."))
        note(
            export.workspace,
            "member",
            "export.approved" if agreed else "export.refused",
            export,
            actor_id=owner.pk,
            people=export.people,
        )


def ad_purpose(workspace: Workspace) -> Purpose | None:
    return Purpose.objects.filter(workspace=workspace, key=AD_MATCHING).first()


def people_of(
    workspace: Workspace, chosen: Filter, kind: str, purpose: Purpose | None = None, partner: Partner | None = None
) -> array[int]:
    """Ids in order, without those whose data must not be used (art. 18), and of a purpose whom its gates let through.
    For a platform only by consent; for a partner only by consent to words that name it."""
    found = filters.served(workspace, chosen, purpose) if purpose else filters.where(workspace, chosen)
    query, params = found.usable, dict(found.params)
    if partner is not None:
        query, params["partner"] = f"{query} AND {partners.COVERED_SQL.format('c')}", partner.pk
    ids = array("q", (row[0] for row in rows(f"{query} ORDER BY c.id", params)))
    if kind != "hashed":
        return ids
    purpose = ad_purpose(workspace)
    if purpose is None:
        return array("q")
    may = filters.where(workspace, Filter(permission=f"{purpose.key}.yes"))
    agreed = {
        row[0]
        for row in rows(
            f"{may.select} AND EXISTS (SELECT FROM consent_permission p WHERE p.workspace_id = c.workspace_id"
            " AND p.contact_id = c.id AND p.purpose_id = %(agreed)s AND p.state = 'granted' AND p.basis = 'consent'"
            " AND p.until IS NULL)",
            {**may.params, "agreed": purpose.pk},
        )
    }
    return array("q", (one for one in ids if one in agreed))


def write(export: Export, progress: Tell | None = None) -> dict[str, Any]:
    """Make the file; {"people", "size"}. Taken up again after a kill it is made anew. Raises ExportProblem."""
    tell = progress or (lambda done, total, step: None)
    try:
        disk.refuse_when_full()
    except disk.Full as full:
        raise ExportProblem(str(full)) from None
    _unlink(export.path)
    workspace, place = export.workspace, folder() / secrets.token_hex(16)
    export.path = f"exports/{place.name}"
    with transaction.atomic():
        # Erasures under way end first; those to come find this file, be it finished or not.
        execute(f"SELECT pg_advisory_xact_lock({_LOCK}, %s)", [workspace.pk])
        Export.objects.filter(pk=export.pk).update(path=export.path, state="running")
    try:
        purpose, partner = purpose_of(export), partner_of(export)
        if partner is not None and (why := partners.barred(partner)):
            raise ExportProblem(why)
        chosen = people_of(workspace, Filter.of(export.chosen), export.kind, purpose, partner)
        if export.kind == "xlsx" and len(chosen) > MOST_ROWS:
            raise ExportProblem(_("A spreadsheet ends after a million rows: choose CSV or Parquet."))
        if export.approved_by is None and needs_approval(workspace, len(chosen), export.member_id):
            raise ExportProblem(_("More people are meant now than leave without a second yes: ask for the file again."))
        made = place.with_suffix(".new")
        with open(_opened(made), "wb") as ids:
            chosen.tofile(ids)
        made.rename(place.with_suffix(".ids"))
        os.close(_opened(place))
        facts = {"people": len(chosen), "size": 0}
        WRITERS[export.kind](export, chosen, place, tell)
        with suppress(FileNotFoundError):
            facts["size"] = place.stat().st_size
        if partner is not None:
            _hand(partner, chosen)
        now = datetime.now(UTC)
        done = Export.objects.filter(pk=export.pk, state="running").update(
            state="done", **facts, ended_at=now, until=now + KEPT
        )
        if not done:
            raise ExportProblem(_("Somebody it held was erased while it was written: export again."))
    except BaseException as error:
        _unlink(f"exports/{place.name}")
        state = "failed" if isinstance(error, Exception) and not _stopped(error) else "cancelled"
        Export.objects.filter(pk=export.pk, state__in=["waiting", "running"]).update(
            state=state, path="", ended_at=datetime.now(UTC)
        )
        raise
    export.refresh_from_db()
    return facts


def _hand(partner: Partner, chosen: array[int]) -> None:
    """Who was given to whom is known before anybody can take the file."""
    for start in range(0, len(chosen), TELL):
        some = list(chosen[start : start + TELL])
        found = rows("SELECT id, email_key FROM contacts_contact WHERE id = ANY(%s) ORDER BY id", [some])
        partners.hand(partner, [(number, key) for number, key in found])


def _stopped(error: BaseException) -> bool:
    from envol.accounts.jobs import Cancelled

    return isinstance(error, Cancelled)


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


# -- taking, removing, forgetting --------------------------------------------------------------


def file_of(export: Export) -> Path | None:
    """The file, while it waits; None when it is not made yet or gone."""
    path = Path(settings.ENVOL.data) / export.path
    waits = export.state == "done" and export.until is not None and export.until > datetime.now(UTC)
    if waits and export.partner_id and export.ended_at:  # whoever said no meanwhile does not leave with the others
        waits = not partners.withdrawn_since(export.partner_id, export.ended_at)
    return path if waits and export.path and path.is_file() else None


def remove(export: Export, why: str = "removed", *, actor_id: int | None = None) -> None:
    """Take the file away; the line about it stays."""
    _unlink(export.path)
    Export.objects.filter(pk=export.pk).update(state="gone", why=why, path="")
    if actor_id is not None:
        note(export.workspace, "member", "export.removed", export, actor_id=actor_id)


def sweep() -> int:
    """Files that waited long enough go, and what no line knows (a killed job's); how many lines."""
    old = Export.objects.filter(state="done", until__lte=datetime.now(UTC))
    for export in old:
        remove(export, "kept")
    known = set(Export.objects.exclude(path="").values_list("path", flat=True))
    yesterday = datetime.now(UTC).timestamp() - 86_400
    for file in folder().iterdir():
        if f"exports/{file.stem}" not in known and file.stat().st_mtime < yesterday:
            file.unlink(missing_ok=True)
    return len(old)


def forget(workspace_id: int, contact_id: int) -> int:
    """Files that hold this person go, once her erasure is committed; how many."""
    execute(f"SELECT pg_advisory_xact_lock_shared({_LOCK}, %s)", [workspace_id])
    mine = Export.objects.filter(workspace_id=workspace_id, state__in=["running", "done"]).exclude(path="")
    held = [export for export in mine.select_for_update() if _holds(export.path, contact_id)]
    for export in held:
        Export.objects.filter(pk=export.pk).update(state="gone", why="erased", path="")
        transaction.on_commit(lambda path=export.path: _unlink(path))  # type: ignore[misc]
    return len(held)


def _holds(path: str, contact_id: int) -> bool:
    """Is this id among those beside the file? They are sorted. While they are not written yet, it may be."""
    size = 8
    try:
        with open((Path(settings.ENVOL.data) / path).with_suffix(".ids"), "rb") as ids:
            low, high = 0, os.fstat(ids.fileno()).st_size // size
            while low < high:
                middle = (low + high) // 2
                ids.seek(middle * size)
                found = array("q", ids.read(size))[0]
                if found == contact_id:
                    return True
                low, high = (middle + 1, high) if found < contact_id else (low, middle)
    except OSError:
        return True
    return False


def _unlink(path: str) -> None:
    if path:
        place = Path(settings.ENVOL.data) / path
        for one in (place, place.with_suffix(".ids"), place.with_suffix(".new")):
            with suppress(OSError):
                one.unlink()
