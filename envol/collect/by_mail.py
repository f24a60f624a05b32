"""Joining a mailing list by a mail to NAME-join@, or to NAME-request@ with that word as its subject (RFC 2142 §6).

From proves nothing, so a mail is a request and no more, as a form somebody filled in is: she whom it names gets the one
mail of `joining` and confirms from her mailbox, under the words in force. It is the sign-up form of the list's people
that is asked: its limits against list bombing, its purposes, its proof. The answer in the session is the same for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from envol import disk
from envol.collect import joining, signup, visibility
from envol.collect.models import SignupForm
from envol.consent.models import PurposeText
from envol.contacts.models import List
from envol.outbound import list_commands, mailing
from envol.outbound.models import MailingList
from envol.wire.address import AddressError, normalise
from envol.wire.bounce import explain
from envol.wire.message.passed_on import author_of, fields_of, value_of

ASKED = "joining asked"


class Asked(NamedTuple):
    """One mail to a joining address, and from where it came."""

    recipient: str
    raw: bytes
    sender: str  # of the envelope
    peer: str


def of(recipient: str, raw: bytes = b"") -> MailingList | None:
    """The list that this address, or this message to its request address, asks to join; None where nobody joins it."""
    if list_commands.wish(recipient, raw) != mailing.JOIN:
        return None
    one = list_commands.list_of(recipient)
    return one if one is not None and one.joins else None


def form_of(one: MailingList) -> SignupForm | None:
    """The form that a mail can fill in: open, of the same people, asking for this purpose and nothing that must be
    answered."""
    people = List.objects.filter(pk=one.list_id or 0, workspace_id=one.workspace_id).select_related("workspace").first()
    return fitting(people, one.purpose_id) if people is not None else None


def fitting(people: List, purpose_id: int) -> SignupForm | None:
    whole = signup.of_list(people.workspace, people.pk)
    form = visibility.as_seen(whole, None) if whole is not None and whole.active else None
    if form is None or form.asks_age or any(signup.must(field) for field in form.fields):
        return None
    return form if purpose_id in form.purposes else None


def take(batch: Sequence[Asked]) -> list[str]:
    """What became of each: ``joining asked``, what it was instead, or, behind `mailing.REFUSED`, a sentence.

    Each in a transaction of its own: the limits lock who asks, and two batches must not wait crosswise. Raises
    `disk.Full` and database errors; asking again changes nothing then, since the limits count the first time.
    """
    disk.refuse_when_full()
    return [_take(one) for one in batch]


def _take(asked: Asked) -> str:
    found = explain(asked.raw)
    if found.type != "not_bounce":
        return found.type
    one, fields = of(asked.recipient, asked.raw), fields_of(asked.raw)
    if one is None or mailing.goes_round(one, fields) or not asked.sender:
        return "loop"  # RFC 3834 §2: machines get no answer, and who has no return path is one
    author = author_of(fields)
    if author is None:
        return f"{mailing.REFUSED}From must name exactly one mailbox"
    form = form_of(one)
    if form is None:
        return f"{mailing.REFUSED}nobody joins this list by mail at the moment"
    try:
        address = normalise(author.address)
    except AddressError:
        return f"{mailing.REFUSED}From must name a mailbox that can be written to"
    language = _language(form, fields)
    texts = [text for text in signup.texts_of(form, language) if text.purpose.pk == one.purpose_id]
    _ask(one, form, joining.Written(address.written, address.key, {}, texts, {}), texts, asked.peer, language)
    return ASKED


def _ask(
    one: MailingList, form: SignupForm, written: joining.Written, texts: list[PurposeText], peer: str, language: str
) -> None:
    shown = joining.Shown(tuple(text.pk for text in texts), datetime.now(UTC))
    joining.ask(form, written, shown, client=peer, language=language, mailing_list=(one.pk, one.title))


def _language(form: SignupForm, fields: list[tuple[bytes, bytes]]) -> str:
    """That of her message when the form speaks it (RFC 3282), else the form's first."""
    for name in (b"content-language", b"accept-language"):
        for part in value_of(fields, name).split(","):
            code = part.strip().lower()[:2]
            if code in form.languages:
                return code
    return str(next(iter(form.languages), "fr"))
