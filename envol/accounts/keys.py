"""Keys of the installation: everything secret is derived from, or sealed under, one master secret."""

from __future__ import annotations

import os
from functools import cache

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


@cache
def derive(purpose: str) -> bytes:
    """32 bytes for one purpose (HKDF-SHA256, RFC 5869); another purpose tells nothing about them."""
    return HKDF(SHA256(), 32, None, b"envol " + purpose.encode()).derive(settings.ENVOL.secret_bytes)


def seal(secret: bytes, purpose: str) -> bytes:
    """Encrypt what the database keeps: 12 bytes of nonce, then AES-256-GCM bound to ``purpose``."""
    nonce = os.urandom(12)
    return nonce + AESGCM(derive("seal")).encrypt(nonce, secret, purpose.encode())


def unseal(sealed: bytes | memoryview, purpose: str) -> bytes:
    """The inverse of :func:`seal`; ``cryptography.exceptions.InvalidTag`` when secret or purpose differ."""
    data = bytes(sealed)
    return AESGCM(derive("seal")).decrypt(data[:12], data[12:], purpose.encode())
