"""The ledger as a file that proves itself: blocks, readable lines with their keys, evidence, words, anchors.

A zip of JSON lines with the program that verifies it (`stand_alone.py`, which needs Python alone) and a page that
says what is inside. Erased answers are in it as their commitment only.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.db import transaction

from envol.accounts.models import Workspace
from envol.consent import anchor, chain, ledger
from envol.consent.models import Evidence, Purpose, PurposeText

READ_ME = """Ledger of permissions of {title}
================================================================

head.json        where the chain stands
blocks.jsonl     blocks of commitments, chained by hash: nothing readable
lines.jsonl      what lines say, with their keys; what was erased (GDPR art. 17) is not among them
evidence.jsonl   what proves the answers, each with the digest its lines commit to
texts.jsonl      the words people were shown, by version
purposes.jsonl   what the answers are for
documents/       documents that prove answers
anchors.jsonl    where the chain stood on earlier days, as noted outside the database
verify.py        python3 verify.py THIS.zip    (or the unpacked directory); needs no other program

A line is  envol permission VERSION / workspace / person / purpose / state / ground / microseconds since 1970 / evidence
and its digest / proof,  one below the other. People are numbers here: names and addresses are not in this file.
"""


def write(workspace: Workspace, file: Path) -> dict[str, int]:
    """Write the pack of one workspace; what it holds, counted. Never over a file that exists (FileExistsError)."""
    counts: dict[str, int] = {}
    making = file.with_name(file.name + ".part")
    if file.exists():
        raise FileExistsError(f"{file} exists already; name another file.")
    with zipfile.ZipFile(making, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out, transaction.atomic():
        head = ledger.head(workspace.pk)
        said: dict[str, Any] = {
            "workspace": workspace.pk,
            "title": workspace.title,
            "block": 0,
            "hash": chain.START.hex(),
        }
        if head:
            said |= {"block": head[0], "hash": head[1].hex()}
        out.writestr("head.json", json.dumps(said, ensure_ascii=False))
        out.writestr("README.txt", READ_ME.format(title=workspace.title))
        out.writestr("verify.py", (Path(__file__).parent / "stand_alone.py").read_text("utf-8"))
        most = said["block"]
        documents = _documents(workspace.pk, out)
        for name, lines in (
            ("blocks", (one for one in _blocks(workspace.pk) if one["no"] <= most)),
            ("lines", (one for one in _lines(workspace.pk) if one["block"] <= most)),
            ("evidence", _evidence(workspace.pk, documents)),
            ("texts", _texts(workspace.pk)),
            ("purposes", _purposes(workspace.pk)),
            ("anchors", _anchors(workspace.pk)),
        ):
            counts[name] = _write(out, f"{name}.jsonl", lines)
    making.rename(file)
    return counts


def _write(out: zipfile.ZipFile, name: str, lines: Iterable[dict[str, Any]]) -> int:
    count = 0
    with out.open(name, "w", force_zip64=True) as member:
        for one in lines:
            member.write(json.dumps(one, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
            count += 1
    return count


def _documents(workspace_id: int, out: zipfile.ZipFile) -> dict[int, str]:
    """The documents, each under a name of ours; a zip takes one member at a time, so before the evidence itself."""
    names = {}
    for one in Evidence.objects.filter(workspace_id=workspace_id, document__isnull=False).order_by("pk").iterator(10):
        names[one.pk] = f"documents/{one.pk}{Path(one.document_name).suffix[:10]}"
        out.writestr(names[one.pk], bytes(one.document or b""))
    return names


def _blocks(workspace_id: int) -> Iterator[dict[str, Any]]:
    for no, at, count, leaves, root, before, digest in ledger.blocks(workspace_id):
        yield {
            "no": no,
            "at": chain.micros(at),
            "count": count,
            "previous": before.hex(),
            "root": root.hex(),
            "hash": digest.hex(),
            "leaves": leaves.hex(),
        }


def _lines(workspace_id: int) -> Iterator[dict[str, Any]]:
    for block, leaf, key, message in ledger.payloads(workspace_id):
        yield {"block": block, "leaf": leaf, "key": key.hex(), "payload": message.decode()}


def _evidence(workspace_id: int, documents: dict[int, str]) -> Iterator[dict[str, Any]]:
    found = Evidence.objects.filter(workspace_id=workspace_id).select_related("text").defer("document").order_by("pk")
    for one in found.iterator(1000):
        yield {
            "id": one.pk,
            "octets": one.octets().decode(),
            "seal": bytes(one.seal).hex() if one.seal else None,
            "document": documents.get(one.pk, ""),
        }


def _texts(workspace_id: int) -> Iterator[dict[str, Any]]:
    for one in PurposeText.objects.filter(purpose__workspace_id=workspace_id).order_by("purpose_id", "version", "pk"):
        yield {
            "purpose": one.purpose_id,
            "version": one.version,
            "language": one.language,
            "text": one.text,
            "sha256": bytes(one.sha256).hex(),
            "since": one.created_at.isoformat(),
        }


def _purposes(workspace_id: int) -> Iterator[dict[str, Any]]:
    for one in Purpose.objects.filter(workspace_id=workspace_id).order_by("bit"):
        yield {"id": one.pk, "key": one.key, "kind": one.kind, "fr": one.label_fr, "en": one.label_en}


def _anchors(workspace_id: int) -> Iterator[dict[str, Any]]:
    if anchor.path().exists():
        for one in anchor.read(anchor.path()):
            if one.workspace_id == workspace_id:
                yield one._asdict()
