"""Topics: what they are called, which articles and products are theirs, and which subjects are no topic at all."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from envol.accounts import undo
from envol.accounts.journal import note
from envol.accounts.models import Member, Undo, Workspace
from envol.audience.models import Segment, Topic, TopicArticle
from envol.db import execute

REMOVED = "topic.removed"
MOST = 100
MOST_PARTS = 50
LABEL = 80

# Subjects of which nothing may be inferred or kept (GDPR art. 9): beginnings of words, without accents.
_SENSITIVE = re.compile(
    r"\b("
    # health
    r"sante\b|health|malad|medic|diabet|cancer|tumeur|tumou?r|vih\b|hiv\b|sida\b|aids\b|depress|anxi|addict|alcool|"
    r"handicap|disab|grossesse|enceinte|pregnan|fertil|infertil|obes|psychi|autis|allerg|therap|hopital|hospitals?\b|clinique|"
    # religion and belief
    r"relig|eglise|church|catho|chretien|christian|protestant|musulman|muslim|islam|coran|quran|juif|juive|jewish|judai|"
    r"torah|halal|casher|kosher|boudd|buddh|hindou|hindu|athe[ei]|sectes?\b|priere|prayer|ramadan|careme|"
    # politics and unions
    r"politi|election|parti socialiste|republicain|republican|democrat|communis|socialis|"
    r"ecologis|nationalis|gauche|droite|"
    r"syndic|union member|trade union|greve|strike\b|militan|"
    # sexuality
    r"sexu|gay\b|gays\b|lesb|lgbt|homosex|homoparent|heterosex|bisex|transgen|transidenti|erotis|erotic|porn|"
    # origin
    r"ethni|racia|racis|arabes?\b|roms?\b|tsigan"
    r")"
)

LinksOf = Callable[[Sequence[int]], Iterable[tuple[int, int, str]]]
_links: list[LinksOf] = []


class TopicProblem(ValueError):
    """A topic that cannot be kept so; the sentence says what to do."""


class Written(NamedTuple):
    label_fr: str
    label_en: str
    categories: Sequence[str] = ()
    addresses: Sequence[str] = ()
    said_by: Sequence[Sequence[str]] = ()


def register_links(links: LinksOf) -> None:
    """Called at start by the room that sends: sending ids → (sending, number of a link, its address)."""
    _links.append(links)


def links_of(sendings: Sequence[int]) -> list[tuple[int, int, str]]:
    return [one for links in _links for one in links(sendings)]


def folded(text: str) -> str:
    """Small letters without accents."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in apart if not unicodedata.combining(c))


def sensitive(text: str) -> bool:
    """Does this speak of health, belief, politics, unions, sexuality or origin?"""
    return bool(_SENSITIVE.search(re.sub(r"[-_/.+%]+", " ", folded(text))))


def article_of(url: str) -> str:
    """What makes an address this article and no other: host, path and query, without campaign marks and fragment."""
    parts = urlsplit(url.strip())
    query = urlencode([(k, v) for k, v in parse_qsl(parts.query) if not k.lower().startswith("utm_")])
    return f"{parts.netloc.lower()}{parts.path.rstrip('/') or '/'}{'?' + query if query else ''}"[:500]


def of(workspace: Workspace) -> list[Topic]:
    return list(Topic.objects.filter(workspace=workspace, removed_at=None).order_by("label_fr", "pk"))


def _clean(written: Written) -> Written:
    fr, en = (" ".join(text.split()) for text in (written.label_fr, written.label_en))
    if not 0 < len(fr) <= LABEL or not 0 < len(en) <= LABEL or "\0" in fr + en:
        raise TopicProblem(_("Give it a name of 1 to %(n)s characters in French and in English.") % {"n": LABEL})
    categories = list(dict.fromkeys(one.strip().lower() for one in written.categories if one.strip()))
    addresses = list(dict.fromkeys(one.strip().lower() for one in written.addresses if one.strip()))
    said_by = sorted({(str(key), str(value)) for key, value in written.said_by})
    for one in (fr, en, *categories, *addresses, *(value for _key, value in said_by)):
        if sensitive(one):
            said = _(
                "“%(text)s” touches health, belief, politics, unions, sexuality or origin: no interest may be kept on"
                " it (GDPR art. 9). Choose another subject."
            )
            raise TopicProblem(said % {"text": one})
        if len(one) > 200 or "\0" in one:
            raise TopicProblem(_("This text is longer than %(n)s characters; shorten it.") % {"n": 200})
    if max(len(categories), len(addresses), len(said_by)) > MOST_PARTS:
        raise TopicProblem(_("A topic has at most %(n)s categories and parts of addresses.") % {"n": MOST_PARTS})
    for one in addresses:
        if len(one) < 3:
            raise TopicProblem(_("“%(text)s” is too short: it would fit nearly every address.") % {"text": one})
    return Written(fr, en, categories, addresses, [list(pair) for pair in said_by])


def create(workspace: Workspace, written: Written, *, actor_id: int | None = None) -> Topic:
    """A new topic. Raises :class:`TopicProblem`."""
    good = _clean(written)
    with transaction.atomic():
        if Topic.objects.filter(workspace=workspace, removed_at=None).count() >= MOST:
            raise TopicProblem(_("There are %(n)s topics already; change one of them.") % {"n": MOST})
        _free(workspace, good, None)
        stem = re.sub(r"[^a-z0-9]+", "_", folded(good.label_en)).strip("_")[:50] or "topic"
        taken = set(Topic.objects.filter(workspace=workspace).values_list("key", flat=True))
        key = next(k for n in range(1, 10_000) if (k := stem if n == 1 else f"{stem}_{n}") not in taken)
        made = Topic.objects.create(workspace=workspace, key=key, **good._asdict())
        note(workspace, "member", "topic.created", made, actor_id=actor_id, topic=key)
    return made


def change(topic: Topic, written: Written, *, actor_id: int | None = None) -> None:
    """Other names, other articles; the next inference follows. Raises :class:`TopicProblem`."""
    good = _clean(written)
    _free(topic.workspace, good, topic)
    for name, value in good._asdict().items():
        setattr(topic, name, value)
    topic.save(update_fields=list(good._asdict()))
    note(topic.workspace, "member", "topic.changed", topic, actor_id=actor_id, topic=topic.key)


def _free(workspace: Workspace, written: Written, but: Topic | None) -> None:
    others = Topic.objects.filter(workspace=workspace, removed_at=None).exclude(pk=but.pk if but else 0)
    for fr, en in others.values_list("label_fr", "label_en"):
        if folded(fr) == folded(written.label_fr) or folded(en) == folded(written.label_en):
            raise TopicProblem(_("There is a topic “%(name)s” already; choose another name.") % {"name": fr})


def used_by(topic: Topic) -> list[str]:
    """Segments that speak of it."""
    found = Segment.objects.filter(workspace=topic.workspace).order_by("name")
    return [one.name for one in found if _mentions(one.tree, topic.key)]


def _mentions(node: Any, key: str) -> bool:
    if not isinstance(node, dict):
        return False
    value = node.get("value")
    if node.get("field") == "interest" and isinstance(value, list) and key in value:
        return True
    return any(_mentions(item, key) for item in node.get("rules", ()))


def remove(topic: Topic, *, actor_id: int | None = None) -> Undo:
    """Hide it at once; its undo is open for a week. Raises :class:`TopicProblem` when a segment speaks of it."""
    if users := used_by(topic):
        said = _("“%(name)s” is used by %(users)s; change those first.")
        raise TopicProblem(said % {"name": topic.label_fr, "users": ", ".join(users[:10])})
    with transaction.atomic():
        Topic.objects.filter(pk=topic.pk).update(removed_at=Now())
        entry = note(topic.workspace, "member", "topic.removed", topic, actor_id=actor_id, topic=topic.key)
        return undo.offer(entry, REMOVED, {"id": topic.pk})


def bring_back(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    """The undo of a removal."""
    found = Topic.objects.filter(workspace=workspace, pk=facts["id"], removed_at__isnull=False).first()
    if found is None:
        raise undo.CannotUndo(_("This topic is gone for good, or back already."))
    try:
        _free(workspace, Written(found.label_fr, found.label_en), found)
    except TopicProblem as problem:
        raise undo.CannotUndo(str(problem)) from None
    Topic.objects.filter(pk=found.pk).update(removed_at=None)
    return _("The topic is back with everybody's interest in it.")


def sweep() -> int:
    """Delete what was removed a week ago, with everybody's interest in it; how many topics went."""
    old = list(Topic.objects.filter(removed_at__lt=timezone.now() - undo.KEPT))
    for topic in old:
        execute("DELETE FROM audience_interest WHERE topic_id = %s", [topic.pk])
        topic.delete()
    return len(old)


# -- articles ----------------------------------------------------------------------------------


class Articles:
    """Which topics an address has: given by hand, or by a part of it. Read once, asked many times."""

    def __init__(self, workspace: Workspace) -> None:
        self.topics = of(workspace)
        self.given: dict[str, set[int]] = {}
        kept = TopicArticle.objects.filter(topic__in=self.topics).values_list("article", "topic_id")
        for article, topic in kept:
            self.given.setdefault(article, set()).add(topic)

    def by_part(self, article: str) -> set[int]:
        low = article.lower()
        return {topic.pk for topic in self.topics if any(part in low for part in topic.addresses)}

    def of(self, url: str) -> tuple[str, set[int]]:
        """The article, and the ids of its topics; none where the address itself touches what must not be known."""
        article = article_of(url)
        if sensitive(article):
            return article, set()
        return article, self.given.get(article, set()) | self.by_part(article)


def give(workspace: Workspace, url: str, topic_ids: Iterable[int], *, actor_id: int | None = None) -> bool:
    """The topics that this address has by hand are these; whether anything changed. Raises :class:`TopicProblem`."""
    article = article_of(url)
    known = {topic.pk for topic in of(workspace)}
    wanted = {pk for pk in topic_ids if pk in known}
    if wanted and sensitive(article):
        said = _(
            "“%(text)s” touches health, belief, politics, unions, sexuality or origin: no interest may be kept on"
            " it (GDPR art. 9). Choose another subject."
        )
        raise TopicProblem(said % {"text": article[:100]})
    with transaction.atomic():
        kept = TopicArticle.objects.filter(topic__workspace=workspace, topic__in=known, article=article)
        before = set(kept.values_list("topic_id", flat=True))
        kept.exclude(topic_id__in=wanted).delete()
        TopicArticle.objects.bulk_create(TopicArticle(topic_id=pk, article=article) for pk in wanted - before)
        if wanted != before:
            note(workspace, "member", "topic.given", actor_id=actor_id, article=article, topics=sorted(wanted))
    return wanted != before
