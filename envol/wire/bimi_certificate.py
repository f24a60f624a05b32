"""The certificate beside a BIMI logo (`a=`; VMC or CMC): for this domain, now, and for this very picture.

Pure. Whether a provider trusts its issuer only the provider knows; that one issuer after the other signed is checked.
The logo stands in the certificate as data, with its hash (RFC 9399 §4.1, §7).
"""

from __future__ import annotations

import base64
import binascii
import gzip
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtensionOID, NameOID, ObjectIdentifier

from envol.wire.bimi import MOST_BYTES

MOST_OCTETS = 256 * 1024
MOST_CHAIN = 6
PURPOSE = ObjectIdentifier("1.3.6.1.5.5.7.3.31")  # id-kp-BrandIndicatorforMessageIdentification
LOGOTYPE = ObjectIdentifier("1.3.6.1.5.5.7.1.12")  # RFC 9399 §4.1
_HASHES: dict[bytes, hashes.HashAlgorithm] = {
    bytes.fromhex("608648016503040201"): hashes.SHA256(),
    bytes.fromhex("608648016503040202"): hashes.SHA384(),
    bytes.fromhex("608648016503040203"): hashes.SHA512(),
}
_SEQUENCE, _OCTETS, _OID, _IA5 = 0x30, 0x04, 0x06, 0x16


@dataclass(frozen=True, slots=True)
class Looked:
    """issuer: who vouches, for people. faults: what keeps the logo from being drawn."""

    issuer: str
    until: datetime | None
    faults: list[str]


def look(pem: bytes, domain: str, logo: bytes, now: datetime, *, selector: str = "default") -> Looked:
    """Judge the certificates of an `a=` (the domain's first, its issuers after it). now: in UTC."""
    if len(pem) > MOST_OCTETS:
        return Looked("", None, ["its certificate is larger than 256 KiB"])
    try:
        chain = x509.load_pem_x509_certificates(pem)
        leaf = chain[0]
        extensions = {one.oid: one.value for one in leaf.extensions}
    except (ValueError, IndexError, x509.DuplicateExtension) as error:
        return Looked("", None, [f"its certificate cannot be read: {error}"])
    uses = extensions.get(ExtensionOID.EXTENDED_KEY_USAGE)
    names = _names(extensions.get(ExtensionOID.SUBJECT_ALTERNATIVE_NAME))
    faults = []
    if not isinstance(uses, x509.ExtendedKeyUsage) or PURPOSE not in uses:
        faults.append("its certificate is none for logos (extended key usage)")
    if not {domain, f"{selector}._bimi.{domain}"} & {*names}:
        faults.append(f"its certificate is for {', '.join(names[:3]) or 'no domain'}, not for {domain}")
    if now < leaf.not_valid_before_utc:
        faults.append(f"its certificate begins on {leaf.not_valid_before_utc:%Y-%m-%d}")
    if now > leaf.not_valid_after_utc:
        faults.append(f"its certificate ended on {leaf.not_valid_after_utc:%Y-%m-%d}")
    faults += _chain_faults(chain, now)
    faults += _picture_faults(extensions.get(LOGOTYPE), logo)
    organisation = leaf.issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    issuer = str(organisation[0].value) if organisation else leaf.issuer.rfc4514_string()
    return Looked(issuer, leaf.not_valid_after_utc, faults)


def _names(found: x509.ExtensionType | None) -> list[str]:
    if not isinstance(found, x509.SubjectAlternativeName):
        return []
    return [name.rstrip(".").lower() for name in found.get_values_for_type(x509.DNSName)]


def _chain_faults(chain: list[x509.Certificate], now: datetime) -> list[str]:
    if len(chain) > MOST_CHAIN:
        return [f"its chain is longer than {MOST_CHAIN} certificates"]
    if len(chain) == 1:
        return ["its certificate comes without that of its issuer"]
    for one, issuer in pairwise(chain):
        try:
            basic = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
            one.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError, x509.DuplicateExtension):
            return ["its chain is broken: a certificate is not signed by the next one"]
        except x509.ExtensionNotFound:
            return ["its chain is broken: an issuer may not issue"]
        if not basic.ca:
            return ["its chain is broken: an issuer may not issue"]
        if not issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc:
            return ["the certificate of its issuer is not valid now"]
    return []


# ---- the picture inside


def _picture_faults(extension: x509.ExtensionType | None, logo: bytes) -> list[str]:
    if not isinstance(extension, x509.UnrecognizedExtension):
        return ["its certificate holds no logo"]
    try:
        sums, addresses = _details(extension.value)
        images = [image for address in addresses if (image := _image(address)) is not None]
    except ValueError:
        return ["the logo in its certificate cannot be read"]
    if not images:
        return ["its certificate holds no logo"]
    if not any(_same(image, logo) for image in images):
        return ["the logo in its certificate is another one"]
    # RFC 9399 §7: of a compressed picture the hash is that of what was compressed.
    if not any(_sum(algorithm, image) == value for algorithm, value in sums for image in images):
        return ["the hash in its certificate is not that of its logo"]
    return []


def _same(one: bytes, other: bytes) -> bool:
    return one.strip() == other.strip()


def _sum(algorithm: bytes, data: bytes) -> bytes:
    known = _HASHES.get(algorithm)
    if known is None:
        return b""
    digest = hashes.Hash(known)
    digest.update(data)
    return digest.finalize()


def _image(address: str) -> bytes | None:
    """The picture of a data address, decompressed; None for an address of the web."""
    head, comma, data = address.partition(",")
    if not comma or not head.lower().startswith("data:image/svg+xml") or not head.lower().endswith(";base64"):
        return None
    try:
        raw = base64.b64decode(data, validate=True)
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(MOST_BYTES + 1)
    except (binascii.Error, OSError, EOFError) as error:
        raise ValueError("not readable") from error
    return raw


def _details(raw: bytes) -> tuple[list[tuple[bytes, bytes]], list[str]]:
    """Hashes (algorithm, value) and addresses in a LogotypeExtn, wherever it nests them. Raises ValueError."""
    sums: list[tuple[bytes, bytes]] = []
    addresses: list[str] = []
    left = [500]

    def walk(data: bytes, depth: int) -> None:
        inner = list(_pieces(data))
        left[0] -= len(inner)
        if depth > 12 or left[0] < 0:
            raise ValueError("too deep")
        if len(inner) == 2 and [kind for kind, _ in inner] == [_SEQUENCE, _OCTETS]:
            algorithm = next((value for kind, value in _pieces(inner[0][1]) if kind == _OID), b"")
            sums.append((algorithm, inner[1][1]))
            return
        for kind, value in inner:
            if kind == _IA5:
                addresses.append(value.decode("ascii", "replace"))
            elif kind & 0x20:
                walk(value, depth + 1)

    walk(raw, 0)
    return sums, addresses


def _pieces(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements of DER that stand side by side (X.690 §8.1)."""
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            raise ValueError("cut off")
        kind, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            octets = length & 0x7F
            if not 1 <= octets <= 4 or at + octets > len(data):
                raise ValueError("a length that cannot be")
            length = int.from_bytes(data[at : at + octets], "big")
            at += octets
        if at + length > len(data):
            raise ValueError("cut off")
        yield kind, data[at : at + length]
        at += length
