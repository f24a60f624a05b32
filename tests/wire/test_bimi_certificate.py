"""The certificate beside a logo, made here as an authority makes it, and what may be wrong with it."""

from __future__ import annotations

import base64
import gzip
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from envol.wire.bimi import certificate_of
from envol.wire.bimi_certificate import LOGOTYPE, PURPOSE, look
from tests.wire.test_bimi import GOOD

NOW = datetime(2026, 11, 26, tzinfo=UTC)
LOGO = GOOD.encode()
SHA256 = bytes.fromhex("0609608648016503040201")


def der(kind: int, *inner: bytes) -> bytes:
    body = b"".join(inner)
    size = len(body)
    octets = b"" if size < 128 else size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([kind, size if size < 128 else 0x80 | len(octets)]) + octets + body


def logotype(image: bytes, *, total: bytes | None = None, packed: bool = True) -> bytes:
    """LogotypeExtn with a subject logo, direct (RFC 9399 §4.1)."""
    data = base64.b64encode(gzip.compress(image) if packed else image)
    details = der(
        0x30,
        der(0x16, b"image/svg+xml"),
        der(0x30, der(0x30, der(0x30, SHA256), der(0x04, total or hashlib.sha256(image).digest()))),
        der(0x30, der(0x16, b"data:image/svg+xml;base64," + data)),
    )
    return der(0x30, der(0xA2, der(0xA0, der(0x30, der(0x30, details)))))


def made(
    *,
    names: tuple[str, ...] = ("librairie.example",),
    purpose: bool = True,
    mark: bytes | None = None,
    days: tuple[int, int] = (-1, 300),
    other_issuer: bool = False,
    alone: bool = False,
    issues: bool = True,
) -> bytes:
    root, key, stranger = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    title = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Marques & Logos")])

    def build(subject: x509.Name, public: Any, begins: int, ends: int) -> x509.CertificateBuilder:
        start = x509.CertificateBuilder().subject_name(subject).issuer_name(title).public_key(public)
        start = start.serial_number(x509.random_serial_number())
        return start.not_valid_before(NOW + timedelta(begins)).not_valid_after(NOW + timedelta(ends))

    issuer = build(title, root.public_key(), -10, 9999)
    issuer = issuer.add_extension(x509.BasicConstraints(ca=issues, path_length=None), critical=True)
    leaf = build(x509.Name([]), key.public_key(), *days)
    if names:
        leaf = leaf.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False)
    if purpose:
        leaf = leaf.add_extension(x509.ExtendedKeyUsage([PURPOSE]), False)
    inside = logotype(LOGO) if mark is None else mark
    if inside:
        leaf = leaf.add_extension(x509.UnrecognizedExtension(LOGOTYPE, inside), False)
    chain = [leaf.sign(stranger if other_issuer else root, hashes.SHA256()), issuer.sign(root, hashes.SHA256())]
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain[: 1 if alone else 2])


def test_a_certificate_for_this_domain_and_this_logo_is_right() -> None:
    looked = look(made(), "librairie.example", LOGO, NOW)
    assert (looked.issuer, looked.faults) == ("Marques & Logos", [])
    assert looked.until is not None and looked.until.date() == (NOW + timedelta(300)).date()
    selected = made(names=("default._bimi.librairie.example",), mark=logotype(LOGO, packed=False))
    assert look(selected, "librairie.example", LOGO, NOW).faults == []


CASES: list[tuple[dict[str, Any], str]] = [
    ({"names": ("autre.example",)}, "is for autre.example, not for librairie.example"),
    ({"names": ()}, "is for no domain"),
    ({"purpose": False}, "none for logos"),
    ({"days": (1, 30)}, "begins on 2026-11-27"),
    ({"days": (-30, -1)}, "ended on 2026-11-25"),
    ({"other_issuer": True}, "its chain is broken"),
    ({"issues": False}, "an issuer may not issue"),
    ({"alone": True}, "without that of its issuer"),
    ({"mark": b""}, "holds no logo"),
    ({"mark": logotype(LOGO.replace(b"#123", b"#456"))}, "is another one"),
    ({"mark": logotype(LOGO, total=b"x" * 32)}, "the hash in its certificate"),
    ({"mark": logotype(LOGO)[:-9]}, "cannot be read"),
]


@pytest.mark.parametrize(("more", "said"), CASES, ids=[said for _, said in CASES])
def test_what_is_wrong_is_said_and_nothing_else(more: dict[str, Any], said: str) -> None:
    faults = look(made(**more), "librairie.example", LOGO, NOW).faults
    assert len(faults) == 1 and said in faults[0], faults


@given(st.binary(max_size=200), st.integers(0, 2000))
def test_any_octets_get_an_answer(junk: bytes, place: int) -> None:
    whole = _WHOLE
    for raw in (junk, whole[:place] + junk + whole[place:]):
        look(raw, "librairie.example", LOGO, NOW)
    mark = logotype(LOGO)
    look(made(mark=mark[: place % len(mark)] + junk or b"x"), "librairie.example", LOGO, NOW)


_WHOLE = made()


@pytest.mark.parametrize(
    ("record", "address"),
    [
        ("v=BIMI1; l=https://a.example/l.svg; a=https://a.example/v.pem", "https://a.example/v.pem"),
        ("v=BIMI1; l=https://a.example/l.svg; a=", ""),
        ("v=BIMI1; l=https://a.example/l.svg", ""),
        ("v=BIMI1; l=https://a.example/l.svg; a=http://a.example/v.pem", None),
    ],
)
def test_the_record_names_a_certificate_by_https_or_none(record: str, address: str | None) -> None:
    assert certificate_of(record) == address
