"""A letter with its template, its variables and what is known of its recipients: the letters that leave.

What shows nothing of a recipient stays one message for all; what does becomes one for each, with the same fields To
and Cc. A value of a contact is shown when its purposes allow it (`gates.may_use`), else what the template says
instead; a person who is no contact has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from envol.accounts.models import ApiKey
from envol.api import declared, edited
from envol.api.models import StoredTemplate
from envol.api.rest import names
from envol.api.send_v31 import Letter, Problem
from envol.api.templates import header, mailbox, sender_of
from envol.audience.catalogue import Catalogue
from envol.audience.engine import postgres
from envol.audience.language import Group, Rule
from envol.audience.language import parse as parse_segment
from envol.audience.models import Segment
from envol.consent import purposes
from envol.consent.gates import may_use
from envol.contacts import catalogue, sealing, strangers
from envol.contacts.models import Contact
from envol.content import links
from envol.content.mtl import legacy
from envol.content.mtl.grammar import MtlError, Template, parse
from envol.content.mtl.run import Values, render
from envol.events.models import Event, Kind
from envol.wire.address import domain_of, normalise
from envol.wire.message.headers import Mailbox

PARTS = ("subject", "text", "html")
_OF_CONTACTS = re.compile(r"unsub_link|contact\.id\b", re.IGNORECASE)
_RELATED = {"subject": "Subject", "text": "TextPart", "html": "HTMLPart"}
_LINK = re.compile(r"""(<a\b[^<>]{0,4000}?\bhref\s*=\s*)(["'])(https?://[^"'\s]+)\2""", re.IGNORECASE)

_SHARING = ("share_twitter", "share_google", "share_facebook", "share_linkedin")
"""Pages that show a message to everybody: of a message to one person there is none, so they lead nowhere."""
SMALL = 64_000  # characters of a source that is worth keeping read
_kept = lru_cache(maxsize=128)(parse)


def _parsed(source: str) -> Template:
    return _kept(source) if len(source) <= SMALL else parse(source)


class Failed(Exception):
    """A template that cannot be evaluated. ``part``: subject, text or html."""

    def __init__(self, error: MtlError, part: str) -> None:
        super().__init__(str(error))
        self.error, self.part = error, part

    @property
    def problem(self) -> Problem:
        message = f"Error in template language, line {self.error.line}: {self.error}"
        return Problem("mj-0005", 400, message, (_RELATED[self.part],))


def with_template(key: ApiKey, letter: Letter) -> Letter | Problem:
    """What the message says wins over what its template says."""
    if letter.template_id is None and not letter.template_name:
        return letter
    mine = StoredTemplate.objects.filter(workspace_id=key.workspace_id)
    named = mine.filter(name=letter.template_name) if letter.template_name else mine.filter(pk=letter.template_id or 0)
    found = named.first()
    if found is None and letter.template_name:
        found = edited.by_name(key.workspace, letter.template_name)
    elif found is None:
        found = edited.by_number(key.workspace, letter.template_id or 0)
    if found is None:
        wanted = letter.template_name or letter.template_id
        message = f'Template ID "{wanted}" doesn\'t exist for your account.'
        return Problem("send-0010", 400, message, ("TemplateID",))
    if said := edited.lacks(found):
        return Problem("mj-0005", 400, said, ("TemplateID",))
    if letter.html and found.html:
        return Problem(
            "send-0004", 400, "HTMLPart cannot be used with a template that has one.", ("HTMLPart", "TemplateID")
        )
    sender = letter.sender or sender_of(found)
    if sender is None:
        message = 'Wrong type for template header, expected type "string"'
        return Problem("send-0019", 400, message, ("sender",))
    answers = mailbox(header(found, "Reply-To")) if not letter.reply_to else None
    made = replace(
        letter,
        sender=sender,
        subject=letter.subject or header(found, "Subject"),
        text=letter.text or found.text or None,
        html=letter.html or found.html or None,
        reply_to=[answers] if answers else letter.reply_to,
        template_id=found.pk,
        template_name=found.name,
        copyright=str(found.facts.get("Copyright", "")),
    )
    if not (made.text or made.html):
        return Problem("send-0003", 400, "The template has no content.", ("TextPart", "HTMLPart", "TemplateID"))
    return made


def letters(key: ApiKey, letter: Letter, *, meet: bool = False) -> Iterator[tuple[list[Mailbox], Letter]]:
    """The recipients of each message that leaves, and the message. Raises Failed.

    meet: whoever is no contact yet becomes one first, where the message shows something that only a contact has, such
    as the link to her own page.
    """
    people = letter.people
    if not _shows_values(letter):
        yield people, _tagged(letter)
    elif not _is_personal(letter):
        yield people, _tagged(_filled(key, letter, None, None))
    else:
        known = _known(key, people)
        strange = [one for one in people if normalise(one.address).key not in known]
        if meet and strange and any(_OF_CONTACTS.search(getattr(letter, part) or "") for part in PARTS):
            with transaction.atomic():
                written = {normalise(one.address).key: one.address for one in strange}
                strangers.meet(key.workspace_id, written, dict.fromkeys(written, declared.Giver(key)))
            known |= _known(key, strange)
        for one in people:
            yield [one], _tagged(_filled(key, letter, one, known.get(normalise(one.address).key)))


def _shows_values(letter: Letter) -> bool:
    return letter.language or any("[[" in (getattr(letter, part) or "") for part in PARTS)


def _trees(letter: Letter) -> Iterator[tuple[str, Template]]:
    for part in PARTS:
        if source := getattr(letter, part):
            try:
                yield part, _parsed(source)
            except MtlError as error:
                raise Failed(error, part) from None


def _is_personal(letter: Letter) -> bool:
    if any(legacy.personal(getattr(letter, part) or "") for part in PARTS):
        return True
    return letter.language and any(tree.personal for _, tree in _trees(letter))


def _known(key: ApiKey, people: list[Mailbox]) -> dict[str, Contact]:
    wanted = [normalise(one.address).key for one in people]
    return {one.email_key: one for one in Contact.objects.filter(workspace_id=key.workspace_id, email_key__in=wanted)}


def _filled(key: ApiKey, letter: Letter, one: Mailbox | None, contact: Contact | None) -> Letter:
    values = Values(
        letter.variables,
        _own(key, contact) if contact else {},
        _platform(letter, one, contact),
        lambda did, days: _since(contact, did, days),
        lambda segment: _within(key, contact, segment),
    )
    leave = ""
    if contact is not None:
        leave = f"{settings.ENVOL.base_url}/p/{links.person_token(key.workspace_id, contact.pk)}"
    words = {"EMAIL_TO": one.address if one else "", "UNSUB_LINK": leave}
    made: dict[str, Any] = {}
    trees = dict(_trees(letter)) if letter.language else {}
    for part in PARTS:
        source = getattr(letter, part)
        if not source:
            continue
        try:
            if part in trees:
                source = render(trees[part], values, is_html=part == "html")
        except MtlError as error:
            raise Failed(error, part) from None
        made[part] = legacy.replace(source, values, words, is_html=part == "html")
    if "subject" in made:
        made["subject"] = " ".join(made["subject"].split())
    return replace(letter, **made)


def _own(key: ApiKey, contact: Contact) -> Mapping[str, Any]:
    transactional = purposes.mask(key.workspace, "transactional")
    found: dict[str, Any] = {}
    for own, one in catalogue.of(key.workspace).items():
        value = sealing.opened(contact.workspace_id, contact.props.get(own))
        if value is None or not may_use(contact.allowed, one.purposes, transactional=transactional):
            continue
        told = value if isinstance(value, bool | int | float | str) else names.written(one, value)
        found[own] = found[names.name_of(one).lower()] = told
    return found


def _platform(letter: Letter, one: Mailbox | None, contact: Contact | None) -> Mapping[str, Any]:
    sender = letter.sender or Mailbox("", "")
    found: dict[str, Any] = {
        "sender.email": sender.address,
        "sender.local_part": sender.address.rpartition("@")[0],
        "sender.domain": domain_of(sender.address),
        "sender.name": sender.name,
        "template.id": letter.template_id or 0,
        "template.name": letter.template_name,
        "template.copyright": letter.copyright,
    } | dict.fromkeys(_SHARING, "")
    if one is not None:
        found |= {
            "contact.email": one.address,
            "contact.local_part": one.address.rpartition("@")[0],
            "contact.domain": domain_of(one.address),
            "contact.name": one.name or (names.told_name(contact.props) if contact else ""),
            "contact.id": contact.pk if contact else 0,
        }
    found["unsub_link"] = ""
    if contact is not None:
        found["unsub_link"] = f"{settings.ENVOL.base_url}/p/{links.person_token(contact.workspace_id, contact.pk)}"
    return found


def _since(contact: Contact | None, did: str, days: int) -> bool:
    """Only what is known of her: who did not agree to be measured did nothing."""
    if contact is None or not 0 < days < 10_000:
        return False
    kind = Kind.OPENED if did == "opened" else Kind.CLICKED
    since = timezone.now() - timedelta(days=days)
    return Event.objects.filter(contact_id=contact.pk, kind=kind, machine=None, at__gte=since).exists()


def _within(key: ApiKey, contact: Contact | None, named: str) -> bool | None:
    """Is she in this segment, by its number or name, as it is now? None: there is none of that name.

    A segment says what its rules ask: where they ask for a property that this message may not use of her, she is not.
    """
    mine = Segment.objects.filter(workspace_id=key.workspace_id)
    numbered = mine.filter(pk=int(named)) if named.isdecimal() and len(named) < 19 else mine.none()
    found = numbered.first() or mine.filter(name__iexact=named).order_by("pk").first()
    if found is None:
        return None
    if contact is None or not _may_ask(key, contact, found):
        return False
    return contact.pk in postgres.reasons_among(key.workspace, found.whole, None, [contact.pk])


def _may_ask(key: ApiKey, contact: Contact, segment: Segment) -> bool:
    transactional = purposes.mask(key.workspace, "transactional")
    known = catalogue.of(key.workspace)
    return all(
        name in known and may_use(contact.allowed, known[name].purposes, transactional=transactional)
        for name in _properties(parse_segment(segment.whole, Catalogue(key.workspace)))
    )


def _properties(node: Group | Rule) -> Iterator[str]:
    """Keys of the properties that the rules of a segment ask for, also by way of other segments."""
    if isinstance(node, Group):
        for rule in node.rules:
            yield from _properties(rule)
        return
    if node.field.key.startswith("prop."):
        yield node.field.inner
    if node.inner is not None:
        yield from _properties(node.inner)


def _tagged(letter: Letter) -> Letter:
    """With the caller's query on every link."""
    if not letter.tags or not letter.html:
        return letter
    tags = letter.tags.replace("&", "&amp;")

    def add(found: re.Match[str]) -> str:
        head, quote, address = found[1], found[2], found[3]
        address, mark, place = address.partition("#")
        return f"{head}{quote}{address}{'&amp;' if '?' in address else '?'}{tags}{mark}{place}{quote}"

    return replace(letter, html=_LINK.sub(add, letter.html))
