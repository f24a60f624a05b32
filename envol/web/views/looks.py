"""Who opened whose page, and who took people along as a file? For owners and the data-protection officer."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from envol.accounts import looks as service
from envol.accounts.models import Member, Role
from envol.contacts.models import Contact, Export
from envol.web import journal_words
from envol.web.doors import MemberRequest, audience
from envol.web.paging import page_of


def _number(request: HttpRequest, name: str) -> int | None:
    given = request.GET.get(name, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 10 else None


@require_safe
@audience(Role.OWNER)
def looks(request: MemberRequest) -> HttpResponse:
    """The newest first; of one person or one member by the query."""
    workspace = request.workspace
    person, member = _number(request, "person"), _number(request, "member")
    page = page_of(request, service.found(workspace, contact_id=person, member_id=member))
    members = {m.pk: str(m.user) for m in Member.objects.filter(workspace=workspace).select_related("user")}
    people = Contact.objects.filter(workspace_id=workspace.pk).in_bulk({row.contact_id for row in page.rows})
    lines = [
        {"look": row, "who": members.get(row.member_id, _("a former member")), "person": people.get(row.contact_id)}
        for row in page.rows
    ]
    taken = [] if person is not None else service.taken(workspace)
    files = Export.objects.filter(workspace=workspace).in_bulk({row.object_id for row in taken if row.object_id})
    facts = {
        "page": page,
        "lines": lines,
        "members": sorted(members.items(), key=lambda one: one[1]),
        "member": member,
        "person": person,
        "files": [
            {
                "row": row,
                "who": members.get(row.actor_id or 0, _("a former member")),
                "file": files.get(row.object_id or 0),
                "did": journal_words.said(row.action),
                "people": row.facts.get("people"),
            }
            for row in taken
            if member is None or row.actor_id == member
        ],
    }
    return render(request, "settings/looks.html", facts)
