"""What a mailing list keeps of its posts for its members, or for everybody: their text, and no address in it.

A post is kept for those who could read the archive when it left: who wrote under the eyes of members is not shown to
the world by a later setting. It goes with its author's erasure, by her own hand or a member's of the workspace, and
after two years.
"""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser

from django.db.models import Q, QuerySet
from django.utils import timezone

from envol.contacts import forgotten_words
from envol.outbound.models import MailingList, Post, PostState
from envol.wire.message.read import read

NONE, MEMBERS, PUBLIC = "none", "members", "public"
KEPT = timedelta(days=2 * 365)
MOST_TEXT = 100_000
_ADDRESS = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
NOBODY = "…"


def text_of(raw: bytes) -> str:
    """What a message says, as plain text without anybody's address."""
    message = read(raw)
    said = message.text or _plain(message.html or "")
    return _ADDRESS.sub(f"{NOBODY}@{NOBODY}", said.replace("\r\n", "\n").strip())[:MOST_TEXT]


def keep(one: MailingList, post: Post) -> dict[str, str]:
    """What is written into a post that leaves now."""
    return {
        "archived": "" if one.archive == NONE else one.archive,
        "text": "" if one.archive == NONE else text_of(bytes(post.raw)),
    }


def shown(one: MailingList, *, member: bool, query: str = "") -> QuerySet[Post]:
    """The posts that members, or everybody, may read; with these words in them, all of them, in any order."""
    levels = {NONE: (), MEMBERS: (MEMBERS, PUBLIC), PUBLIC: (MEMBERS, PUBLIC)}[one.archive]
    if not member:
        levels = (PUBLIC,) if one.archive == PUBLIC else ()
    found = one.posts.filter(state=PostState.SENT, archived__in=levels).defer("raw")
    for word in query.split()[:8]:
        found = found.filter(Q(text__icontains=word) | Q(subject__icontains=word) | Q(author_name__icontains=word))
    return found


def remove(post: Post) -> None:
    """Take one message out of the archive; the rest of what is kept of it has its own term."""
    Post.objects.filter(pk=post.pk).update(archived="", text="")


def forget(workspace_id: int, contact_id: int) -> int:
    """Where others' kept messages name somebody who is erased, her name goes; in how many. Before her own posts go."""
    posts = Post.objects.filter(mailing_list__workspace_id=workspace_id)
    names = {tuple(name.split()) for name in _called(posts.filter(contact_id=contact_id)) if " " in name.strip()}
    names |= {one.words for one in forgotten_words.said(workspace_id, contact_id) if one.kind == "name"}
    changed = 0
    for words in names:
        orders = {r"[\s,>]+".join(re.escape(word) for word in order) for order in (words, words[::-1])}
        pattern = re.compile(rf"(?<![^\W_])(?:{'|'.join(sorted(orders))})(?![^\W_])", re.IGNORECASE)
        holding = posts.exclude(contact_id=contact_id).exclude(archived="").filter(text__icontains=words[0])
        for post in holding.only("text", "subject").iterator():
            text, subject = pattern.sub(NOBODY, post.text), pattern.sub(NOBODY, post.subject)
            if (text, subject) != (post.text, post.subject):
                # As it came it names her too, and it has left long ago.
                changed += posts.filter(pk=post.pk).update(text=text, subject=subject, raw=b"")
    return changed


def _called(posts: QuerySet[Post]) -> list[str]:
    return list(posts.exclude(author_name="").values_list("author_name", flat=True).distinct())


def tidy(days: int) -> None:
    """After so many days the archive is all that is kept of a post; after two years nothing is."""
    sent = Post.objects.filter(state=PostState.SENT)
    now = timezone.now()
    sent.exclude(archived="").exclude(raw=b"").filter(received_at__lt=now - timedelta(days=days)).update(raw=b"")
    sent.exclude(archived="").filter(received_at__lt=now - KEPT).delete()
    # A list that has no archive any more keeps none.
    sent.exclude(archived="").filter(mailing_list__archive=NONE).update(archived="", text="")


class _Plain(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style", "head", "title")
        if tag in ("p", "br", "div", "li", "tr", "h1", "h2", "h3"):
            self.said.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in ("script", "style", "head", "title")))

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.said.append(" ".join(data.split()) + " ")


def _plain(html: str) -> str:
    reader = _Plain()
    reader.feed(html[: 4 * MOST_TEXT])
    return re.sub(r"\n\s*\n\s*", "\n\n", "".join(reader.said)).strip()
