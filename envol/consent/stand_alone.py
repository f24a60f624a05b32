"""Verify a pack of Envol's consent ledger with Python 3.10 or newer and nothing else.

    python3 verify.py PACK.zip            (or the directory it was unpacked into)
    python3 verify.py PACK.zip --anchors ledger-anchors.jsonl     (a file that was kept elsewhere)

Exit code 0: every block follows the one before, every readable line is the one its block was sealed with, every
evidence, text and document has its digest, and the chain passes through every anchor. 1: something does not; each
fault is one sentence. 2: this is no pack.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

Fault = Callable[[str], None]


class Pack:
    """The files of a pack, zipped or not."""

    def __init__(self, where: str) -> None:
        self.zip = zipfile.ZipFile(where) if zipfile.is_zipfile(where) else None
        self.root = Path(where)

    def octets(self, name: str) -> bytes:
        return self.zip.read(name) if self.zip else (self.root / name).read_bytes()

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        with self.zip.open(name) if self.zip else open(self.root / name, "rb") as source:
            for line in source:
                yield json.loads(line)


def sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def root_of(leaves: bytes) -> bytes:
    """Binary tree of SHA-256; a lone node moves up as it is."""
    level = [leaves[i : i + 32] for i in range(0, len(leaves), 32)]
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [sha256(a + b) for a, b in zip(level[::2], level[1::2], strict=False)] + odd
    return level[0]


def check_blocks(
    pack: Pack, head: dict[str, Any], fault: Fault
) -> tuple[dict[int, tuple[str, int]], dict[int, bytes], int]:
    """The chain itself; hash, number of lines so far, and leaves of each block."""
    known: dict[int, tuple[str, int]] = {}
    leaves_of: dict[int, bytes] = {}
    previous, number, total = bytes(32), 0, 0
    for block in pack.lines("blocks.jsonl"):
        number += 1
        name, leaves = f"Block {block['no']}", bytes.fromhex(block["leaves"])
        if block["no"] != number:
            fault(f"{name}: a block is missing before it, or blocks were reordered.")
            number = block["no"]
        if bytes.fromhex(block["previous"]) != previous:
            fault(f"{name}: it does not follow the block before it.")
        if len(leaves) != 32 * block["count"] or not leaves or root_of(leaves).hex() != block["root"]:
            fault(f"{name}: its lines are not those it was sealed with.")
        said = f"envol ledger 1\n{head['workspace']}\n{block['no']}\n{block['count']}\n{block['at']}\n".encode()
        digest = sha256(said + bytes.fromhex(block["previous"]) + bytes.fromhex(block["root"]))
        if digest.hex() != block["hash"]:
            fault(f"{name}: its number, time, count or root was altered.")
        total += block["count"]
        previous = bytes.fromhex(block["hash"])
        known[block["no"]], leaves_of[block["no"]] = (block["hash"], total), leaves
    if number != head["block"] or (number and previous.hex() != head["hash"]):
        fault("The chain does not end where the pack says: blocks were cut off or added.")
    return known, leaves_of, total


def check_evidence(pack: Pack, fault: Fault) -> dict[str, str | None]:
    """Digests of words, documents and circumstances; the seal by number of evidence."""
    texts: set[str] = set()
    seals: dict[str, str | None] = {}
    for text in pack.lines("texts.jsonl"):
        if sha256(text["text"].encode()).hex() != text["sha256"]:
            fault(f"Text of purpose {text['purpose']}, version {text['version']} ({text['language']}): altered.")
        texts.add(text["sha256"])
    for one in pack.lines("evidence.jsonl"):
        name, said = f"Evidence {one['id']}", json.loads(one["octets"])
        if one["seal"] and sha256(b"envol evidence 1\n" + one["octets"].encode()).hex() != one["seal"]:
            fault(f"{name}: it is not what was sealed.")
        if said["text_sha256"] and said["text_sha256"] not in texts:
            fault(f"{name}: the words it cites are not in the pack.")
        if one["document"] and sha256(pack.octets(one["document"])).hex() != said["document_sha256"]:
            fault(f"{name}: its document was exchanged.")
        seals[str(one["id"])] = one["seal"]
    return seals


def check_lines(pack: Pack, leaves_of: dict[int, bytes], seals: dict[str, str | None], fault: Fault) -> int:
    """Each readable line against its commitment and its evidence; how many there are."""
    seen: set[tuple[int, int]] = set()
    last = (0, -1)
    for line in pack.lines("lines.jsonl"):
        place = (line["block"], line["leaf"])
        name = f"Line {place[1]} of block {place[0]}"
        leaves = leaves_of.get(place[0], b"")
        leaf = leaves[32 * place[1] : 32 * place[1] + 32] if place[1] >= 0 else b""
        if not leaf:
            fault(f"{name}: the ledger has no such line.")
            continue
        if place in seen or place < last:
            fault(f"{name}: it is there twice, or out of order.")
        if not hmac.compare_digest(
            hmac.new(bytes.fromhex(line["key"]), line["payload"].encode(), "sha256").digest(), leaf
        ):
            fault(f"{name}: it says something else than was recorded.")
        evidence = line["payload"].split("\n")[7].split(" ")
        if len(evidence) == 2 and seals.get(evidence[0]) != evidence[1]:
            fault(f"{name}: its evidence is missing or is another one.")
        seen.add(place)
        last = max(last, place)
    return len(seen)


def check_anchors(
    anchors: Iterable[dict[str, Any]], workspace: int, known: dict[int, tuple[str, int]], fault: Fault
) -> int:
    """Where the chain was noted to stand; how many notes are of this workspace."""
    count = 0
    for anchor in anchors:
        if anchor["workspace_id"] == workspace:
            count += 1
            if known.get(anchor["block"]) != (anchor["hash"], anchor["lines"]):
                fault(f"Block {anchor['block']}: it is not the block that was noted on {anchor['at']}.")
    return count


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Verify a pack of Envol's consent ledger.")
    parser.add_argument("pack")
    parser.add_argument("--anchors", help="a file of anchors that was kept elsewhere")
    given = parser.parse_args(arguments)
    faults: list[str] = []
    try:
        pack = Pack(given.pack)
        head = json.loads(pack.octets("head.json"))
        known, leaves_of, total = check_blocks(pack, head, faults.append)
        seals = check_evidence(pack, faults.append)
        readable = check_lines(pack, leaves_of, seals, faults.append)
        anchors = list(pack.lines("anchors.jsonl"))
        if given.anchors:
            anchors += [json.loads(line) for line in Path(given.anchors).read_text("utf-8").splitlines()]
        noted = check_anchors(anchors, head["workspace"], known, faults.append)
    except (OSError, KeyError, ValueError, IndexError, zipfile.BadZipFile) as error:
        print(f"This is no whole pack: {error!r}", file=sys.stderr)
        return 2
    for sentence in faults:
        print(sentence)
    print(f"{len(known)} blocks, {total} lines, {readable} of them readable, {noted} anchors: ", end="")
    print(f"{len(faults)} faults." if faults else "nothing was altered, removed or reordered.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
