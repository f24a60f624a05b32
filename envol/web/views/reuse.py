"""Use existing data for another purpose: five questions, an answer that is kept, and what follows from it."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from envol.accounts.models import Role
from envol.consent import reuse as service
from envol.consent.models import Assessment, Purpose
from envol.contacts import fields
from envol.contacts.models import Property
from envol.web.answers import see
from envol.web.doors import MemberRequest, audience
from envol.web.templatetags.envol import label
from envol.web.views.desk import WRITES, may_write

OUTCOMES = {
    service.COMPATIBLE: (gettext_lazy("the new purpose is compatible"), "ok"),
    service.NOT_COMPATIBLE: (gettext_lazy("the new purpose is not compatible: leave it, or ask for consent"), "bad"),
    service.CONSENT: (gettext_lazy("only people's consent can allow it: ask them"), "warn"),
}
_MOST = 4000


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.VIEWER)
def reuse(request: MemberRequest, purpose_id: int) -> HttpResponse:
    """The data of one purpose: which of them, for which other purpose, weighed how; what was weighed before."""
    source = Purpose.objects.select_related("workspace").filter(workspace=request.workspace, pk=purpose_id).first()
    if source is None:
        raise Http404
    given = request.POST if request.method == "POST" else request.GET
    chosen = {int(one) for one in given.getlist("field") if one.isascii() and one.isdigit() and len(one) < 18}
    targets = service.targets(source)
    target = next((one for one in targets if str(one.pk) == given.get("target", "")), None)
    typed = {name: given.get(name, "").replace("\r\n", "\n").replace("\0", "")[:_MOST] for name in service.FACTORS}
    ticked = set(given.getlist("sign")) & set(service.SIGNS)
    wrong: dict[str, str] = {}
    if request.method == "POST":
        if not may_write(request):
            return render(request, "errors/forbidden.html", {"least": WRITES}, status=403)
        try:
            made = service.weigh(
                source, target or source, chosen, typed, ticked, given.get("agrees") == "yes",
                member_id=request.member.pk,
            )  # fmt: skip
        except service.Refusal as error:
            wrong[error.at] = str(error)
        else:
            return see(request, "reuse", source.pk, said=_follow(request, made, chosen), anchor="weighed")
    held = service.fields(request.workspace, source)
    facts: dict[str, Any] = {
        "purpose": source,
        "label": label(source),
        "targets": [{"pk": one.pk, "label": label(one), "on": one == target} for one in targets],
        "fields": [{"flow": one, "on": one.ref in chosen} for one in held],
        "factors": [
            {"name": name, "words": words, "text": typed[name], "wrong": wrong.get(name, "")}
            for name, words in service.FACTORS.items()
        ],
        "signs": _signs(source, target, {one.ref for one in held if one.ref is not None}, ticked),
        "weighed": [_line(one) for one in service.of(source)],
        "wrong": wrong,
        "may_write": may_write(request),
    }
    return render(request, "consent/desk/reuse.html", facts, status=422 if wrong else 200)


def _signs(source: Purpose, target: Purpose | None, held: set[int], ticked: set[str]) -> list[dict[str, Any]]:
    """What the database shows is ticked for good; that some of the fields are sensitive depends on which are chosen."""
    shown = service.seen(source, target or source, held)
    if target is None:
        shown = {name: said for name, said in shown.items() if name in ("consent", "sensitive")}
    return [
        {
            "name": name,
            "words": words,
            "seen": shown.get(name, ""),
            "fixed": name in shown and name != "sensitive",
            "on": name in ticked or name in shown,
        }
        for name, words in service.SIGNS.items()
    ]


def _line(one: Assessment) -> dict[str, Any]:
    words, tone = OUTCOMES[one.outcome]
    signs = [service.SIGNS[name] for name in one.answers.get("signs", []) if name in service.SIGNS]
    factors = [(words, one.answers.get(name, "")) for name, words in service.FACTORS.items()]
    return {
        "one": one,
        "label": label(one.purpose),
        "words": words,
        "tone": tone,
        "signs": signs,
        "factors": factors,
        "fields": ", ".join(one.answers.get("fields", [])),
    }


def _follow(request: MemberRequest, made: Assessment, chosen: set[int]) -> str:
    """What the answer changes: where it is compatible the chosen fields serve the new purpose from now on."""
    if made.outcome != service.COMPATIBLE:
        return _("Kept. Nothing was changed: %(outcome)s.") % {"outcome": OUTCOMES[made.outcome][0]}
    with transaction.atomic():
        for one in Property.objects.filter(workspace=request.workspace, pk__in=chosen):
            if not one.purposes >> made.purpose.bit & 1:
                fields.serve(one, made.purpose, actor_id=request.member.pk)
    return _(
        "Kept, and the fields serve the new purpose from now on. Tell people before you use them so (art. 13(3)):"
        " publish a notice that says it."
    )
