"""DKIM as a receiver reads it (RFC 6376 §6): which signatures of a message hold, and why the others do not.

The keys are asked of the caller, who may know them without DNS: bytes and records in, verdicts out. Stricter than the
standard has to be where receivers are stricter too: no SHA-1 and no RSA under 1024 bits (RFC 8301 §3), no `l=` that
leaves a part of the body open to anybody (RFC 6376 §8.2), no signature that leaves From out (§5.4).
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from envol.wire.dkim import Record, canonical_body, canonical_header, parse_record

MOST = 10  # signatures looked at; the others cost a stranger nothing to add (§8.4)
OLDEST_RSA = 1024

FindKey = Callable[[str, str], str | None]
"""(domain, selector) → the text of the key record, or None when there is none."""

_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_B_VALUE = re.compile(rb"((?:^|;)[ \t\r\n]*b[ \t\r\n]*=)[^;]*")
_ALGORITHMS = {"rsa-sha256": "rsa", "ed25519-sha256": "ed25519"}


class Reason(StrEnum):
    """Why a signature holds or not."""

    OK = "ok"
    SYNTAX = "syntax"  # the field cannot be read
    ALGORITHM = "algorithm"  # one that nobody accepts any more, or nobody knows
    FROM_OPEN = "from_open"  # From is not signed
    BODY_OPEN = "body_open"  # l= leaves the end of the body open
    EXPIRED = "expired"
    NO_KEY = "no_key"
    REVOKED = "revoked"
    BAD_KEY = "bad_key"  # the record cannot be used, or does not fit the algorithm
    BODY = "body"  # the body was changed on the way
    SIGNATURE = "signature"  # signed with another key, or a header was changed on the way


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one DKIM-Signature; what could not be read is empty."""

    reason: Reason
    domain: str = ""
    selector: str = ""
    algorithm: str = ""

    @property
    def ok(self) -> bool:
        return self.reason is Reason.OK


def verify(raw: bytes, find_key: FindKey, now: int) -> list[Verdict]:
    """A verdict on each DKIM-Signature of a message, from the top; never raises. ``now`` in seconds since 1970."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines, clear = _fields(head)
    signatures = [line for line in lines if _name(line) == b"dkim-signature"][:MOST]
    if not clear:
        # Something in the header is no field (a bare CR or LF): others may see another From there, or its end (§8.15).
        return [Verdict(Reason.SYNTAX) for _ in signatures]
    return [_one(line, lines, body, find_key, now) for line in signatures]


def _fields(head: bytes) -> tuple[list[bytes], bool]:
    """The fields of a header, whole with folds and CRLF, and whether it has nothing else. In one pass: a stranger's
    header may be of any form and of megabytes."""
    found: list[list[bytes]] = []
    clear = True
    for line in head.split(b"\r\n"):
        if b"\r" in line or b"\n" in line:
            clear = False
        elif _FIELD.match(line):
            found.append([line])
        elif line[:1] in (b" ", b"\t") and found:
            found[-1].append(line)
        else:
            clear = False
    return [b"\r\n".join(parts) + b"\r\n" for parts in found], clear


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].rstrip(b" \t").lower()


def _one(line: bytes, lines: list[bytes], body: bytes, find_key: FindKey, now: int) -> Verdict:
    tags = _tags(line)
    domain, selector = tags.get("d", "").lower(), tags.get("s", "")
    algorithm = tags.get("a", "").lower()

    def verdict(reason: Reason) -> Verdict:
        return Verdict(reason, domain[:253], selector[:253], algorithm[:32])

    signed = [name.lower() for name in tags.get("h", "").split(":")]
    if tags.get("v") != "1" or not all(tags.get(tag) for tag in ("a", "b", "bh", "d", "h", "s")):
        return verdict(Reason.SYNTAX)  # §3.5: these tags are required
    identity = tags.get("i", f"@{domain}").rpartition("@")[2].lower()
    if identity != domain and not identity.endswith("." + domain):
        return verdict(Reason.SYNTAX)  # §3.5: i= is the domain of d= or below it
    if algorithm not in _ALGORITHMS:
        return verdict(Reason.ALGORITHM)
    if "from" not in signed:
        return verdict(Reason.FROM_OPEN)
    if "l" in tags:
        return verdict(Reason.BODY_OPEN)
    expires = tags.get("x", "")
    if expires and (not expires.isdecimal() or int(expires) < now):
        return verdict(Reason.EXPIRED)
    record = find_key(domain, selector)
    if record is None:
        return verdict(Reason.NO_KEY)
    try:
        key = parse_record(record)
    except ValueError:
        return verdict(Reason.BAD_KEY)
    if key.revoked:
        return verdict(Reason.REVOKED)
    if key.kind != _ALGORITHMS[algorithm]:
        return verdict(Reason.BAD_KEY)
    return verdict(_holds(line, tags, signed, lines, body, key))


def _holds(
    line: bytes, tags: dict[str, str], signed: list[str], lines: list[bytes], body: bytes, key: Record
) -> Reason:
    head_form, _, body_form = tags.get("c", "simple/simple").lower().partition("/")
    if {head_form, body_form or "simple"} - {"simple", "relaxed"}:
        return Reason.SYNTAX
    try:
        canonical = canonical_body(body) if body_form == "relaxed" else _simple_body(body)
        body_hash, value = b64decode(tags["bh"], validate=True), b64decode(tags["b"], validate=True)
    except (Base64Error, ValueError):
        return Reason.SYNTAX
    if sha256(canonical).digest() != body_hash:
        return Reason.BODY
    form = canonical_header if head_form == "relaxed" else bytes
    # §5.4.2: of several fields of one name the last is taken first; a name too many stands for nothing.
    left: dict[str, list[bytes]] = {}
    for one in lines:
        left.setdefault(_name(one).decode("ascii"), []).append(one)
    chosen = [form(left[name].pop()) for name in signed if left.get(name)]
    own_name, colon, own = line.partition(b":")
    unsigned = own_name + colon + _B_VALUE.sub(rb"\1", own.removesuffix(b"\r\n"), count=1) + b"\r\n"
    covered = b"".join(chosen) + form(unsigned).removesuffix(b"\r\n")  # §3.7
    return _matches(key, value, covered)


def _matches(key: Record, value: bytes, covered: bytes) -> Reason:
    try:
        if key.kind == "ed25519":
            Ed25519PublicKey.from_public_bytes(key.public_key).verify(value, sha256(covered).digest())
            return Reason.OK
        public = serialization.load_der_public_key(key.public_key)
        if not isinstance(public, rsa.RSAPublicKey) or public.key_size < OLDEST_RSA:
            return Reason.BAD_KEY
        public.verify(value, covered, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return Reason.SIGNATURE
    except (ValueError, UnsupportedAlgorithm):
        return Reason.BAD_KEY
    return Reason.OK


def _simple_body(body: bytes) -> bytes:
    """RFC 6376 §3.4.3: nothing but the empty lines at the end is touched."""
    end = len(body)
    while body.endswith(b"\r\n\r\n", 0, end):
        end -= 2
    body = body[:end]
    return body if body.endswith(b"\r\n") else body + b"\r\n"


def _tags(line: bytes) -> dict[str, str]:
    """The tag-list of the field (§3.2); empty when it is none. Blanks inside values mean nothing in ours."""
    found: dict[str, str] = {}
    for item in line.partition(b":")[2].decode("ascii", "replace").split(";"):
        name, equals, value = item.partition("=")
        name = name.strip()
        if not equals and not item.strip():
            continue
        if not equals or name in found:  # §3.2: a tag twice makes the whole list invalid
            return {}
        found[name] = "".join(value.split())
    return found
