"""Everything that shows compliance, in one zip that opens without Envol: an index in HTML, records, contracts, words,
assessments, the register of breaches, and the ledger with the program that verifies it (GDPR art. 5(2)).
"""

from __future__ import annotations

import csv
import io
import json
import secrets
import tempfile
import zipfile
from collections.abc import Callable
from datetime import timedelta
from html import escape
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from envol import disk
from envol.accounts.models import Workspace
from envol.consent import breaches, data_map, demands, pack, record, six_steps, transfers
from envol.consent.models import Assessment, Breach, PolicyVersion, Processor, PurposeText
from envol.consent.paper import Paper

KEPT = timedelta(days=7)
_PAGE = (
    '<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title><style>'
    "body{{font:16px/1.55 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#17212b}}"
    "td,th{{text-align:start;padding:.3rem .8rem .3rem 0;vertical-align:top}}li{{margin:.3rem 0}}"
    "</style></head><body>{body}</body></html>"
)


def folder() -> Path:
    """Where packs wait to be taken, readable by nobody else."""
    path = Path(settings.ENVOL.data) / "evidence"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def write(workspace: Workspace, language: str, tell: Callable[[int, int], None] | None = None) -> Path:
    """Make the pack; where it lies. Raises disk.Full."""
    disk.refuse_when_full()
    sweep()
    place = folder() / f"{workspace.pk}-{secrets.token_hex(16)}.zip"
    making = place.with_suffix(".part")
    with translation.override(language), zipfile.ZipFile(making, "w", zipfile.ZIP_DEFLATED) as out:
        parts = _parts(workspace)
        index = []
        for no, (name, words, content) in enumerate(parts):
            if tell:
                tell(no, len(parts))
            made = content()
            if made is None:
                continue
            for file, body in made.items():
                out.writestr(f"{name}/{file}", body)
            index.append((name, words, sorted(made)))
        with tempfile.TemporaryDirectory(dir=folder()) as scratch:
            ledger = Path(scratch) / "ledger.zip"
            pack.write(workspace, ledger)
            out.write(ledger, "ledger/ledger.zip")
        index.append(("ledger", _("Ledger of permissions, with the program that verifies it"), ["ledger.zip"]))
        out.writestr("index.html", _index(workspace, index, language))
    making.chmod(0o600)
    making.rename(place)
    return place


def file_of(workspace: Workspace, name: str) -> Path | None:
    """A pack of this workspace that still waits."""
    path = folder() / Path(name).name
    mine = path.name.startswith(f"{workspace.pk}-") and path.suffix == ".zip"
    return path if mine and path.is_file() else None


def sweep() -> int:
    """Packs older than a week go; how many."""
    oldest = timezone.now().timestamp() - KEPT.total_seconds()
    old = [one for one in folder().glob("*.*") if one.is_file() and one.stat().st_mtime < oldest]
    for one in old:
        one.unlink(missing_ok=True)
    return len(old)


_Files = dict[str, str | bytes]


def _parts(workspace: Workspace) -> list[tuple[str, str, Callable[[], _Files | None]]]:
    return [
        ("record", _("Records of processing activities (art. 30)"), lambda: _record(workspace)),
        ("map", _("Data map"), lambda: {"map.json": _json(data_map.as_values(data_map.draw(workspace)))}),
        ("processors", _("Processors, verdicts on transfers, contracts (art. 28, 44)"), lambda: _processors(workspace)),
        ("words", _("Words that people agreed to, by version (art. 7)"), lambda: _words(workspace)),
        ("notices", _("Notices, policies and terms, by version (art. 13, 14)"), lambda: _notices(workspace)),
        ("assessments", _("Assessments (art. 6(1)(f), 35)"), lambda: _assessments(workspace)),
        ("breaches", _("Register of breaches (art. 33(5))"), lambda: _breaches(workspace)),
        ("demands", _("Demands of foreign authorities (art. 48)"), lambda: _demands(workspace)),
        ("steps", _("The six steps"), lambda: _steps(workspace)),
    ]


def _json(found: Any) -> str:
    return json.dumps(found, ensure_ascii=False, indent=1, default=str)


def _csv(columns: Any, lines: Any) -> str:
    out = io.StringIO()
    written = csv.writer(out, delimiter=";")
    written.writerow([str(one) for one in columns])
    written.writerows(lines)
    return "\ufeff" + out.getvalue()


def _record(workspace: Workspace) -> _Files:
    found: _Files = {}
    for name, columns, lines in (
        ("controller", record.COLUMNS, record.activities(workspace)),
        ("processor", record.PROCESSOR_COLUMNS, record.served(workspace)),
    ):
        if not lines:
            continue
        found[f"{name}.csv"] = _csv(columns, lines)
        paper = Paper(_("Records of processing activities"), wide=True, language=record.language())
        paper.facts([(one.label, one.text) for one in record.head(workspace)])
        paper.table([str(one) for one in columns], lines)
        found[f"{name}.pdf"] = paper.write()
    return found


def _processors(workspace: Workspace) -> _Files:
    found: _Files = {}
    register = []
    for one in Processor.objects.filter(workspace=workspace).order_by("id"):
        verdict = transfers.judge(one)
        fields = {f.name: getattr(one, f.name) for f in one._meta.fields if f.name not in ("dpa", "workspace")}
        register.append({**fields, "verdict": verdict.colour, "why": verdict.why})
        if one.dpa:
            found[f"contract-{one.pk}.pdf"] = bytes(one.dpa)
    return {"register.json": _json(register), "decisions.json": _json(transfers.table()), **found}


def _words(workspace: Workspace) -> _Files:
    texts = PurposeText.objects.filter(purpose__workspace=workspace).select_related("purpose").order_by("id")
    said = [
        {"purpose": one.purpose.key, "version": one.version, "language": one.language, "text": one.text,
         "sha256": bytes(one.sha256).hex(), "since": one.created_at}
        for one in texts
    ]  # fmt: skip
    return {"words.json": _json(said)}


def _notices(workspace: Workspace) -> _Files | None:
    found = PolicyVersion.objects.filter(workspace=workspace).order_by("kind", "no")
    said = [
        {"kind": one.kind, "version": one.no, "texts": one.texts, "short": one.short, "published": one.made_at,
         "binds_on": one.binds_on, "sha256": bytes(one.sha256).hex()}
        for one in found
    ]  # fmt: skip
    return {"notices.json": _json(said)} if said else None


def _assessments(workspace: Workspace) -> _Files | None:
    found = Assessment.objects.filter(workspace=workspace).select_related("purpose").order_by("id")
    said = [
        {"purpose": one.purpose.key, "kind": one.kind, "at": one.at, "outcome": one.outcome, "answers": one.answers}
        for one in found
    ]
    return {"assessments.json": _json(said)} if said else None


def _breaches(workspace: Workspace) -> _Files:
    said = []
    for one in Breach.objects.select_related("workspace").filter(workspace=workspace).order_by("id"):
        state = breaches.state(one)
        lines = [{"at": line.at, "kind": line.kind, "said": line.said} for line in state.lines]
        said.append({"no": one.pk, "title": one.title, "drill": one.drill, "state": state.name, "lines": lines})
    return {"register.json": _json(said)}


def _demands(workspace: Workspace) -> _Files | None:
    said = demands.register(workspace)
    return {"register.json": _json(said)} if said else None


def _steps(workspace: Workspace) -> _Files:
    body = ""
    for step in six_steps.steps(workspace):
        lines = "".join(f"<li>{'✓' if one.done else '✗'} {escape(one.said)}</li>" for one in step.checks)
        body += f"<h2>{step.no}. {escape(step.title)}</h2><ul>{lines}</ul>"
    title = _("The six steps")
    return {"steps.html": _PAGE.format(language=record.language(), title=title, body=f"<h1>{title}</h1>{body}")}


def _index(workspace: Workspace, index: list[tuple[str, str, list[str]]], language: str) -> str:
    title = _("Evidence pack of %(name)s") % {"name": workspace.title}
    day = date_format(workspace.today(), "DATE_FORMAT")
    rows = ""
    for name, words, files in index:
        links = "<br>".join(f'<a href="{name}/{file}">{escape(file)}</a>' for file in files)
        rows += f"<tr><th>{escape(words)}</th><td>{links}</td></tr>"
    head = "".join(
        f"<tr><th>{escape(one.label)}</th><td>{escape(one.text)}</td></tr>" for one in record.head(workspace)
    )
    made = escape(_("As of %(day)s") % {"day": day})
    verify = escape(_("Unpack ledger.zip and run: python3 verify.py ledger.zip. It needs no other program."))
    body = f"<h1>{escape(title)}</h1><p>{made}</p><table>{head}</table><table>{rows}</table><p>{verify}</p>"
    return _PAGE.format(language=language[:2], title=escape(title), body=body)
