"""A moderator decides on a message to her mailing list, by the link of the mail that told her: no account is needed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from envol import db_role
from envol.outbound import mailing
from envol.outbound.models import PostState
from envol.web.doors import anybody
from envol.web.public.page import nowhere, page, spoken, switches
from envol.web.public.words import Words
from envol.wire.message.read import read


def _said(request: HttpRequest) -> str:
    return request.POST.get("said", "")[:5000]


@require_http_methods(["GET", "HEAD", "POST"])
@csrf_exempt  # no session is involved: the token in the address is the only key
@anybody
def moderation(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows the message and two buttons, and changes nothing, since scanners follow links; POST decides."""
    with db_role.as_owner():  # the token says whose list it is
        found = mailing.moderation(token)
    if found is None:
        return nowhere(request)
    post, moderator = found
    one = post.mailing_list
    db_role.enter(one.workspace.pk)
    language = spoken(request, "en" if one.workspace.language.startswith("en") else "fr")
    words = Words(language, list=one.title, author=f"{post.author_name} <{post.author}>".strip())
    facts = {
        "words": words,
        "workspace": one.workspace,
        "languages": switches(request, language),
        "here": request.path,
        "post": post,
        "text": (read(bytes(post.raw)).text or "")[:20_000],
    }
    if request.method == "POST":
        act = request.POST.get("act")
        if act in ("accept", "refuse") and mailing.decide(
            post.pk, act == "accept", moderator.address, said=_said(request)
        ):
            said = words("post_accepted" if act == "accept" else "post_refused")
            return page("moderated", language, {**facts, "said": said})
        post.refresh_from_db(fields=["state"])
    if post.state != PostState.HELD:
        return page("moderated", language, {**facts, "said": words("post_decided")})
    return page("moderation", language, facts)
