"""People on their way out as a file: written by a job, kept for a week, taken by who may see whole addresses.

Beside each file lie the ids it holds, so that the erasure of a person takes away exactly the files she is in. The
file of an advertising platform holds nothing but SHA-256 digests of the addresses of people who agreed to that.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
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
from envol.consent import transfers
from envol.consent.models import Purpose
from envol.consent.purposes import AD_MATCHING, ASKED_ONCE
from envol.contacts import catalogue, exports, filters
from envol.contacts.exports import csv_rows, persons
from envol.contacts.filters import Filter
from envol.contacts.models import Export
from envol.db import execute, rows
from envol.events.writing import request_mail

KINDS = ("csv", "xlsx", "parquet", "hashed")
KEPT = timedelta(days=7)
MOST_ROWS = 1_048_575
"""Rows of a sheet beside its header: what spreadsheets take."""
_TELL = 2_000
_LOCK = "hashtext('envol contacts export')"

Tell = Callable[[int, int | None, str], None]


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
    reason: str = "",
    name: str = "",
    language: str = "fr",
    member_id: int | None = None,
) -> Export:
    """Check what is wanted and write it down; no file is made yet. Raises ExportProblem.

    ``purpose``: what the file is for; it holds whom and what may serve that. ``reason``: what it is for when that is
    no purpose people were asked for (a backup, a move, an authority); then it is whole, and the reason is kept.
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
    else:
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
        reason="" if purpose else reason,
        language="fr" if language.startswith("fr") else "en",
        member_id=member_id,
    )


def purposes_for(workspace: Workspace) -> QuerySet[Purpose]:
    """What a file with columns may be made for: what people are written to for, or agreed that it is done."""
    return (
        Purpose.objects.filter(workspace=workspace)
        .exclude(kind="measuring")
        .exclude(key__in=(AD_MATCHING, ASKED_ONCE))
        .order_by("bit")
    )


def serving(workspace: Workspace, columns: Sequence[str], purpose: Purpose | None) -> list[str]:
    """Of these columns those that may serve any purpose at all; the cells of each person are judged by `exports.gated`.
    Without a purpose all of them."""
    if purpose is None:
        return list(columns)
    barred = {f"property:{one.key}" for one in catalogue.of(workspace).values() if one.personal and not one.purposes}
    return [one for one in columns if one not in barred]


def purpose_of(export: Export) -> Purpose | None:
    return Purpose.objects.get(workspace=export.workspace, pk=export.purpose_id) if export.purpose_id else None


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


def people_of(workspace: Workspace, chosen: Filter, kind: str, purpose: Purpose | None = None) -> array[int]:
    """Ids in order, without those whose data must not be used (art. 18), and of a purpose whom its gates let through.
    For a platform only by consent."""
    found = filters.served(workspace, chosen, purpose) if purpose else filters.where(workspace, chosen)
    ids = array("q", (row[0] for row in rows(f"{found.usable} ORDER BY c.id", found.params)))
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
        purpose = purpose_of(export)
        chosen = people_of(workspace, Filter.of(export.chosen), export.kind, purpose)
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
        _WRITERS[export.kind](export, chosen, place, tell)
        with suppress(FileNotFoundError):
            facts["size"] = place.stat().st_size
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


def _stopped(error: BaseException) -> bool:
    from envol.accounts.jobs import Cancelled

    return isinstance(error, Cancelled)


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


# -- kinds of files ----------------------------------------------------------------------------


def _batches(export: Export, chosen: array[int], tell: Tell) -> Iterator[list[dict[str, Any]]]:
    done = 0
    for some in persons(export.workspace, chosen):
        yield some
        done += _TELL
        tell(min(done, len(chosen)), len(chosen), "writing")


def _csv(export: Export, chosen: array[int], place: Path, tell: Tell) -> None:
    pieces = csv_rows(
        export.workspace,
        ("SELECT unnest(%s::bigint[])", [list(chosen)]),
        columns=export.columns,
        language=export.language,
        delimiter=";" if export.language == "fr" else ",",  # what spreadsheets of that language expect
        bom=True,
        purpose=purpose_of(export),
    )
    with open(place, "w", encoding="utf-8", newline="") as out:
        for n, piece in enumerate(pieces):
            out.write(piece)
            tell(min(n * _TELL, len(chosen)), len(chosen), "writing")


def _hashed(export: Export, chosen: array[int], place: Path, tell: Tell) -> None:
    with open(place, "w", encoding="ascii", newline="") as out:
        out.write("email_sha256\r\n")
        for some in _batches(export, chosen, tell):
            out.writelines(hashlib.sha256(person["key"].encode()).hexdigest() + "\r\n" for person in some)


def _columns(export: Export) -> list[tuple[str, str, Callable[[dict[str, Any]], Any]]]:
    """Title, type (text, number, money, boolean, date, moment, list) and maker of each column."""
    properties = catalogue.of(export.workspace)
    purposes = {p.key: p for p in Purpose.objects.filter(workspace=export.workspace)}
    purpose = purpose_of(export)
    found: list[tuple[str, str, Callable[[dict[str, Any]], Any]]] = []
    for name in export.columns:
        title = exports.title(name, properties, purposes, export.language)
        _kind, _colon, key = name.partition(":")
        if name == "created_at":
            found.append((title, "moment", lambda person: person["created_at"]))
        elif name == "tags":
            found.append((title, "list", lambda person: person["tags"]))
        elif name.startswith("property:") and key in properties:
            type_ = properties[key].type
            kept = type_ if type_ in ("number", "money", "boolean", "date", "list") else "text"
            made = _typed(name, key, kept, properties)
            found.append((title, kept, exports.gated(made, properties[key], purpose, None)))
        else:
            found.append((title, "text", exports.maker(name, properties, purposes)))
    return found


def _typed(name: str, key: str, kept: str, properties: Any) -> Callable[[dict[str, Any]], Any]:
    shown = exports.maker(name, properties, {})

    def made(person: dict[str, Any]) -> Any:
        value = person["props"].get(key)
        if value is None:
            return None
        if kept == "date":
            try:
                return date.fromisoformat(value)
            except (TypeError, ValueError):
                return None
        if kept in ("number", "money"):
            return value if isinstance(value, int | float) and not isinstance(value, bool) else None
        if kept == "boolean":
            return value if isinstance(value, bool) else None
        return value if kept == "list" else shown(person) or None

    return made


def _xlsx(export: Export, chosen: array[int], place: Path, tell: Tell) -> None:
    import xlsxwriter

    # Texts are written as texts: no cell is a formula or a link, whatever it says.
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "tmpdir": str(folder())}
    with xlsxwriter.Workbook(str(place), options) as book:
        sheet = book.add_worksheet()
        formats = {
            "date": book.add_format({"num_format": "yyyy-mm-dd"}),
            "moment": book.add_format({"num_format": "yyyy-mm-dd hh:mm"}),
            "money": book.add_format({"num_format": "#,##0.00"}),
        }
        columns = _columns(export)
        head = book.add_format({"bold": True})
        for at, (title, type_, _make) in enumerate(columns):
            sheet.set_column(at, at, 30 if type_ == "text" else 16)
            sheet.write_string(0, at, title, head)
        sheet.freeze_panes(1, 0)
        line = 0
        for some in _batches(export, chosen, tell):
            for person in some:
                line += 1
                for at, (_title, type_, make) in enumerate(columns):
                    value = make(person)
                    if value is None or value == "":
                        continue
                    match type_:
                        case "number":
                            sheet.write_number(line, at, value)
                        case "money":
                            sheet.write_number(line, at, value / 100, formats["money"])
                        case "boolean":
                            sheet.write_boolean(line, at, value)
                        case "date" if value.year >= 1900:
                            sheet.write_datetime(line, at, datetime.combine(value, time()), formats["date"])
                        case "moment":
                            utc = value.astimezone(UTC).replace(tzinfo=None)
                            sheet.write_datetime(line, at, utc, formats["moment"])
                        case "list":
                            sheet.write_string(line, at, ";".join(map(str, value)))
                        case _:
                            sheet.write_string(line, at, str(value))
        sheet.autofilter(0, 0, max(line, 1), len(columns) - 1)


def _parquet(export: Export, chosen: array[int], place: Path, tell: Tell) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "text": pa.string(), "number": pa.float64(), "money": pa.decimal128(18, 2), "boolean": pa.bool_(),
        "date": pa.date32(), "moment": pa.timestamp("us", tz="UTC"), "list": pa.list_(pa.string()),
    }  # fmt: skip
    columns = _columns(export)
    names: list[str] = []
    for at, (title, _type, _make) in enumerate(columns):
        names.append(title if title not in names else export.columns[at])
    schema = pa.schema([(name, types[type_]) for name, (_title, type_, _make) in zip(names, columns, strict=True)])
    with pq.ParquetWriter(str(place), schema, compression="zstd") as out:
        for some in _batches(export, chosen, tell):
            arrays = [
                pa.array([_arrow(make(person), type_) for person in some], types[type_])
                for _title, type_, make in columns
            ]
            out.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _arrow(value: Any, type_: str) -> Any:
    from decimal import Decimal

    if value is None:
        return None
    if type_ == "money":
        return Decimal(int(value)).scaleb(-2)
    return [str(one) for one in value] if type_ == "list" else value


_WRITERS = {"csv": _csv, "xlsx": _xlsx, "parquet": _parquet, "hashed": _hashed}


# -- taking, removing, forgetting --------------------------------------------------------------


def file_of(export: Export) -> Path | None:
    """The file, while it waits; None when it is not made yet or gone."""
    path = Path(settings.ENVOL.data) / export.path
    waits = export.state == "done" and export.until is not None and export.until > datetime.now(UTC)
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
