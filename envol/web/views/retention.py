"""How long do we keep people's data, what goes next, and whom does a dispute hold?"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from envol.accounts.models import Role
from envol.consent import registry, tasks
from envol.consent import retention as terms
from envol.consent.models import Hold
from envol.contacts.models import Contact
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience, may
from envol.wire.address import AddressError, normalise

CATEGORIES = {
    "prospects": (
        gettext_lazy("People who never ordered"),
        gettext_lazy("since the last click, answer or permission of the person; an open does not count"),
    ),
    "customers": (
        gettext_lazy("People who ordered"),
        gettext_lazy("since the last order, click, answer or permission of the person"),
    ),
    "messages": (
        gettext_lazy("Words of single messages"),
        gettext_lazy("since they were handed in, once they arrived or failed; who got one and when stays"),
    ),
    "metadata": (
        gettext_lazy("Who got which message, when, and how it ended"),
        gettext_lazy("since it was handed in; the totals of reports stay"),
    ),
    "requests": (gettext_lazy("Requests about data"), gettext_lazy("since the answer")),
    "evidence": (
        gettext_lazy("Proofs of permissions"),
        gettext_lazy("since they were brought, once no answer of anybody names them"),
    ),
    "refusals": (gettext_lazy("Refusals that ended"), gettext_lazy("since they ended; those in force stay")),
    "processors": (gettext_lazy("Recipients of data"), gettext_lazy("since the contract ended")),
}


def _page(request: MemberRequest, status: int = 200, **more: Any) -> HttpResponse:
    workspace = request.workspace
    job = tasks.last_preview(workspace)
    found = job.result if job and job.state == "done" else {}
    lines = [
        {
            "term": one,
            "label": CATEGORIES[one.key][0],
            "counted": CATEGORIES[one.key][1],
            "over": min(found[one.key], terms.MOST) if one.key in found else None,
            "more": found.get(one.key, 0) > terms.MOST,
        }
        for one in terms.terms(workspace.pk)
    ]
    holds = list(Hold.objects.filter(workspace_id=workspace.pk, until=None).order_by("-since")[:200])
    people = Contact.objects.filter(workspace_id=workspace.pk).in_bulk([one.contact_id for one in holds])
    facts = {
        "lines": lines,
        "job": job,
        "kept": _kept(),
        "going": bool(job and job.state in ("waiting", "running")),
        "holds": [{"row": one, "person": people.get(one.contact_id)} for one in holds],
        "may_edit": may(request, Role.OWNER),
        **more,
    }
    return render(request, "consent/retention.html", facts, status=status)


def _kept() -> list[dict[str, str]]:
    """Every table that holds data of people with how long, as its room says: what goes by a term of its own too."""
    found = [
        {"content": _(one.content), "kept": _(one.retention)}
        for room in registry.data_map().values()
        for one in room
        if one.personal
    ]
    return sorted(found, key=lambda one: one["content"].casefold())


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.VIEWER)
def retention(request: MemberRequest) -> HttpResponse:
    """The terms with where they come from; by POST a term, the dry run or a hold."""
    if request.method != "POST":
        return _page(request)
    if not may(request, Role.OWNER):
        return render(request, "errors/forbidden.html", {"least": Role.OWNER}, status=403)
    act, typed = request.POST.get("act", ""), {k: str(v) for k, v in request.POST.items()}
    me = request.member.pk
    try:
        if act == "preview":
            tasks.start_preview(request.workspace, me)
            return see(request, "retention", said=_("Being counted: nothing is deleted by it. Look again in a moment."))
        if act == "hold":
            key = normalise(typed.get("address", "")).key
            person = Contact.objects.filter(workspace_id=request.workspace.pk, email_key=key).first()
            if person is None:
                raise ValueError(_("Nobody here has this address."))
            terms.hold(request.workspace, person.pk, typed.get("why", ""), me)
            return see(
                request, "retention", said=_("Held: this person's data outlast their term until you release it.")
            )
        months = typed.get("months", "")
        number = int(months) if months.isascii() and months.isdigit() and len(months) < 5 else 0
        terms.change(request.workspace, typed.get("category", ""), number, typed.get("reason", ""), me)
        return see(request, "retention", said=_("Saved; it counts from tonight."))
    except AddressError:
        return _page(request, 422, wrong=_("Write one whole address, such as name@domain.org."), typed=typed)
    except ValueError as error:
        return _page(request, 422, wrong=str(error), typed=typed)


@require_POST
@audience(Role.OWNER)
def release_hold(request: MemberRequest) -> HttpResponse:
    number = request.POST.get("hold", "")
    known = number.isascii() and number.isdigit() and len(number) < 18
    if not known or not terms.release(request.workspace, int(number), request.member.pk):
        return refuse(request, "retention", said=_("This hold is released already."))
    return see(request, "retention", said=_("Released: the term counts again."))
