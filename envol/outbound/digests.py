"""One message a day of a mailing list, for those who would rather have that than each (RFC 1153 in spirit).

A post that is passed on waits for them, one row for each person, so that who changes her mind gets each post once,
by the one road or the other. In the morning what waits goes: people for whom the same posts wait share a message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP

import structlog
from django.db import transaction
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envol.contacts.models import Membership
from envol.outbound import list_people, mailing
from envol.outbound.accept import Outgoing, Refused, accept_post
from envol.outbound.models import DailyReader, DigestItem, MailingList, Post
from envol.wire.fraud.judge import ALLOW, Verdict
from envol.wire.message.passed_on import Unreadable
from envol.wire.message.read import read

log = structlog.get_logger()

MORNING = 7
"""The hour from which it leaves, where the workspace is."""
MOST_OF_ONE, MOST_OF_ALL = 20_000, 400_000
"""Characters of one post, and of all together; what is beyond is said to be left out."""
_RULE = "-" * 30


def lists_of(workspace_id: int, contact_id: int) -> list[tuple[MailingList, bool]]:
    """The mailing lists somebody is on, by title, and whether she takes one message a day of it."""
    on_it = Membership.objects.filter(workspace_id=workspace_id, contact_id=contact_id, until=None)
    found = MailingList.objects.filter(
        workspace_id=workspace_id, closed_at=None, list_id__in=on_it.values("list_id")
    ).select_related("domain", "workspace")
    daily = set(DailyReader.objects.filter(contact_id=contact_id).values_list("mailing_list_id", flat=True))
    return [(one, one.pk in daily) for one in found.order_by("title", "id")]


def choose(one: MailingList, contact_id: int, *, daily: bool) -> bool:
    """She takes one message a day, or each from now on; whether that changed. What waits already comes tomorrow."""
    with transaction.atomic():
        mailing.locked(one.pk)  # or a post that leaves right now would reach her by both roads, or by none
        if daily:
            return DailyReader.objects.get_or_create(mailing_list=one, contact_id=contact_id)[1]
        return bool(DailyReader.objects.filter(mailing_list=one, contact_id=contact_id).delete()[0])


def run(now: datetime | None = None) -> int:
    """What waits goes, once a day and list, from `MORNING` on; to how many people."""
    moment = now or timezone.now()
    waiting = DigestItem.objects.order_by().values_list("mailing_list_id", flat=True).distinct()
    return sum(_send(list_id, moment) for list_id in list(waiting))


def _send(list_id: int, moment: datetime) -> int:
    with transaction.atomic():
        one = mailing.locked(list_id)
        local = moment.astimezone(one.workspace.zone)
        if one.closed_at is None and (local.hour < MORNING or one.digest_on == local.date()):
            return 0
        wanted: dict[int, list[int]] = defaultdict(list)
        for contact_id, post_id in one.digest_items.order_by("post_id").values_list("contact_id", "post_id"):
            wanted[contact_id].append(post_id)
        people = dict(list_people.reached(one)) if one.closed_at is None else {}
        alike: dict[tuple[int, ...], list[tuple[int, str]]] = defaultdict(list)
        for contact_id, waiting in wanted.items():
            if contact_id in people:  # who has left since gets nothing
                alike[tuple(waiting)].append((contact_id, people[contact_id]))
        try:
            for numbers, readers in alike.items():
                posts = list(Post.objects.filter(pk__in=numbers).order_by("pk"))
                accept_post(one.sending_id, mailing.PRIORITY, message_of(one, posts, local), readers, one.purpose_id)
        except (Refused, Unreadable, ValueError) as error:
            log.warning("a message of the day cannot leave", mailing_list=one.pk, why=str(error))
            transaction.set_rollback(True)
            return 0
        one.digest_items.all().delete()
        MailingList.objects.filter(pk=one.pk).update(digest_on=local.date())
    return sum(len(readers) for readers in alike.values())


def message_of(one: MailingList, posts: Sequence[Post], day: datetime) -> Outgoing:
    """One message with all these posts: what they are about first, then each."""
    with translation.override(one.workspace.language):
        subject = ngettext("[%(title)s] %(n)s message, %(day)s", "[%(title)s] %(n)s messages, %(day)s", len(posts)) % {
            "title": one.title,
            "n": len(posts),
            "day": date_format(day, "j F Y"),
        }
        begin = _("What was written to %(title)s:") % {"title": one.title}
        heads = [f"{n}. {_subject(post)} – {_author(post)}" for n, post in enumerate(posts, 1)]
        parts = ["\n".join([begin, "", *heads])]
        left = MOST_OF_ALL
        for head, post in zip(heads, posts, strict=True):
            said = _text(post)
            shown = said[: min(MOST_OF_ONE, left)].rstrip()
            left -= len(shown)
            if len(shown) < len(said):
                shown += "\n" + _("[The rest is too long for this message.]")
            parts.append(f"{_RULE}\n{head}\n\n{shown}")
        end = _(
            "You take one message a day of this list. To take each, write to %(each)s; to leave the list, to %(leave)s."
        ) % {name: mailing.address_of(one, name) for name in (mailing.EACH, mailing.LEAVE)}
    letter = EmailMessage(policy=SMTP.clone(max_line_length=900))
    letter["MIME-Version"] = "1.0"
    letter.set_content("\n\n".join([*parts, f"{_RULE}\n{end}\n"]), cte="quoted-printable")
    made = mailing.outgoing(one, letter.as_bytes(), "", subject)
    # Each was judged when it was passed on; together they say nothing else.
    return replace(made, verdict=Verdict(ALLOW, 0.0))


def _subject(post: Post) -> str:
    return " ".join(post.subject.split())[:200] or "–"


def _author(post: Post) -> str:
    return " ".join(post.author_name.split()) or post.author.partition("@")[0]


def _text(post: Post) -> str:
    message = read(bytes(post.raw))
    said = (message.text or "").strip() or _("[This message has no text part.]")
    names = [file.filename for file in message.attachments if file.filename]
    return said + ("\n\n" + _("Attached: %(names)s") % {"names": ", ".join(names)} if names else "")
