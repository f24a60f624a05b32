"""DANE for SMTP (RFC 7672): is a host's certificate the one that its TLSA records promise? Pure.

Certificates come as DER, the leaf first, as the host showed them. Names are checked for usage 2 alone (§3.1.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

TRUST_ANCHOR, END_ENTITY = 2, 3


class Tlsa(NamedTuple):
    """usage 2 (DANE-TA), 3 (DANE-EE); selector 0 (certificate), 1 (key); matching 0 (whole), 1 (SHA-256), 2 (512)."""

    usage: int
    selector: int
    matching: int
    data: bytes

    @property
    def usable(self) -> bool:
        """RFC 7672 §3.1.3: PKIX usages mean nothing to SMTP; unknown numbers and wrong lengths are passed over."""
        lengths = {1: 32, 2: 64}
        return (
            self.usage in (TRUST_ANCHOR, END_ENTITY)
            and self.selector in (0, 1)
            and (self.matching == 0 or len(self.data) == lengths.get(self.matching))
            and bool(self.data)
        )

    def matches(self, certificate: x509.Certificate) -> bool:
        public = certificate.public_key()
        what = (
            certificate.public_bytes(Encoding.DER)
            if self.selector == 0
            else public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )
        if self.matching:
            what = hashlib.new("sha256" if self.matching == 1 else "sha512", what).digest()
        return what == self.data


class NotTrusted(Exception):
    """The host's certificate is not what was promised. result: the word of RFC 8460 §4.3."""

    def __init__(self, result: str, text: str) -> None:
        super().__init__(text)
        self.result = result


def check(records: Iterable[Tlsa], chain: Sequence[bytes], names: Iterable[str], now: datetime) -> None:
    """Raises NotTrusted unless one usable record holds. names: of the host that a usage 2 certificate may carry.

    Records without any usable one ask for TLS and for no certificate (RFC 7672 §2.2): do not call this then.
    """
    usable = [one for one in records if one.usable]
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain[:10]]
    except ValueError:
        raise NotTrusted("certificate-not-trusted", "The host's certificate cannot be read.") from None
    if not certificates:
        raise NotTrusted("certificate-not-trusted", "The host showed no certificate.")
    leaf = certificates[0]
    if any(one.usage == END_ENTITY and one.matches(leaf) for one in usable):
        return  # the record alone decides: neither names nor dates are looked at (RFC 7672 §3.1.1)
    problem = "No TLSA record of the host matches its certificate."
    result = "tlsa-invalid" if not usable else "validation-failure"
    for one in usable:
        if one.usage != TRUST_ANCHOR:
            continue
        path = _path_to(certificates, one)
        if path is None:
            continue
        if any(not _in_time(each, now) for each in path):
            problem, result = "A certificate of the host's chain is not valid now.", "certificate-expired"
        elif not _named(leaf, names):
            problem, result = "The host's certificate names other hosts.", "certificate-host-mismatch"
        else:
            return
    raise NotTrusted(result, problem)


def _path_to(certificates: Sequence[x509.Certificate], anchor: Tlsa) -> list[x509.Certificate] | None:
    """From the leaf, by signatures, to a certificate the anchor names; None when none leads there."""
    path, rest = [certificates[0]], list(certificates[1:])
    while True:
        if anchor.matches(path[-1]):
            return path
        issuer = next((one for one in rest if _issued(path[-1], one)), None)
        if issuer is None:
            return None
        rest.remove(issuer)
        path.append(issuer)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        if not constraints.ca:
            return False
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
        return False
    return True


def _in_time(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _named(certificate: x509.Certificate, names: Iterable[str]) -> bool:
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        shown = [name.lower() for name in alternative.get_values_for_type(x509.DNSName)]
    except (x509.ExtensionNotFound, ValueError):
        return False
    for name in names:
        name = name.lower().rstrip(".")
        _, _, parent = name.partition(".")
        if name in shown or f"*.{parent}" in shown:
            return True
    return False
