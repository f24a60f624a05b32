"""What members tell a mailing list by mail: an address for each wish, as NAME-daily@, and nothing to be written in it.

A signature of her own domain is her word and acts at once. Without one From proves nothing: then she whom it names, if
she is on the list, gets the link to her own page, once a day at most, and nobody else gets anything (RFC 3834 §2).
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from envol.consent.models import Purpose
from envol.contacts.models import Contact, Membership
from envol.content import links
from envol.events.models import MailRequest
from envol.events.writing import request_mail
from envol.outbound import digests, leaving, mailing
from envol.outbound.models import MailingList
from envol.wire.address import domain_of, normalise
from envol.wire.bounce import Explanation
from envol.wire.message.passed_on import author_of, fields_of

COMMANDS = (mailing.DAILY, mailing.EACH, mailing.LEAVE)
TOLD = "list_command"


def of(recipient: str) -> tuple[MailingList, str] | None:
    """The list and the wish that an address names; a list that is itself called so comes first."""
    local, host = recipient.partition("@")[0].lower(), domain_of(recipient)
    name, hyphen, command = local.rpartition("-")
    if not hyphen or command not in COMMANDS or mailing.found_by(recipient) is not None:
        return None
    one = mailing.found_by(f"{name}@{host}")
    return (one, command) if one is not None else None


def proven(recipient: str, raw: bytes) -> bool:
    """Is this a member's own wish by her signature? Asks DNS for members only."""
    asked = of(recipient)
    return asked is not None and _member(asked[0], raw) is not None and mailing.judge_author(raw)


def take(one: MailingList, command: str, raw: bytes, found: Explanation, is_proven: bool) -> str:
    """What became of a wish: ``list command``, ``list command asked``, what the message was instead, or a refusal."""
    if found.type != "not_bounce":
        return found.type
    if mailing.goes_round(one, fields_of(raw)):
        return "loop"
    member = _member(one, raw)
    if member is None:
        return f"{mailing.REFUSED}only its members tell this list how they read it"
    if not is_proven:
        _ask_back(one, member)
        return "list command asked"
    if command == mailing.LEAVE:
        purpose = Purpose.objects.filter(pk=one.purpose_id, workspace_id=one.workspace_id).first()
        leaving.unsubscribe(
            one.workspace_id, member.pk, member.email_key, purpose,
            sending_id=one.sending_id, cause=f"mailing list {one.pk}", via="list",
        )  # fmt: skip
    else:
        digests.choose(one, member.pk, daily=command == mailing.DAILY)
    return "list command"


def _member(one: MailingList, raw: bytes) -> Contact | None:
    author = author_of(fields_of(raw))
    if author is None:
        return None
    key = normalise(author.address).key
    contact = Contact.objects.filter(workspace_id=one.workspace_id, email_key=key).first()
    on_it = contact is not None and Membership.objects.filter(list_id=one.list_id, contact_id=contact.pk, until=None)
    return contact if on_it and on_it.exists() else None


def _ask_back(one: MailingList, member: Contact) -> None:
    """The link to her own page, where the same can be chosen, to the address that is on the list."""
    day = timezone.now() - timedelta(days=1)
    if MailRequest.objects.filter(
        kind=TOLD, workspace_id=one.workspace_id, contact_id=member.pk, created_at__gt=day
    ).exists():
        return
    language = "en" if (member.language or one.workspace.language).startswith("en") else "fr"
    link = f"{settings.ENVOL.base_url}/p/{links.person_token(one.workspace_id, member.pk)}"
    facts = {"title": one.title, "link": link}
    with translation.override(language):
        subject = _("How you read %(title)s") % facts
        text = _(
            "Somebody wrote in your name to change how you get the messages of %(title)s. Nothing has changed: the"
            " message did not prove that it was yours. If it was, choose here:\n\n%(link)s"
        )
    request_mail(
        TOLD, member.email, {"subject": subject, "text": text % facts},
        workspace_id=one.workspace_id, contact_id=member.pk, language=language,
    )  # fmt: skip
