"""What a member decides about one person against the rules: marketing that rests, a segment she is in or out of."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from envol.accounts.models import Role
from envol.audience import hands
from envol.audience.models import Segment
from envol.consent import silence
from envol.contacts.models import Contact
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.views.contact import moment_of, page

CHOICES: dict[str, bool | None] = {"in": True, "out": False, "rule": None}


def _contact(request: MemberRequest, contact_id: int) -> Contact:
    found = Contact.objects.filter(workspace_id=request.workspace.id, id=contact_id).first()
    if found is None:
        raise Http404
    return found


def _number(request: MemberRequest, name: str) -> int:
    text = request.POST.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


@require_POST
@audience(Role.EDITOR)
def silence_contact(request: MemberRequest, contact_id: int) -> HttpResponse:
    """Let marketing rest while a complaint is open, or let it go on."""
    person, posted = _contact(request, contact_id), request.POST
    act = posted.get("act", "")
    try:
        if act == "open":
            _made, undo = silence.open(
                person.workspace_id,
                person.id,
                posted.get("reason", ""),
                since=moment_of(posted.get("date", "")),
                member_id=request.member.pk,
            )
            said = _("Marketing rests for this person until you close the complaint.")
        elif act == "close":
            undo = silence.close(person.workspace_id, person.id, member_id=request.member.pk)
            said = _("The complaint is closed: this person gets again what the permissions allow.")
        else:
            return refuse(request, "contact", person.id, said=_("There is no such act; nothing was changed."))
    except ValueError as error:
        given: dict[str, Any] = {"act": "silence", "reason": posted.get("reason", ""), "date": posted.get("date", "")}
        return page(request, person, status=422, given=given, problem=str(error))
    return see(request, "contact", person.id, said=said, undo=undo, anchor="may")


@require_POST
@audience(Role.EDITOR)
def put_contact(request: MemberRequest, contact_id: int) -> HttpResponse:
    """From the page of a person: into a segment, out of it, or as its rule says."""
    person = _contact(request, contact_id)
    segment = Segment.objects.filter(workspace=request.workspace, pk=_number(request, "segment")).first()
    if segment is None:
        return refuse(request, "contact", person.id, said=_("Choose a segment of the list."))
    return _put(request, segment, person.id, "contact", person.id, "by_hand")


@require_POST
@audience(Role.EDITOR)
def put_into_segment(request: MemberRequest, segment_id: int) -> HttpResponse:
    """From the page of a segment."""
    segment = Segment.objects.filter(workspace=request.workspace, pk=segment_id).first()
    if segment is None:
        raise Http404
    return _put(request, segment, _number(request, "person"), "segment", segment.pk, "by_hand")


def _put(request: MemberRequest, segment: Segment, person: int, route: str, pk: int, anchor: str) -> HttpResponse:
    wanted = request.POST.get("where", "")
    if wanted not in CHOICES:
        return refuse(request, route, pk, said=_("There is no such act; nothing was changed."))
    try:
        undo = hands.put(segment, person, CHOICES[wanted], actor_id=request.member.pk)
    except hands.HandProblem as error:
        return refuse(request, route, pk, said=str(error))
    if undo is None:
        return see(request, route, pk, said=_("It was so already."), anchor=anchor)
    said = {
        "in": _("Always in “%(name)s” from now on, whatever the rule says."),
        "out": _("Never in “%(name)s” from now on, whatever the rule says."),
        "rule": _("The rule of “%(name)s” decides again."),
    }[wanted]
    return see(request, route, pk, said=said % {"name": segment.name}, undo=undo, anchor=anchor)
