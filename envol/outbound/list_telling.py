"""What the author of a message to a mailing list is told of it: that it waits and why, that it was refused and why.

Only who is known to be the author, or may be written to anyway, is written to, so that a forged From brings nobody
mail: whose signature proved it, the list's moderators, and people of the list who allow its purpose. Of those without
a signature the ones that merely wait are told nothing, since anybody could have it said to them.
"""

from __future__ import annotations

from django.utils import translation
from django.utils.translation import gettext as _

from envol.consent.models import Purpose
from envol.contacts.models import Contact
from envol.events.writing import request_mail
from envol.outbound import list_people
from envol.outbound.models import MailingList, Post, PostState
from envol.wire.address import normalise

TOLD = "list_told"
MOST_SAID = 500


def cleaned(said: str) -> str:
    """A moderator's reason as it is kept: its lines, without what no line is made of."""
    lines = (" ".join(line.replace("\0", "").split()) for line in said.splitlines())
    return "\n".join(line for line in lines if line)[:MOST_SAID]


def waits(post: Post) -> bool:
    """Tell its author that a moderator looks at it first; whether she was."""
    return post.proven and _tell(post)


def ended(post: Post) -> bool:
    """Tell its author that it was refused, with the moderator's reason, or that nobody decided; whether she was.

    Who refused her own message knows it.
    """
    key = normalise(post.author).key
    if post.decided_by and normalise(post.decided_by).key == key:
        return False
    return (post.proven or _known(post.mailing_list, key, post.contact_id)) and _tell(post)


def _known(one: MailingList, key: str, contact_id: int | None) -> bool:
    if one.moderators.filter(key=key).exists():
        return True
    contact = Contact.objects.filter(pk=contact_id or 0, workspace_id=one.workspace_id, email_key=key).first()
    bit = Purpose.objects.values_list("bit", flat=True).get(pk=one.purpose_id)
    return contact is not None and bool(contact.allowed >> bit & 1) and list_people.is_on(one, contact)


def _tell(post: Post) -> bool:
    one = post.mailing_list
    language = one.workspace.language
    contact = Contact.objects.filter(pk=post.contact_id or 0, workspace_id=one.workspace_id).first()
    if contact is not None and contact.language:
        language = contact.language
    facts = {"title": one.title, "subject": post.subject or "–", "said": post.said}
    with translation.override("en" if language.startswith("en") else "fr"):
        subject, text = _words(post)
    request_mail(
        TOLD,
        post.author,
        {"subject": subject % facts, "text": text % facts},
        workspace_id=one.workspace_id,
        contact_id=contact.pk if contact else None,
        language=language,
    )
    return True


def _words(post: Post) -> tuple[str, str]:
    match post.state:
        case PostState.HELD:
            return _("Your message waits: %(title)s"), _(
                "Your message “%(subject)s” to %(title)s came in. A moderator looks at it before it goes to the list;"
                " if it is refused, you are told."
            )
        case PostState.EXPIRED:
            return _("Your message did not go to the list: %(title)s"), _(
                "Your message “%(subject)s” to %(title)s waited for two weeks and no moderator decided on it. Nobody"
                " got it; you may send it again."
            )
    told = _("Your message “%(subject)s” to %(title)s was refused by a moderator. Nobody got it.")
    if post.said:
        told += "\n\n" + _("The reason:\n\n%(said)s")
    told += "\n\n" + _("If you did not write it, somebody used your name, and you have nothing to do.")
    return _("Your message was refused: %(title)s"), told
