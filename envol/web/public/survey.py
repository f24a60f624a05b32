"""Why so little? A question to somebody who hardly reads what she gets; one answer, by POST alone."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from envol.audience import reasons
from envol.content.links import Kind
from envol.web.doors import anybody
from envol.web.public import choices
from envol.web.public.page import nowhere, page, spoken
from envol.web.public.views import facts_of, posted, survey_of, words_of


@require_http_methods(["GET", "HEAD", "POST"])
@csrf_exempt  # no session is involved: the token in the address is the only key
@anybody
def survey(request: HttpRequest, token: str) -> HttpResponse:
    """GET asks, POST keeps one answer. The link to unsubscribe opens it too, for whoever has just left."""
    who = choices.visitor(token, Kind.SURVEY, Kind.UNSUBSCRIBE, Kind.PREFERENCES)
    if who is None:
        return nowhere(request)
    language = spoken(request, who.language)
    words = words_of(who, language)
    facts = {**facts_of(request, who, words), "reasons": survey_of(words), "chosen": "", "said": "", "wrong": ""}
    if request.method != "POST" or who.contact is None:
        return page("survey", language, facts)
    form = posted(request)
    reason, said = form.get("reason", ""), form.get("words", "")[:2000]
    if reason not in reasons.ANSWERS:
        return page("survey", language, {**facts, "wrong": words("survey_needed"), "typed": said}, status=422)
    source = "unsubscribed" if form.get("from") == "unsubscribed" else "survey"
    reasons.answer(who.workspace, who.contact.id, reason, said, source)
    return page("survey", language, {**facts, "said": words("survey_done"), "chosen": reason, "typed": said})
