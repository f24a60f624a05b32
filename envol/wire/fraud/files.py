"""What is attached, by content and not by name: programs, macros, pages that ask for passwords. Bounded everywhere."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass

MOST_DEPTH = 3
MOST_ENTRIES = 1000
MOST_UNPACKED = 32 << 20  # octets taken out of one attachment, all its entries together

_PROGRAMS = (
    b"MZ",
    b"\x7fELF",
    b"\xca\xfe\xba\xbe",
    b"\xcf\xfa\xed\xfe",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"dex\n",
    b"!<arch>\ndeb",
    b"L\0\0\0\x01\x14\x02\0",
)
_NAMES = re.compile(
    r"(?i)\.(?:exe|scr|com|pif|cpl|dll|sys|bat|cmd|ps1|psm1|vbs|vbe|js|jse|wsf|wsh|hta|lnk|msi|msp|jar|apk|app|dmg|pkg|iso|img|vhdx?"
    r"|reg|inf|scf|url|chm|appx|msix|xll|application|desktop|library-ms|search-ms|settingcontent-ms|one|sh|bash|deb|rpm)\s*$"
)
_MACRO_NAMES = re.compile(r"(?i)\.(?:docm|dotm|xlsm|xltm|xlam|xlsb|pptm|potm|ppam|ppsm|sldm)\s*$")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_MACRO = (b"_\0V\0B\0A\0", b"M\0a\0c\0r\0o\0s\0", b"V\0B\0A\0\0")
_ISO = (0x8001, b"CD001")


@dataclass(frozen=True, slots=True)
class Finding:
    """rule: program, macro, locked, bomb, archive, page, script; name: of the file, with the archives around it."""

    rule: str
    name: str


_DOWNLOADS = re.compile(
    r"(?i)/[^/]+\.(?:exe|scr|bat|cmd|ps1|vbs|vbe|jse|wsf|hta|lnk|msi|jar|apk|dmg|pkg|iso|img|xll|msix|appx)$"
)


def is_program_name(path: str) -> bool:
    """Does an address of the web end as programs do?"""
    return bool(_DOWNLOADS.search(path))


@dataclass(slots=True)
class _Budget:
    entries: int = MOST_ENTRIES
    octets: int = MOST_UNPACKED


def look(name: str, content: bytes) -> list[Finding]:
    """What is dangerous in an attachment; nothing for what is not."""
    return _look(name or "?", content, 0, _Budget())


def _look(name: str, content: bytes, depth: int, budget: _Budget) -> list[Finding]:
    head = content[:16]
    if head.startswith(_PROGRAMS) or (head.startswith(b"#!") and b"/" in content[:40]):
        return [Finding("program", name)]
    if content[_ISO[0] : _ISO[0] + 5] == _ISO[1] or _NAMES.search(name):
        return [Finding("program", name)]
    if head.startswith(b"PK\x03\x04"):
        return _look_into(name, content, depth, budget)
    if head.startswith(_OLE):
        if any(mark in content for mark in _OLE_MACRO):
            return [Finding("macro", name)]
        return [Finding("locked", name)] if "EncryptedPackage".encode("utf-16-le") in content else []
    if _MACRO_NAMES.search(name):
        return [Finding("macro", name)]
    if head.startswith((b"Rar!", b"7z\xbc\xaf", b"MSCF", b"\x60\xea")) or name.lower().endswith(
        (".rar", ".7z", ".ace", ".arj", ".cab")
    ):
        return [Finding("archive", name)]
    if head.startswith(b"{\\rt") and (b"\\objdata" in content or b"\\objupdate" in content):
        return [Finding("macro", name)]
    if head.startswith(b"%PDF"):
        return [Finding("script", name)] if re.search(rb"/(?:JavaScript|JS|Launch|EmbeddedFile)\b", content) else []
    return _look_at_text(name, content)


def _look_at_text(name: str, content: bytes) -> list[Finding]:
    page = name.lower().endswith((".htm", ".html", ".shtml", ".xhtml", ".mht", ".svg", ".xml"))
    start = content[:2048].lstrip().lower()
    if not (page or start.startswith((b"<!doctype html", b"<html", b"<svg", b"<script"))):
        return []
    lower = content[: 4 << 20].lower()
    if re.search(
        rb"type\s*=\s*[\"']?password|<script|javascript:|\bon(?:load|error|click)\s*=|<form|http-equiv\s*=\s*[\"']?refresh",
        lower,
    ):
        return [Finding("page", name)]
    return []


def _look_into(name: str, content: bytes, depth: int, budget: _Budget) -> list[Finding]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        entries = archive.infolist()
    except Exception:  # the library raises a dozen kinds on hostile archives
        return [Finding("archive", name)]  # opens for somebody else, perhaps
    office = any(entry.filename == "[Content_Types].xml" for entry in entries[:MOST_ENTRIES])
    found: list[Finding] = []
    for entry in entries:
        budget.entries -= 1
        inside = f"{name} › {entry.filename[:100]}"
        if budget.entries < 0:
            return [*found, Finding("bomb", name)]
        if entry.is_dir():
            continue
        if entry.filename.lower().endswith("vbaproject.bin"):
            return [Finding("macro", name)]
        if office and "embeddings/" not in entry.filename:
            continue
        if entry.flag_bits & 1:
            found.append(
                Finding(
                    "program" if _NAMES.search(entry.filename) else "locked",
                    inside if _NAMES.search(entry.filename) else name,
                )
            )
            if found[-1].rule == "program":
                return found
            continue
        if _NAMES.search(entry.filename):
            return [Finding("program", inside)]
        if depth >= MOST_DEPTH:
            found.append(Finding("bomb", name))
            break
        if entry.file_size > budget.octets:
            found.append(Finding("bomb", name))
            break
        try:
            with archive.open(entry) as stream:
                part = stream.read(min(entry.file_size, budget.octets) + 1)
        except Exception:  # as above
            found.append(Finding("archive", inside))
            continue
        budget.octets -= len(part)
        if budget.octets < 0:
            found.append(Finding("bomb", name))
            break
        found += _look(inside, part, depth + 1, budget)
        if any(one.rule in ("program", "macro", "bomb") for one in found):
            break
    return found
