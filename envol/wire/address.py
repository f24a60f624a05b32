"""E-mail addresses as the base keeps them: one spelling, one key.

Sources: RFC 5321 §4.1.2 and §4.5.3.1 (form, lengths), RFC 6531 (beyond ASCII),
RFC 5891 and UTS 46 (domains).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import idna

MAX_LOCAL, MAX_DOMAIN, MAX_ADDRESS = 64, 255, 254
"""Octets. RFC 5321 §4.5.3.1: 64, 255, and a path of 256 with its two brackets."""


class Address(NamedTuple):
    """One address in its four forms.

    written: the local part as its owner writes it (NFC), the domain in lower-case ASCII.
        This one goes into envelopes and headers.
    key: `written` in lower case; two addresses with one key are one contact. RFC 5321
        §2.4 leaves the case of a local part to its host; no host in use tells them apart.
    local, domain: the two parts of `written`.
    """

    written: str
    key: str
    local: str
    domain: str


class AddressError(ValueError):
    """Not an address we can write to; the sentence says what to correct.

    The sentence and its values are kept apart, so that whoever shows it can say it in the reader's language.
    """

    def __init__(self, sentence: str, **values: object) -> None:
        self.sentence, self.values = sentence, values
        super().__init__(self.told(str))

    def told(self, translate: Callable[[str], str]) -> str:
        said = translate(self.sentence)
        return said % self.values if self.values else said


_PLAIN = re.compile(
    r"([A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*)"
    r"@((?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9])"
)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9!#$%&'*+/=?^_`{|}~.\u0080-\U0010ffff-]")


def normalise(address: str) -> Address:
    """Read an address as a person typed it. Raises AddressError.

    White space around it is forgiven. Quoted local parts, comments, display names,
    address literals and domains without a dot are refused: none is a customer's address.
    Normalising twice gives the same.
    """
    text = address.strip()
    if (match := _PLAIN.fullmatch(text)) is not None and "xn--" not in text.lower():
        local, domain = match[1], match[2].lower()
    else:
        local, domain = _split(text)
        local, domain = _local(local), _domain(domain)
    return _within_limits(local, domain)


def domain_of(address: str) -> str:
    """The domain of a normalised address, in lower case; "" when there is none."""
    return address.rpartition("@")[2].lower() if "@" in address else ""


def _split(text: str) -> tuple[str, str]:
    if not text:
        raise AddressError("The address is empty: write one of the form name@domain.example.")
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            raise AddressError(
                "The address contains an invisible character (U+%(code)s): type it again instead of pasting it.",
                code=f"{ord(character):04X}",
            )
    if "<" in text or ">" in text:
        raise AddressError("Only the bare address is accepted: remove the name, the < and the >.")
    if text.startswith('"') or '"@' in text:
        raise AddressError(
            "Local parts between quotation marks are not accepted for contacts: nobody's mailbox has one."
        )
    if any(character.isspace() for character in text):
        raise AddressError("The address contains a space: remove it.")
    local, at, domain = text.rpartition("@")
    if not at:
        raise AddressError("The address has no @: write name@domain.example.")
    if not local:
        raise AddressError("Nothing stands before the @: write name@domain.example.")
    if "@" in local:
        raise AddressError("The address has more than one @: write one address only.")
    if not domain:
        raise AddressError("Nothing stands after the @: write name@domain.example.")
    return local, domain


def _local(local: str) -> str:
    local = unicodedata.normalize("NFC", local)
    if (wrong := _NOT_ALLOWED.search(local)) is not None:
        raise AddressError("The character %(character)s cannot stand before the @: correct it.", character=wrong[0])
    if local.startswith(".") or local.endswith(".") or ".." in local:
        raise AddressError("Before the @ a dot stands at an end, or two stand together: correct it.")
    return local


def _domain(domain: str) -> str:
    if domain.startswith("["):
        raise AddressError("An IP address in brackets is not accepted: write a domain name after the @.")
    try:
        # UTS 46 mapping first: full-width letters, ideographic dots and capitals have one spelling.
        ascii_domain = idna.encode(domain, uts46=True, std3_rules=True).decode("ascii").lower()
        # Back again: an A-label nobody could have made from text is refused.
        idna.decode(ascii_domain)
    except (idna.IDNAError, UnicodeError):
        raise AddressError("The domain %(domain)s is not valid: check its spelling.", domain=domain[:60]) from None
    if domain.endswith((".", "\u3002", "\uff0e", "\uff61")):
        raise AddressError("The domain ends with a dot: remove it.")
    if "." not in ascii_domain:
        raise AddressError(
            "The domain %(domain)s has no dot: write it whole, for example %(domain)s.example.", domain=domain[:60]
        )
    labels = ascii_domain.split(".")
    if any(len(label) > 63 or not _LABEL.fullmatch(label) for label in labels):
        raise AddressError(
            "The domain %(domain)s is not valid: only letters, digits, hyphens and dots.", domain=domain[:60]
        )
    if labels[-1].isdigit() or len(labels[-1]) < 2:
        raise AddressError(
            "The domain %(domain)s has no real top level: it must end like .fr or .example.", domain=domain[:60]
        )
    return ascii_domain


def _within_limits(local: str, domain: str) -> Address:
    octets = len(local) if local.isascii() else len(local.encode())
    if octets > MAX_LOCAL:
        raise AddressError("The part before the @ is longer than %(octets)s octets: check it.", octets=MAX_LOCAL)
    if len(domain) > MAX_DOMAIN or octets + 1 + len(domain) > MAX_ADDRESS:
        raise AddressError("The address is longer than %(octets)s octets: check it.", octets=MAX_ADDRESS)
    if len(domain) > 63 and any(len(label) > 63 for label in domain.split(".")):
        raise AddressError("A part of the domain is longer than 63 characters: check it.")
    written = f"{local}@{domain}"
    # Lower case can undo NFC for a few letters; the key is composed again.
    key = written.lower() if written.isascii() else unicodedata.normalize("NFC", written.lower())
    return Address(written, key, local, domain)
