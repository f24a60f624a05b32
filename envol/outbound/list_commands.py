"""What members tell a mailing list by mail: an address for each wish, as NAME-daily@, and nothing to be written in it;
or the wish as the subject of a mail to NAME-request@ (RFC 2142 §6).

A signature of her own domain is her word and acts at once. Without one From proves nothing: then she whom it names, if
she is on the list, gets the link to her own page, once a day at most, and nobody else gets anything (RFC 3834 §2). The
answer in the session is the same for both, so that nobody learns who is on a list by writing in her name.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from envol.consent.models import Purpose
from envol.contacts.models import Contact
from envol.content import links
from envol.events.models import MailRequest
from envol.events.writing import request_mail
from envol.outbound import digests, leaving, list_people, mailing
from envol.outbound.models import MailingList
from envol.wire.address import domain_of, normalise
from envol.wire.bounce import Explanation
from envol.wire.message.passed_on import author_of, fields_of, value_of

COMMANDS = (mailing.DAILY, mailing.EACH, mailing.LEAVE, mailing.HELP, mailing.REQUEST)
TOLD = "list_command"
_WORDS = {
    **dict.fromkeys(("join", "subscribe", "inscription", "s'inscrire", "abonnement"), mailing.JOIN),
    **dict.fromkeys(("leave", "unsubscribe", "désinscription", "désabonnement"), mailing.LEAVE),
    **dict.fromkeys(("daily", "digest", "quotidien"), mailing.DAILY),
    **dict.fromkeys(("each", "chaque"), mailing.EACH),
    **dict.fromkeys(("help", "aide"), mailing.HELP),
}
"""What stands in the subject of a mail to NAME-request@."""


def wish(recipient: str, raw: bytes) -> str:
    """The wish that the address names, or the subject where the address leaves it open; "" when none is understood."""
    command = recipient.partition("@")[0].lower().rpartition("-")[2]
    if command != mailing.REQUEST:
        return command if command in (mailing.JOIN, *COMMANDS) else ""
    words = value_of(fields_of(raw), b"subject").lower().replace("’", "'").split()
    return _WORDS.get(words[0], "") if words else ""


def list_of(recipient: str) -> MailingList | None:
    """The list whose address stands before the wish; None when a list is itself called so: that one comes first."""
    local, host = recipient.partition("@")[0].lower(), domain_of(recipient)
    name, hyphen, command = local.rpartition("-")
    if not hyphen or command not in (mailing.JOIN, *COMMANDS) or mailing.found_by(recipient) is not None:
        return None
    return mailing.found_by(f"{name}@{host}")


def of(recipient: str) -> tuple[MailingList, str] | None:
    """The list and what its address says to it; who wants to join is somebody else's (`collect.by_mail`)."""
    command = recipient.partition("@")[0].lower().rpartition("-")[2]
    one = list_of(recipient) if command in COMMANDS else None
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
    if command == mailing.REQUEST and (command := wish(f"{one.name}-{command}@", raw)) in ("", mailing.JOIN):
        none = "nobody joins this list by mail" if command else "no wish is in the subject"
        return f"{mailing.REFUSED}{none}: it says leave, daily, each or help{' or join' if one.joins else ''}"
    member = _member(one, raw)
    if member is None or not is_proven or command == mailing.HELP:
        if member is not None:
            _ask_back(one, member, help=command == mailing.HELP)
        return "list command asked"
    if command == mailing.LEAVE:
        purpose = Purpose.objects.filter(pk=one.purpose_id, workspace_id=one.workspace_id).first()
        leaving.unsubscribe(
            one.workspace_id, member.pk, member.email_key, purpose,
            sending_id=one.sending_id, cause=f"mailing list {one.pk}", via="list",
        )  # fmt: skip
    elif one.segment_id is None:  # of a segment nobody is on it from one day to the next
        digests.choose(one, member.pk, daily=command == mailing.DAILY)
    return "list command"


def _member(one: MailingList, raw: bytes) -> Contact | None:
    author = author_of(fields_of(raw))
    if author is None:
        return None
    key = normalise(author.address).key
    contact = Contact.objects.filter(workspace_id=one.workspace_id, email_key=key).first()
    return contact if contact is not None and list_people.is_on(one, contact) else None


def _ask_back(one: MailingList, member: Contact, *, help: bool) -> None:
    """The link to her own page, where the same can be chosen, to the address that is on the list."""
    day = timezone.now() - timedelta(days=1)
    if MailRequest.objects.filter(
        kind=TOLD, workspace_id=one.workspace_id, contact_id=member.pk, created_at__gt=day
    ).exists():
        return
    language = "en" if (member.language or one.workspace.language).startswith("en") else "fr"
    link = f"{settings.ENVOL.base_url}/p/{links.person_token(one.workspace_id, member.pk)}"
    facts = {"title": one.title, "link": link, "home": mailing.address_of(one)}
    facts |= {f"{word}_at": mailing.address_of(one, word) for word in (mailing.DAILY, mailing.EACH, mailing.LEAVE)}
    with translation.override(language):
        subject = _("How you read %(title)s") % facts
        text = (
            _help(one)
            if help
            else _(
                "Somebody wrote in your name to change how you get the messages of %(title)s. Nothing has changed: the"
                " message did not prove that it was yours. If it was, choose here:\n\n%(link)s"
            )
        )
    request_mail(
        TOLD, member.email, {"subject": subject, "text": text % facts},
        workspace_id=one.workspace_id, contact_id=member.pk, language=language,
    )  # fmt: skip


def _help(one: MailingList) -> str:
    lines = [_("How %(title)s works, by mail (nothing has to be written in it):")]
    if one.discussion:
        lines.append(_("- %(home)s writes to everybody on it,"))
    if one.segment_id is None:
        lines += [_("- %(daily_at)s: one message a day instead of each,"), _("- %(each_at)s: each message again,")]
    lines.append(_("- %(leave_at)s: you leave."))
    return "\n".join(lines) + "\n\n" + _("The same, and all else about you, on your own page:\n\n%(link)s")
