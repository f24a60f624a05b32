"""AUTH at the receiving side: one exchange, from its mechanism to the key and its secret (RFC 4954, 4616, 7677).

Pure like the machine that owns it (:mod:`envol.wire.smtp.server`): lines of the client in, what follows out.
"""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from envol.wire import scram

from .grammar import Reply, reply

PLAIN = "PLAIN"
LOGIN = "LOGIN"
SCRAM = scram.MECHANISM

AUTH_OK = reply(235, "2.7.0", "Welcome")
AUTH_FAILED = reply(535, "5.7.8", "Unknown key or wrong secret")

_USER_NAME, _PASSWORD = b"334 VXNlcm5hbWU6\r\n", b"334 UGFzc3dvcmQ6\r\n"


class Authenticate(NamedTuple):
    """A question: is this the secret of this key? Answer AUTH_OK or AUTH_FAILED.

    proved: not None where the secret was not told but proved (SCRAM), or not; then it is empty.
    """

    mechanism: str
    identity: str
    secret: str
    proved: bool | None = None

    def __repr__(self) -> str:
        return f"Authenticate(mechanism={self.mechanism!r}, secret hidden)"


class Verify(NamedTuple):
    """A question: against what is a proof of this secret checked? Answered by a Challenge, for unknown keys too."""

    identity: str


class Challenge(NamedTuple):
    """The answer to Verify. nonce: drawn for this exchange, printable, without commas."""

    verifier: scram.Verifier
    nonce: str


class Exchange:
    """The lines between AUTH and its end."""

    def __init__(self, mechanism: str) -> None:
        self.mechanism = mechanism
        self._identity = ""
        self._scram = scram.Exchange()
        self._proved = False

    @property
    def prompt(self) -> bytes:
        """What is said when the client gave nothing with its command."""
        return _USER_NAME if self.mechanism == LOGIN else b"334 \r\n"

    def step(self, raw: bytes) -> Authenticate | Verify | Reply | bytes:
        """One line of the client: a question for the owner, a refusal that ends the exchange, or the next prompt.

        AUTH_FAILED counts as a wrong secret; other refusals are about the form alone.
        """
        if raw == b"*":
            return reply(501, "5.7.0", "The login was cancelled")
        try:
            text = base64.b64decode(raw, validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            return reply(501, "5.5.2", "This is not base64 of UTF-8 text")
        match self.mechanism:
            case "PLAIN":
                return self._plain(text)
            case "LOGIN":
                return self._login(text)
            case _:
                return self._prove(text)

    def challenge(self, given: Challenge) -> bytes:
        """What the owner answered to Verify, as a prompt."""
        return _prompt(self._scram.challenge(given.verifier, given.nonce))

    @staticmethod
    def _plain(text: str) -> Authenticate | Reply:
        parts = text.split("\0")
        if len(parts) != 3 or not parts[1] or not parts[2]:
            return reply(501, "5.5.2", "PLAIN is: nothing, NUL, key, NUL, secret")
        if parts[0] not in ("", parts[1]):
            return AUTH_FAILED  # RFC 4616 §2: nobody here acts in the name of another
        return Authenticate(PLAIN, parts[1], parts[2])

    def _login(self, text: str) -> Authenticate | Reply | bytes:
        if "\0" in text:
            return reply(501, "5.5.2", "A NUL has no place here")
        if not self._identity:
            self._identity = text
            return _PASSWORD
        return Authenticate(LOGIN, self._identity, text)

    def _prove(self, text: str) -> Authenticate | Verify | Reply | bytes:
        try:
            if not self._scram.identity:
                return Verify(self._scram.first(text))
            if self._proved:
                if text:
                    return reply(501, "5.5.2", "Nothing follows our last message")
                return Authenticate(SCRAM, self._scram.identity, "", True)
            ours = self._scram.final(text)
        except scram.Wrong as error:
            return reply(501, "5.5.2", str(error))
        if ours is None:
            return Authenticate(SCRAM, self._scram.identity, "", False)
        self._proved = True
        return _prompt(
            ours
        )  # RFC 4954 §4: what we have to say goes as a challenge, which the client takes with nothing


def _prompt(text: str) -> bytes:
    return b"334 " + base64.b64encode(text.encode()) + b"\r\n"
