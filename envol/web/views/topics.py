"""What do people care for? Topics, how their articles are known, and who cares for each."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.jobs import cancel
from envol.accounts.models import Job, Role, Workspace
from envol.audience import interests, tasks, topics
from envol.audience.catalogue import Catalogue
from envol.audience.models import Inference, Topic
from envol.audience.offers import CATEGORY, Offers
from envol.campaigns import checks
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.purchases import opened
from envol.web.templatetags.envol import label
from envol.web.views.campaigns import one as one_campaign

BUSY = ("waiting", "running")
MOST_LINKS = 100


def _edits(request: HttpRequest) -> bool:
    return bool(request.member.role != Role.VIEWER)  # type: ignore[attr-defined]


def _job(workspace: Workspace) -> Job | None:
    return Job.objects.filter(workspace=workspace, kind=tasks.INTERESTS).order_by("-pk").first()


@require_safe
@audience(Role.VIEWER)
def topics_page(request: MemberRequest) -> HttpResponse:
    """The topics with their people. For htmx, while interests are inferred: how far that is."""
    job = _job(request.workspace)
    busy = job is not None and job.state in BUSY
    if request.headers.get("HX-Request") == "true":
        answer = render(request, "audience/_topics_job.html", {"job": job, "busy": busy})
        if not busy:
            answer["HX-Refresh"] = "true"
        answer["Cache-Control"] = "no-store"
        patch_vary_headers(answer, ["HX-Request"])
        return answer
    return _page(request, job=job, busy=busy)


def _page(request: MemberRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    workspace: Workspace = request.workspace
    counted = interests.counts(workspace)
    lines = []
    for topic in topics.of(workspace):
        found = counted.get(topic.pk, {})
        lines.append(
            {
                "topic": topic,
                "articles": topic.articles.count(),
                "refused": found.get("refused", 0),
                **{
                    origin: _behind(request, topic, origin, found.get(origin, 0)) for origin in ("declared", "inferred")
                },
            }
        )
    facts: dict[str, Any] = {
        "lines": lines,
        "inference": Inference.objects.filter(workspace=workspace).first(),
        "given": {},
        "least": interests.LEAST,
        "window": interests.WINDOW,
    }
    answer = render(request, "audience/topics.html", facts | more, status=status)
    patch_vary_headers(answer, ["HX-Request"])
    return answer


def _behind(request: MemberRequest, topic: Topic, origin: str, people: int) -> dict[str, Any]:
    """A figure and the segment of the people it counts."""
    rule = {"field": "interest", "op": "has_any", "value": [topic.key], "where": {"origin": origin}}
    return {"people": people, "href": opened(label(topic), rule) if people and _edits(request) else ""}


def _written(request: MemberRequest) -> topics.Written:
    posted = request.POST
    more = [part for text in posted.getlist("categories_more") for part in text.replace(";", ",").split(",")]
    return topics.Written(
        posted.get("label_fr", ""),
        posted.get("label_en", ""),
        [*posted.getlist("categories"), *more],
        posted.get("addresses", "").splitlines(),
        [pair.split("=", 1) for pair in posted.getlist("said_by") if "=" in pair],
    )


@require_POST
@audience(Role.EDITOR)
def new_topic(request: MemberRequest) -> HttpResponse:
    written = _written(request)
    try:
        made = topics.create(request.workspace, written, actor_id=request.member.pk)
    except topics.TopicProblem as problem:
        return _page(request, status=422, given=written._asdict(), problem=str(problem))
    said = _("The topic “%(name)s” is made. Now say how its articles and products are known.") % {"name": label(made)}
    return see(request, "topic", made.pk, said=said)


def _one(request: MemberRequest, topic_id: int) -> Topic:
    found = Topic.objects.filter(workspace=request.workspace, pk=topic_id, removed_at=None).first()
    if found is None:
        raise Http404
    return found


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def topic(request: MemberRequest, topic_id: int) -> HttpResponse:
    found = _one(request, topic_id)
    if request.method != "POST":
        kept = topics.Written(found.label_fr, found.label_en, found.categories, found.addresses, found.said_by)
        return _topic(request, found, kept)
    if request.POST.get("act") == "remove":
        try:
            back = topics.remove(found, actor_id=request.member.pk)
        except topics.TopicProblem as problem:
            return refuse(request, "topic", found.pk, said=str(problem))
        said = _("The topic “%(name)s” is hidden; in a week it goes with everybody's interest in it.")
        return see(request, "topics", said=said % {"name": label(found)}, undo=back)
    written = _written(request)
    try:
        topics.change(found, written, actor_id=request.member.pk)
    except topics.TopicProblem as problem:
        return _topic(request, found, written, status=422, problem=str(problem))
    return see(request, "topic", found.pk, said=_("Saved; what is inferred follows it tonight, or when you ask."))


def _said(workspace: Workspace, chosen: set[tuple[str, str]]) -> list[dict[str, Any]]:
    """Values of fields that people chose, which may say the interest."""
    fields = [
        field
        for field in Catalogue(workspace).fields.values()
        if field.key.startswith("prop.") and field.kind in ("choice", "list") and not field.sensitive
    ]
    made = []
    for field in fields:
        values = [(str(c.value), c.label_fr if get_language() == "fr" else c.label_en) for c in field.choices]
        boxes = [(f"{field.inner}={value}", name, (field.inner, value) in chosen) for value, name in values[:50]]
        if boxes:
            made.append({"name": field.label(get_language() or "en"), "boxes": boxes})
    return made


def _topic(
    request: MemberRequest, found: Topic, written: topics.Written, *, status: int = 200, problem: str = ""
) -> HttpResponse:
    chosen = [one.lower() for one in written.categories]
    offered = {}
    for offer in Offers(Catalogue(request.workspace)).values(CATEGORY):
        offered.setdefault(offer.value.lower(), offer)
    boxes = [(one, offered[one].people if one in offered else None, one in chosen) for one in [*chosen, *offered]]
    facts = {
        "topic": found,
        "written": written,
        "boxes": list(dict.fromkeys(boxes)),
        "said": _said(request.workspace, {(key, value) for key, value in written.said_by}),
        "addresses": "\n".join(written.addresses),
        "articles": list(found.articles.order_by("article").values_list("article", flat=True)[:50]),
        "problem": problem,
        "users": topics.used_by(found),
    }
    return render(request, "audience/topic.html", facts, status=status)


@require_POST
@audience(Role.EDITOR)
def infer_interests(request: MemberRequest) -> HttpResponse:
    """Begin to infer, or stop."""
    workspace: Workspace = request.workspace
    if request.POST.get("act") == "cancel":
        job = _job(workspace)
        if job is None or not cancel(job.pk):
            return refuse(request, "topics", said=_("Nothing is running any more."))
        return see(request, "topics", said=_("It stops at the next step; interests stay as they were."))
    if not topics.of(workspace):
        return refuse(request, "topics", said=_("Make a topic first: interests are interests in something."))
    tasks.start_interests(workspace)
    return see(request, "topics")


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def campaign_topics(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """Which topics the links of a campaign are about; an address keeps its topics in every letter."""
    campaign = one_campaign(request, campaign_id)
    version = checks.latest_version(campaign)
    links: dict[str, dict[str, Any]] = {}
    articles = topics.Articles(request.workspace)
    for link in version.links[:MOST_LINKS] if version else ():
        url = str(link["url"])
        if "{" in url:
            continue
        article = topics.article_of(url)
        given = articles.given.get(article, set())
        links.setdefault(
            article,
            {
                "no": int(link["no"]),
                "url": url,
                "label": link.get("label") or url,
                "article": article,
                "given": given,
                "by_part": articles.by_part(article),
                "never": topics.sensitive(article),
            },
        )
    if request.method == "POST":
        changed = 0
        for link in links.values():
            if link["never"]:
                continue
            ticked = {int(n) for n in request.POST.getlist(f"link_{link['no']}") if n.isascii() and n.isdigit()}
            changed += topics.give(request.workspace, link["url"], ticked - link["by_part"], actor_id=request.member.pk)
        said = _("Saved; what is inferred follows it tonight, or when you ask.") if changed else _("It was so already.")
        return see(request, "campaign_topics", campaign.pk, said=said)
    facts = {"campaign": campaign, "links": list(links.values()), "topics": articles.topics}
    return render(request, "campaigns/topics.html", facts)
