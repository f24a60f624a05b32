"""SCRAM-SHA-256 at the side that knows the verifier (RFC 5802, RFC 7677): a secret is proved without being told.

Pure: lines of the client in, lines of ours out; the nonce is the owner's to draw. Without channel binding, so it is
spoken inside TLS alone. Passwords are taken as they are: our secrets are hexadecimal, which SASLprep leaves alone.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import NamedTuple

MECHANISM = "SCRAM-SHA-256"
ITERATIONS = 4096
"""RFC 7677 §4 asks for so many at least. Our secrets have 128 random bits, which no number of rounds makes harder."""

_FIRST = re.compile(r"([ny]),(?:a=([^,]+))?,(n=([^,]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,[a-zA-Z]=[^,]*)*)")
_FINAL = re.compile(r"(c=([A-Za-z0-9+/=]+),r=([\x21-\x2b\x2d-\x7e]+)(?:,[a-oq-zA-Z]=[^,]*)*),p=([A-Za-z0-9+/=]+)")


class Verifier(NamedTuple):
    """What is kept of a secret: enough to check a proof, too little to make one (RFC 5803)."""

    salt: bytes
    iterations: int
    stored: bytes
    server: bytes

    def __str__(self) -> str:
        salt, stored, server = (base64.b64encode(part).decode() for part in (self.salt, self.stored, self.server))
        return f"{MECHANISM}${self.iterations}:{salt}${stored}:{server}"

    @classmethod
    def read(cls, text: str) -> Verifier:
        """Raises ValueError."""
        name, _, rest = text.partition("$")
        numbers, _, keys = rest.partition("$")
        iterations, _, salt = numbers.partition(":")
        stored, _, server = keys.partition(":")
        if name != MECHANISM:
            raise ValueError("This is no verifier of SCRAM-SHA-256.")
        return cls(_bytes(salt), int(iterations), _bytes(stored), _bytes(server))

    @classmethod
    def of(cls, secret: str, salt: bytes, iterations: int = ITERATIONS) -> Verifier:
        salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), salt, iterations)
        key = hmac.digest(salted, b"Client Key", "sha256")
        return cls(salt, iterations, hashlib.sha256(key).digest(), hmac.digest(salted, b"Server Key", "sha256"))


class Wrong(ValueError):
    """The client did not keep to the form; nothing is known of its secret."""


class Exchange:
    """One exchange: `first`, then `challenge`, then `final`."""

    def __init__(self) -> None:
        self.identity = ""
        self._bare = self._header = self._nonce = self._challenge = ""
        self._verifier: Verifier | None = None

    def first(self, line: str) -> str:
        """The client's first message; whom it names. Raises Wrong."""
        found = _FIRST.fullmatch(line)
        if found is None:
            raise Wrong("This is not the first message of SCRAM without channel binding")
        flag, authzid, self._bare, name, self._nonce = found.groups()
        if re.search(r"=(?!2C|3D)", name):
            raise Wrong("In a name = and , are written =3D and =2C")
        self.identity = name.replace("=2C", ",").replace("=3D", "=")
        self._header = f"{flag},{'a=' + authzid if authzid else ''},"
        if authzid not in (None, name):
            raise Wrong("Nobody here acts in the name of another")
        return self.identity

    def challenge(self, verifier: Verifier, nonce: str) -> str:
        """Our first message."""
        self._verifier = verifier
        self._nonce += nonce
        salt = base64.b64encode(verifier.salt).decode()
        self._challenge = f"r={self._nonce},s={salt},i={verifier.iterations}"
        return self._challenge

    def final(self, line: str) -> str | None:
        """The client's last message; ours when its proof is right, else None. Raises Wrong."""
        found = _FINAL.fullmatch(line)
        if found is None or self._verifier is None:
            raise Wrong("This is not the last message of SCRAM")
        bare, binding, nonce, proof = found.groups()
        if _bytes(binding) != self._header.encode() or not hmac.compare_digest(nonce, self._nonce):
            raise Wrong("This message is not of this exchange")
        said = f"{self._bare},{self._challenge},{bare}".encode()
        signature = hmac.digest(self._verifier.stored, said, "sha256")
        proved = _bytes(proof)
        if len(proved) != len(signature):
            return None
        key = bytes(a ^ b for a, b in zip(proved, signature, strict=True))
        if not hmac.compare_digest(hashlib.sha256(key).digest(), self._verifier.stored):
            return None
        return "v=" + base64.b64encode(hmac.digest(self._verifier.server, said, "sha256")).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Wrong("This is not base64") from None
