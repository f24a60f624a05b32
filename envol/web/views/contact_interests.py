"""What she cares for, on her page: said, inferred with why, or refused; a member writes down what she was told."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from envol.accounts.models import Role
from envol.audience import interests, topics
from envol.contacts.models import Contact
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.templatetags.envol import label


def cared_for(workspace: Any, person: Contact) -> dict[str, Any]:
    """The facts of the card; empty where the organisation has no topics."""
    known = topics.of(workspace)
    if not known:
        return {}
    found = interests.of_person(workspace, person.id)
    spoken = {one.topic.pk for one in found}
    return {
        "declared": [one for one in found if one.origin == "declared"],
        "inferred": [one for one in found if one.origin == "inferred"],
        "refused": [one for one in found if one.origin == "refused"],
        "others": [one for one in known if one.pk not in spoken],
    }


@require_POST
@audience(Role.EDITOR)
def change_interest(request: MemberRequest, contact_id: int) -> HttpResponse:
    from envol.web.views.contact import one

    person = one(request, contact_id)
    wanted = request.POST.get("topic", "")
    known = {str(topic.pk): topic for topic in topics.of(request.workspace)}
    topic, act = known.get(wanted), request.POST.get("act", "")
    answer = {"declare": "declared", "refuse": "refused", "forget": ""}.get(act)
    if topic is None or answer is None:
        return refuse(request, "contact", person.id, said=_("Choose a topic first; nothing was changed."))
    back = interests.written_down(request.workspace, person.id, topic, answer, actor_id=request.member.pk)
    if back is None:
        return see(request, "contact", person.id, said=_("It was so already."), anchor="interests")
    said = {
        "declared": _("Written down: interested in “%(topic)s”."),
        "refused": _("Written down: not interested in “%(topic)s”; nothing is inferred on it for a year."),
        "": _("“%(topic)s” is open again: reading may show an interest."),
    }[answer]
    return see(request, "contact", person.id, said=said % {"topic": label(topic)}, undo=back, anchor="interests")
