"""Mailing lists (RFC 2919, RFC 2369), locked: a post leaves by the hand of a moderator.

Posts come by the inbound. Whose a post is, is believed by an aligned DKIM signature alone: From can be written by
anybody, so a moderator's unsigned post waits until she confirms it by the link in a mail to her. Members' posts wait
for a moderator, unless the list is small and open. Nobody else posts: refused in the session, so nothing is bounced.

The people are those of a contacts' list who allow its purpose, or whom a segment chooses (`list_people`); leaving
takes that back. What the list sends bears our
own From (`wire.message.passed_on`), goes after everything else, and is known again when it comes back: by List-Id,
X-Loop and Message-ID.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from email.utils import parseaddr
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from envol.accounts.journal import note
from envol.accounts.models import Member, Workspace
from envol.audience.models import Segment
from envol.consent.models import Purpose
from envol.contacts.models import Contact, List
from envol.content import links
from envol.db_role import as_owner
from envol.events.writing import request_mail
from envol.outbound import archive, domains, list_people, list_telling, records
from envol.outbound.accept import Outgoing, Refused, accept_post
from envol.outbound.models import DigestItem, Domain, MailingList, Moderator, Post, PostState, Sending
from envol.outbound.records import Resolver, Unknown, lookup, return_host
from envol.wire import list_headers
from envol.wire.address import AddressError, domain_of, normalise
from envol.wire.bounce import Explanation
from envol.wire.dkim_verify import verify
from envol.wire.message.headers import Mailbox
from envol.wire.message.passed_on import Unreadable, author_of, fields_of, pass_on, value_of
from envol.wire.message.read import read

log = structlog.get_logger()

OPEN_MOST = 200
"""Members up to which a list may be open."""
PRIORITY = 8  # behind codes, transactional mail and campaigns (`egress.stream_of`)
LIFETIME = timedelta(days=2)
HELD_DAYS, KEPT_DAYS = 14, 90
MOST_HELD, MOST_OF_AUTHOR = 200, 20  # waiting at once; of one author in a day
REFUSED = "refused: "
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,38}[a-z0-9])?")
_TAKEN = frozenset({"fbl", "replies", "postmaster", "abuse", "dmarc", "tlsrpt", "noreply"})
_RUNS = re.compile(
    r"\.(?:exe|com|scr|pif|bat|cmd|js|jse|vbs|vbe|wsf|hta|msi|jar|lnk|iso|img|docm|xlsm|pptm|ps1)$", re.I
)


JOIN, REQUEST = "join", "request"
"""What anybody writes to, as NAME-join@ (`collect.by_mail`); the other takes a wish as its subject (RFC 2142 §6)."""
DAILY, EACH, LEAVE, HELP = "daily", "each", "leave", "help"
"""What members tell a list by writing to NAME-daily@ and so on (`list_commands`)."""


def address_of(one: MailingList, command: str = "") -> str:
    """Where people write to: at the return host when mail comes home there, else at the domain."""
    host = return_host(one.domain.name) if one.domain.returns_at else one.domain.name
    return f"{one.name}{command and '-'}{command}@{host}"


def found_by(recipient: str) -> MailingList | None:
    """The list that an address names."""
    local, host = recipient.partition("@")[0].lower(), domain_of(recipient)
    names = {host, records.parent_of(host)}
    rows = MailingList.objects.filter(name=local, domain__name__in=names, closed_at=None)
    return rows.select_related("workspace", "domain").order_by("id").first()


# ---- keeping them


class Invalid(ValueError):
    """A list that cannot be so; ``field`` says where."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


def create(
    workspace: Workspace, domain: Domain, name: str, people: List | Segment, purpose: Purpose, **more: Any
) -> MailingList:
    """A new list; its moderators are said by `moderate`. Raises Invalid."""
    if isinstance(people, Segment):
        suit_segment(more)
    name = name.strip().lower()
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise Invalid(
            "name", _("Choose another name: letters, digits, dot and hyphen, and none that is taken already.")
        )
    with as_owner():  # whoever made it: an address names one list
        taken = MailingList.objects.filter(domain__name=domain.name, name=name).exists()
    if taken:
        raise Invalid("name", _("A list of this name exists at this domain."))
    with transaction.atomic():
        carrier = Sending.objects.create(
            workspace=workspace,
            kind="list",
            purpose_id=purpose.pk,
            state="sending",
            priority=PRIORITY,
            lifetime_seconds=int(LIFETIME.total_seconds()),
        )
        made = MailingList.objects.create(
            workspace=workspace,
            domain=domain,
            name=name,
            list_id=people.pk if isinstance(people, List) else None,
            segment_id=people.pk if isinstance(people, Segment) else None,
            purpose_id=purpose.pk,
            sending=carrier,
            **more,
        )
        note(workspace, "member", "mailing_list.made", made)
    return made


def suit_segment(rules: Mapping[str, Any]) -> None:
    """Can a list with these rules reach the people of a segment? Nobody is on it, so nobody writes to it, joins it or
    reads what its people alone may read. Raises Invalid."""
    if rules.get("discussion"):
        raise Invalid("kind", _("To the people of a segment moderators alone write: choose announcements."))
    if rules.get("joins"):
        raise Invalid("joins", _("Nobody joins a segment: its rule chooses the people."))
    if rules.get("archive") == archive.MEMBERS:
        raise Invalid("archive", _("A segment chooses anew for each message: keep no archive, or one for everybody."))


def moderate(one: MailingList, addresses: Sequence[str]) -> None:
    """Say who moderates: at least one address. Raises Invalid."""
    wanted: dict[str, str] = {}
    for address in addresses:
        try:
            read_ = normalise(address)
        except AddressError as error:
            raise Invalid("moderators", error.told(_)) from None
        wanted[read_.key] = read_.written
    if not wanted:
        raise Invalid("moderators", _("A list needs a moderator: write at least one address."))
    with transaction.atomic():
        one.moderators.exclude(key__in=wanted).delete()
        for key, written in wanted.items():
            Moderator.objects.get_or_create(mailing_list=one, key=key, defaults={"address": written})


# ---- a post comes in


def proven(recipient: str, raw: bytes) -> bool:
    """`judge_author`, for posts to a list from somebody who may post; nobody else makes us ask DNS."""
    if links.read_return_path(recipient) is not None or (one := found_by(recipient)) is None:
        return False
    author = author_of(fields_of(raw))
    if author is None:
        return False
    key = normalise(author.address).key
    known = one.moderators.filter(key=key).exists() or (
        one.discussion and Contact.objects.filter(workspace_id=one.workspace_id, email_key=key).exists()
    )
    return known and judge_author(raw)


def judge_author(raw: bytes, resolver: Resolver | None = None) -> bool:
    """Does a signature aligned with From (RFC 9989 §4.4, strict) prove who wrote it? Asks DNS: not in a transaction."""
    author = author_of(fields_of(raw))
    if author is None or b"dkim-signature" not in raw[:65536].lower():
        return False
    asked = resolver or _quick()

    def find(domain: str, selector: str) -> str | None:
        if domain.lower() != domain_of(author.address):
            return None
        try:
            return next(iter(lookup(asked, f"{selector}._domainkey.{domain}", "TXT")), None)
        except Unknown:
            return None

    return any(
        one.ok and one.domain.lower() == domain_of(author.address) for one in verify(raw, find, int(time.time()))
    )


def _quick() -> Resolver:
    resolver = domains.own_resolver()
    resolver.lifetime = 3.0  # type: ignore[attr-defined]
    return resolver


def take(one: MailingList, raw: bytes, found: Explanation, proven: bool) -> str:
    """What becomes of a message to a list: ``post``, ``post held``, what it was instead, or a refusal with a sentence
    for the author's own server to tell."""
    fields = fields_of(raw)
    if found.type != "not_bounce":
        return found.type
    if goes_round(one, fields):
        return "loop"
    author = author_of(fields)
    if author is None:
        return f"{REFUSED}From must name exactly one mailbox"
    key = normalise(author.address).key
    moderator = one.moderators.filter(key=key).exists()
    contact = Contact.objects.filter(workspace_id=one.workspace_id, email_key=key).first()
    if not moderator and not (one.discussion and contact is not None and list_people.is_on(one, contact)):
        return f"{REFUSED}only its {'members' if one.discussion else 'moderators'} write to this list"
    if problem := _unfit(one, raw):
        return REFUSED + problem
    lately = Post.objects.filter(mailing_list=one, author=author.address, received_at__gt=_ago(days=1)).count()
    if lately >= MOST_OF_AUTHOR or one.posts.filter(state=PostState.HELD).count() >= MOST_HELD:
        return f"{REFUSED}too many messages wait; try again tomorrow"
    free = proven and (moderator or (one.open and list_people.members(one) <= OPEN_MOST))
    reason = "" if free else "unproven" if moderator or one.open else "member"
    post = Post.objects.create(
        mailing_list=one,
        author_name=author.name,
        author=author.address,
        contact_id=contact.pk if contact else None,
        subject=value_of(fields, b"subject")[:1000],
        message_id=value_of(fields, b"message-id")[:998],
        raw=raw,
        state=PostState.ACCEPTED if free else PostState.HELD,
        reason=reason,
        proven=proven,
    )
    if free:
        _ask(post)
        return "post"
    _tell_moderators(post, only=key if moderator else None)
    list_telling.waits(post)
    return "post held"


def goes_round(one: MailingList, fields: list[tuple[bytes, bytes]]) -> bool:
    """Mail of a machine or of a list, ours come back above all (RFC 3834 §2, RFC 2919 §2)."""
    if value_of(fields, b"auto-submitted").lower().partition(";")[0].strip() not in ("", "no"):
        return True
    if value_of(fields, b"precedence").lower() in ("bulk", "list", "junk") or value_of(fields, b"list-id"):
        return True
    if value_of(fields, b"x-loop") or sum(name == b"received" for name, _line in fields) > 50:
        return True
    message_id = value_of(fields, b"message-id")[:998]
    return bool(message_id) and one.posts.filter(message_id=message_id).exists()


def _unfit(one: MailingList, raw: bytes) -> str:
    if len(raw) > one.max_kib * 1024:
        return f"this list takes messages up to {one.max_kib} KiB"
    files = read(raw, max_parts=100).attachments
    if any(_RUNS.search(file.filename) for file in files):
        return "this list takes no programs"
    if files and not one.attachments and not all(file.content_id for file in files):
        return "this list takes no attachments"
    return ""


def _ago(**spans: int) -> Any:
    return timezone.now() - timedelta(**spans)


# ---- moderators decide


def _tell_moderators(post: Post, only: str | None) -> None:
    """Write to the moderators; to her alone whose own post waits for her word."""
    one = post.mailing_list
    for moderator in one.moderators.filter(key=only) if only else one.moderators.all():
        link = f"{settings.ENVOL.base_url}/d/{links.token(links.Kind.MODERATION, post.pk, moderator.pk)}"
        facts = {"title": one.title, "author": f"{post.author_name} <{post.author}>".strip(), "subject": post.subject}
        facts |= {"text": (read(bytes(post.raw)).text or "")[:1000], "link": link}
        with translation.override(one.workspace.language):
            if only:
                subject = _("Confirm your message to %(title)s") % facts
                begin = (
                    _("A message in your name came to the list %(title)s. Only you can tell whether it is yours.")
                    % facts
                )
            else:
                subject = _("A message waits: %(title)s") % facts
                begin = _("%(author)s wrote to the list %(title)s.") % facts
            rest = _("Subject: %(subject)s\n\n%(text)s\n\nLet it through or refuse it here:\n\n%(link)s") % facts
        request_mail(
            "list_post",
            moderator.address,
            {"subject": subject, "text": f"{begin}\n\n{rest}"},
            workspace_id=one.workspace_id,
            language=one.workspace.language,
        )


def decide(post_id: int, yes: bool, by: str, member: Member | None = None, *, said: str = "") -> bool:
    """Let a held post through, or refuse it; False when that was decided already. ``said``: why, for its author."""
    with transaction.atomic():
        post = Post.objects.select_for_update().filter(pk=post_id, state=PostState.HELD).first()
        if post is None:
            return False
        post.state = PostState.ACCEPTED if yes else PostState.REFUSED
        post.decided_at, post.decided_by = timezone.now(), by
        post.said = "" if yes else list_telling.cleaned(said)
        post.save(update_fields=["state", "decided_at", "decided_by", "said"])
        one = post.mailing_list
        action = "mailing_list.accepted" if yes else "mailing_list.refused"
        who = "member" if member else "person"
        note(one.workspace, who, action, one, actor_id=member.pk if member else None, post=post.pk)
        if yes:
            _ask(post)
        else:
            list_telling.ended(post)
    return True


def moderation(token: str) -> tuple[Post, Moderator] | None:
    """The post that a moderator's link speaks of; None when it is not ours, or she moderates no more."""
    target = links.read(token, links.Kind.MODERATION)
    if target is None or target.no is None:
        return None
    post = Post.objects.select_related("mailing_list__workspace").filter(pk=target.sending_id).first()
    moderator = Moderator.objects.filter(pk=target.no).first()
    if post is None or moderator is None or moderator.mailing_list_id != post.mailing_list_id:
        return None
    return post, moderator


# ---- it leaves


def _ask(post: Post) -> None:
    from envol.outbound import tasks

    tasks.distribute.defer(post_id=post.pk)


def distribute(post_id: int) -> int | None:
    """Queue a post for everybody of its list who may get it, once; how many. None: it is not to be sent (any more)."""
    with transaction.atomic():
        post = Post.objects.select_for_update().filter(pk=post_id, state=PostState.ACCEPTED).first()
        if post is None:
            return None
        one = locked(post.mailing_list_id)
        try:
            message = _made(one, post)
            people = list_people.reached(one)
            accept_post(one.sending_id, PRIORITY, message, _at_once(one, post, people), one.purpose_id)
        except (Refused, Unreadable, ValueError) as error:
            log.warning("a post cannot leave", post=post.pk, why=str(error))
            Post.objects.filter(pk=post.pk).update(state=PostState.HELD, reason="cannot leave")
            return None
        kept = archive.keep(one, post)
        Post.objects.filter(pk=post.pk).update(state=PostState.SENT, people=len(people), **kept)
    return len(people)


def locked(list_id: int) -> MailingList:
    """A list, for the caller's transaction alone: who takes what how is settled one after another."""
    return MailingList.objects.select_for_update(of=("self",)).select_related("workspace", "domain").get(pk=list_id)


def _at_once(one: MailingList, post: Post, people: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Those who take each message; for the others it waits for their message of the day."""
    daily = set(one.daily_readers.values_list("contact_id", flat=True))
    DigestItem.objects.bulk_create(
        [DigestItem(mailing_list=one, post=post, contact_id=pk) for pk, _address in people if pk in daily],
        ignore_conflicts=True,
    )
    return [person for person in people if person[0] not in daily]


def _made(one: MailingList, post: Post) -> Outgoing:
    """The post as the list sends it: From ours, replies to the list or to who wrote it."""
    name = post.author_name or parseaddr(post.author)[1].partition("@")[0]
    tag = f"[{one.title}] "
    subject = post.subject if not one.prefix or tag.strip() in post.subject else tag + post.subject
    reply_to = None if one.discussion else Mailbox(post.author_name, post.author)
    return outgoing(one, bytes(post.raw), name, subject, reply_to, post=post.pk)


def outgoing(
    one: MailingList, raw: bytes, name: str, subject: str, reply_to: Mailbox | None = None, **facts: int
) -> Outgoing:
    """A message in the list's own name. ``name``: who speaks; ``reply_to``: who is answered, instead of the list.

    Raises `Unreadable`.
    """
    mine, home = f"{one.name}@{one.domain.name}", address_of(one)
    label = one.title if one.title.isascii() else ""
    extra = [
        ("List-Id", list_headers.list_id(f"{one.name}.{one.domain.name}", label)),
        ("List-Post", f"<mailto:{home}>" if one.discussion else "NO"),
        ("List-Owner", f"<mailto:postmaster@{domain_of(home)}>"),
        ("List-Help", f"<mailto:{address_of(one, HELP)}>"),
        ("Precedence", "list"),
        ("X-Loop", home),
    ]
    if one.joins:
        extra.append(("List-Subscribe", f"<mailto:{address_of(one, JOIN)}>"))
    if one.archive == archive.PUBLIC:
        extra.append(("List-Archive", f"<{settings.ENVOL.base_url}/l/at/{home}>"))
    sent = pass_on(
        raw,
        sender=Mailbox(f"{name} – {one.title}" if name else one.title, mine),
        to=[Mailbox(one.title, home)],
        reply_to=[reply_to or Mailbox(one.title, home)],
        subject=" ".join(subject.split())[:900],
        extra=extra,
    )
    return Outgoing(
        one.workspace_id,
        (name, mine),
        [("", home)],
        subject=subject,
        raw=sent,
        facts={"by": "list", "leave": True, **facts},
    )


# ---- nothing stays for ever


def tidy() -> None:
    """Held posts that nobody decided on expire, and their authors hear it; what was sent or refused is forgotten after
    a while."""
    old = Post.objects.filter(state=PostState.HELD, received_at__lt=_ago(days=HELD_DAYS))
    for pk in list(old.values_list("pk", flat=True)):
        with transaction.atomic():
            post = Post.objects.select_for_update().filter(pk=pk, state=PostState.HELD).first()
            if post is not None:
                post.state, post.decided_at = PostState.EXPIRED, timezone.now()
                post.save(update_fields=["state", "decided_at"])
                list_telling.ended(post)
    archive.tidy(KEPT_DAYS)
    Post.objects.exclude(state__in=[PostState.HELD, PostState.ACCEPTED]).filter(
        archived="", received_at__lt=_ago(days=KEPT_DAYS)
    ).delete()
