"""Headers that let a person leave, and receivers tell one stream of mail from another.

Each function returns a field body, checked, ready for a header of the same name. Refusals are `ValueError`.
"""

from __future__ import annotations

import re

# RFC 8058 §3.1: exactly this, and List-Unsubscribe must hold one https URI.
LIST_UNSUBSCRIBE_POST = "List-Unsubscribe=One-Click"

# RFC 3834 §5: mail nobody wrote by hand and nobody should answer by machine.
AUTO_GENERATED = "auto-generated"

# RFC 2369 §2: the URI stands in angle brackets, and a comma would begin the next one. Plain http is for trying
# things out on one machine, where there is no certificate; everywhere else it is refused.
_URL = re.compile(r"(?:https://|http://(?:localhost|127\.0\.0\.1)(?=[:/]))[!-+\--;=?-~]+\Z")
_MAILTO = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+(?:\?subject=[A-Za-z0-9%._~-]+)?\Z")
_LIST_LABEL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)+\Z")
_PHRASE = re.compile(r"[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]*\Z")
_FEEDBACK = re.compile(r"[A-Za-z0-9._-]*\Z")
_SENDER = re.compile(r"[A-Za-z0-9._-]{5,15}\Z")


def list_unsubscribe(url: str, mailto: str | None = None) -> str:
    """Body of List-Unsubscribe (RFC 2369 §3.2, RFC 8058 §2): the https URI first, then a mail address if any.

    `mailto` is `name@domain`, with or without `mailto:`, and may end in `?subject=…`.
    """
    if not _URL.match(url) or len(url) > 900:
        raise ValueError(
            "List-Unsubscribe needs an https:// address without spaces, commas or angle brackets,"
            " within 900 characters."
        )
    if mailto is None:
        return f"<{url}>"
    mailto = mailto.removeprefix("mailto:")
    if not _MAILTO.match(mailto) or len(mailto) > 320:
        raise ValueError("List-Unsubscribe: the mail address must read name@domain, optionally with ?subject=word.")
    return f"<{url}>, <mailto:{mailto}>"


def list_id(identifier: str, name: str = "") -> str:
    """Body of List-Id (RFC 2919 §2–3): `name <label.domain>`, at most 255 octets, the same for ever for one list.

    Only the identifier counts for receivers; a name outside ASCII is left out by the caller or quoted here.
    """
    if not _LIST_LABEL.match(identifier):
        raise ValueError("List-Id must read label.domain, in ASCII without spaces, for example news.shop.example.")
    if name and not (name.isascii() and name.isprintable()):
        raise ValueError("List-Id: the name must be plain ASCII; leave it out, the identifier is what counts.")
    if name and not _PHRASE.match(name):
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        name = f'"{escaped}"'
    body = f"{name} <{identifier}>" if name else f"<{identifier}>"
    if len(body) > 255:
        raise ValueError("List-Id may have 255 characters; shorten the name.")
    return body


def cfbl_address(address: str, author_domain: str) -> str | None:
    """Body of CFBL-Address (RFC 9477 §3.2): where complaints about this message are told, as ARF.

    None where the address is not of the author's own domain or one below it: receivers would ask for a second signature
    (§3.1.3).
    """
    domain = address.rpartition("@")[2].lower()
    if not f".{domain}".endswith(f".{author_domain.lower()}"):
        return None
    if not _MAILTO.match(address) or "?" in address:
        raise ValueError("CFBL-Address: the address must read name@domain.")
    return f"{address}; report=arf"


def feedback_id(campaign: str, customer: str, kind: str, sender: str) -> str:
    """Body of Feedback-ID (Gmail feedback loop): `campaign:customer:kind:sender`.

    The first three may be empty; `sender` (5–15 characters) stays the same over all mail of this installation.
    Opaque identifiers only: every receiver can read them.
    """
    for label, value in (("campaign", campaign), ("customer", customer), ("kind", kind)):
        if not _FEEDBACK.match(value) or len(value) > 100:
            raise ValueError(f"Feedback-ID: {label} may hold letters, digits, dot, hyphen and underscore, at most 100.")
    if not _SENDER.match(sender):
        raise ValueError("Feedback-ID: the sender needs 5 to 15 letters, digits, dots, hyphens or underscores.")
    return f"{campaign}:{customer}:{kind}:{sender}"
