"""DKIM: signing what leaves (RFC 6376, 8301, 8463), and the key records that receivers look up.

Relaxed/relaxed, SHA-256, RSA of 2048 bits or more and Ed25519, both over the same body hash. Never `l=`, which would
let anybody append text to a signed message (RFC 6376 §8.2). We verify nothing here.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PrivateKey = rsa.RSAPrivateKey | Ed25519PrivateKey

RSA_BITS = 2048
VALID_FOR = 7 * 24 * 3600  # seconds from t= to x=: longer than any retry, short enough to hinder replay (§8.6)

# RFC 6376 §8.15: named once more than they occur, so that adding one breaks the signature.
OVERSIGNED = (
    b"from",
    b"to",
    b"cc",
    b"subject",
    b"date",
    b"message-id",
    b"reply-to",
    b"content-type",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
)
# RFC 6376 §5.4.1, RFC 8058 §4, RFC 9477 §3.1: signed where they occur. Trace fields never are (§5.4).
SIGNED = frozenset(OVERSIGNED) | {
    b"sender",
    b"mime-version",
    b"content-transfer-encoding",
    b"content-language",
    b"in-reply-to",
    b"references",
    b"list-id",
    b"list-help",
    b"list-owner",
    b"list-subscribe",
    b"list-post",
    b"list-archive",
    b"feedback-id",
    b"cfbl-address",
    b"cfbl-feedback-id",
    b"auto-submitted",
}

_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+\Z")
_SELECTOR = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9-]{1,63})*\Z")
_BLANKS = re.compile(b"  +")
_PKCS1 = padding.PKCS1v15()
_SHA256 = hashes.SHA256()


class Signer:
    """One key of one domain, ready to sign many messages; safe to share between threads.

    `private_key` is a key object or its PEM (PKCS #8, not encrypted). The algorithm follows from the key;
    `algorithm` may be given to insist on it.
    """

    def __init__(
        self, domain: str, selector: str, private_key: PrivateKey | bytes, algorithm: str | None = None
    ) -> None:
        key = load_private_key(private_key) if isinstance(private_key, bytes) else private_key
        self.domain = domain.lower()
        if not _DOMAIN.match(self.domain):  # RFC 8616: an internationalised domain stands here as A-label
            raise ValueError(f"{domain[:80]!r} is no domain that can sign; write it in ASCII, as mail.example.")
        if not _SELECTOR.match(selector):
            raise ValueError(f"{selector[:80]!r} is no DKIM selector; use letters, digits and hyphens.")
        if isinstance(key, rsa.RSAPrivateKey) and key.key_size < RSA_BITS:
            # RFC 8301 §3.2: signers SHOULD use 2048 bits; receivers ignore less than 1024.
            raise ValueError(f"This RSA key has {key.key_size} bits; make one of at least {RSA_BITS}.")
        self.algorithm = "rsa-sha256" if isinstance(key, rsa.RSAPrivateKey) else "ed25519-sha256"
        if algorithm not in (None, self.algorithm):
            raise ValueError(f"This key signs with {self.algorithm}, not with {algorithm}.")
        self.selector = selector
        self._key = key
        self._start = (
            f"DKIM-Signature: v=1; a={self.algorithm}; c=relaxed/relaxed;\r\n d={self.domain};\r\n s={selector};"
        ).encode("ascii")

    def signature(self, signed: bytes, h: bytes, body_hash: bytes, now: int) -> bytes:
        """The folded DKIM-Signature line over `signed`, the canonical header lines that `h` names.

        `now` is in seconds since 1970.
        """
        times = b" t=%d; x=%d;\r\n" % (now, now + VALID_FOR)
        unsigned = b"".join([self._start, times, b" h=", h, b";\r\n bh=", body_hash, b";\r\n b="])
        # §3.7: the signature covers its own field with an empty b= and without the final CRLF.
        # We wrote it: one blank after the colon, one after each fold.
        covered = b"".join([signed, b"dkim-signature:", unsigned[16:].replace(b"\r\n ", b" ")])
        if isinstance(self._key, rsa.RSAPrivateKey):
            value = self._key.sign(covered, _PKCS1, _SHA256)
        else:
            value = self._key.sign(sha256(covered).digest())  # RFC 8463 §3: Ed25519 over the SHA-256
        flat = b2a_base64(value, newline=False)
        lines = [flat[i : i + 74] for i in range(0, len(flat), 74)]
        return b"".join([unsigned, b"\r\n " if len(lines) > 1 else b"", b"\r\n ".join(lines), b"\r\n"])


def sign(
    headers: Sequence[bytes], body: bytes, signers: Sequence[Signer], now: int, *, composed: bool = False
) -> bytes:
    """DKIM-Signature lines, one for each signer, to stand above `headers`.

    `headers` are whole lines (`Name: value CRLF`, folds inside), `body` what follows the empty line, both with CRLF
    only and before dot-stuffing; `now` is in seconds since 1970. Raises ValueError for what no receiver
    would verify: bare CR or LF, or a message without exactly one From. `composed=True` says that the body was made by
    `wire.message`, which writes CRLF only and no blank before a line end: half the time of looking is saved.
    """
    body_hash = _hash(canonical_body(body, composed=composed))
    canonical = [canonical_header(line) for line in headers]
    order, h = _order(canonical)
    signed = b"".join([canonical[i] for i in order])
    return b"".join([signer.signature(signed, h, body_hash, now) for signer in signers])


class Outline:
    """The header of messages that have the same fields in the same order, most of them word for word.

    `lines`: the header of any such message. What another has in common with it is not made canonical again.
    """

    def __init__(self, lines: Sequence[bytes]) -> None:
        canonical = [canonical_header(line) for line in lines]
        order, self._h = _order(canonical)
        self._signed = [(i, lines[i], canonical[i]) for i in order]
        self._count = len(lines)

    def sign(self, headers: Sequence[bytes], canonical: bytes, signers: Sequence[Signer], now: int) -> bytes:
        """What `sign` gives for these headers and a body in canonical form."""
        if len(headers) != self._count:
            raise ValueError("This header has other fields than its outline.")
        body_hash = _hash(canonical)
        signed = b"".join(
            [known if headers[i] is line else canonical_header(headers[i]) for i, line, known in self._signed]
        )
        return b"".join([signer.signature(signed, self._h, body_hash, now) for signer in signers])


def _hash(canonical: bytes) -> bytes:
    return b2a_base64(sha256(canonical).digest(), newline=False)


def _order(canonical: Sequence[bytes]) -> tuple[list[int], bytes]:
    """Which lines are signed, in the order in which h= names them, and the value of h=."""
    found: dict[bytes, list[int]] = {}
    for i, line in enumerate(canonical):
        name = line[: line.index(b":")]
        if name in SIGNED:
            found.setdefault(name, []).append(i)
    if len(found.get(b"from", ())) != 1:
        raise ValueError("A message needs exactly one From to be signed (RFC 6376 §5.4, RFC 5322 §3.6).")
    h = _h_tag(tuple((name, len(lines)) for name, lines in found.items()))
    # §5.4.2: of several fields of one name the last is taken first. A name that is listed once more adds nothing.
    return [i for lines in found.values() for i in reversed(lines)], h


@lru_cache(maxsize=256)
def _h_tag(present: tuple[tuple[bytes, int], ...]) -> bytes:
    """The value of h=: what is there, in the order of `sign`, then the over-signed names once more; folded."""
    names = [name for name, count in present for _ in range(count)]
    names += OVERSIGNED
    out, line = [], b""
    for name in names:
        if line and 3 + len(line) + 1 + len(name) + 1 > 78:  # 3: " h=", 1: the ";"
            out.append(line + b":")
            line = name
        else:
            line = line + b":" + name if line else name
    out.append(line)
    return b"\r\n ".join(out)


def canonical_header(line: bytes) -> bytes:
    """One header line in relaxed form (RFC 6376 §3.4.2), with its CRLF."""
    name, colon, value = line.partition(b":")
    if not colon:
        raise ValueError("A header line without a colon cannot be signed.")
    if b"\x0b" in value or b"\x0c" in value:  # bytes.split() takes VT and FF for blanks, the RFC does not
        value = re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b"")).strip(b" \t")
    else:
        value = b" ".join(value.split())
    return b"".join([name.rstrip(b" \t").lower(), b":", value, b"\r\n"])


def canonical_body(body: bytes, *, composed: bool = False) -> bytes:
    """A body in relaxed form (RFC 6376 §3.4.4); see `sign` for `composed`."""
    if not composed:
        ends = body.count(b"\r\n")
        if body.count(b"\n") != ends or body.count(b"\r") != ends:
            raise ValueError("A body with a bare CR or LF cannot be signed; make every line end CRLF.")
    body = canonical_lines(body)
    if not composed:
        body = body.removesuffix(b" ")
        body = body.replace(b" \r\n", b"\r\n")
    return canonical_end(body)


def canonical_lines(lines: bytes) -> bytes:
    """Some lines of a body in relaxed form, when none has a blank at its end: wherever they stand in it."""
    if b"\t" in lines:
        lines = lines.replace(b"\t", b" ")
    if b"  " in lines:
        lines = _BLANKS.sub(b" ", lines)  # one expression for all of it would take ten times as long
    return lines


def canonical_end(body: bytes) -> bytes:
    """The end of a body in relaxed form: no empty lines, and a line end unless there is nothing at all."""
    if body.endswith(b"\r\n") and not body.endswith(b"\r\n\r\n") and len(body) > 2:
        return body
    body = body.rstrip(b"\r\n")
    return body + b"\r\n" if body else b""


def generate_rsa() -> rsa.RSAPrivateKey:
    """A new RSA key of 2048 bits: the most that fits one UDP answer of every resolver, and what RFC 8301 asks."""
    return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)


def generate_ed25519() -> Ed25519PrivateKey:
    """A new Ed25519 key (RFC 8463)."""
    return Ed25519PrivateKey.generate()


def dump_private_key(key: PrivateKey) -> bytes:
    """The key as PEM (PKCS #8), not encrypted: whoever stores it encrypts it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_private_key(pem: bytes) -> PrivateKey:
    """The key of a PEM; ValueError when it is none, or of a kind that DKIM does not know."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("This is no unencrypted private key in PEM form; export it as PKCS #8.") from error
    if not isinstance(key, rsa.RSAPrivateKey | Ed25519PrivateKey):
        raise ValueError("DKIM signs with RSA or Ed25519 keys only; make a new key.")
    return key


def public_key(key: PrivateKey) -> bytes:
    """What p= holds, before base64.

    SubjectPublicKeyInfo for RSA (RFC 6376 §3.6.1), the 32 octets themselves for Ed25519 (RFC 8463 §4).
    """
    if isinstance(key, rsa.RSAPrivateKey):
        return key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def record_name(domain: str, selector: str) -> str:
    """Where the key record of a selector stands in DNS (RFC 6376 §3.6.2.1)."""
    return f"{selector}._domainkey.{domain.lower()}"


def record_text(key: PrivateKey) -> str:
    """The TXT record that publishes the public half of a key."""
    kind = "rsa" if isinstance(key, rsa.RSAPrivateKey) else "ed25519"
    return f"v=DKIM1; k={kind}; p={b2a_base64(public_key(key), newline=False).decode('ascii')}"


def txt_strings(text: str) -> list[str]:
    """A record cut into strings of at most 255 octets, as DNS wants them (RFC 6376 §3.6.2.2)."""
    return [text[i : i + 255] for i in range(0, len(text), 255)] or [""]


@dataclass(frozen=True, slots=True)
class Record:
    """A key record as read from DNS. An empty `public_key` means: this key was revoked."""

    kind: str
    public_key: bytes
    testing: bool = False

    @property
    def revoked(self) -> bool:
        return not self.public_key

    def publishes(self, key: PrivateKey) -> bool:
        """Does this record let a receiver verify what `key` signs?"""
        kind = "rsa" if isinstance(key, rsa.RSAPrivateKey) else "ed25519"
        return self.kind == kind and self.public_key == public_key(key)


def parse_record(text: str) -> Record:
    """Read a key record, its strings already joined (RFC 6376 §3.6.1).

    ValueError says why receivers would not use it.
    """
    tags: dict[str, str] = {}
    for number, item in enumerate(text.split(";")):
        name, equals, value = item.partition("=")
        name = name.strip()
        if not equals:
            if item.strip():
                raise ValueError(f"The DKIM record holds {item.strip()[:40]!r}, which is no tag=value.")
            continue
        if name in tags:
            raise ValueError(f"The DKIM record names {name[:20]}= twice; publish it once.")
        if name == "v" and (number or value.strip() != "DKIM1"):
            raise ValueError("The DKIM record must begin with v=DKIM1.")
        tags[name] = "".join(value.split())
    if "p" not in tags:
        raise ValueError("The DKIM record has no p=, the public key; publish the record as it was given.")
    kind = tags.get("k", "rsa")
    if kind not in ("rsa", "ed25519"):
        raise ValueError(f"The DKIM record has k={kind[:20]}; only rsa and ed25519 are known.")
    if "h" in tags and "sha256" not in tags["h"].split(":"):
        raise ValueError("The DKIM record does not admit sha256 in h=; take h= out.")
    if "s" in tags and not {"*", "email"} & set(tags["s"].split(":")):
        raise ValueError("The DKIM record does not admit e-mail in s=; take s= out.")
    try:
        key = b64decode(tags["p"], validate=True)
    except (Base64Error, ValueError) as error:
        raise ValueError("The key in p= is cut or mistyped; copy the record again, whole.") from error
    return Record(kind=kind, public_key=key, testing="y" in tags.get("t", "").split(":"))
