"""Who do I know? What do I know of her, may I write to her, what happened?"""

from __future__ import annotations

from typing import Any

from django.db.models import F, Q, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from envol.accounts.journal import note
from envol.accounts.models import Role, User, Workspace
from envol.audience.models import Segment
from envol.consent.models import Purpose
from envol.contacts import people
from envol.contacts.models import Contact, Identifier, List, Membership, Note, Order, Property, Source
from envol.web.answers import refuse, see
from envol.web.audiences import in_segment
from envol.web.doors import MemberRequest, audience
from envol.web.masking import sees_addresses
from envol.web.paging import page_of
from envol.web.story import story_of
from envol.web.templatetags.envol import label

NAMES = ("first_name", "last_name", "name", "prenom", "nom", "company")


def people_matching(request: MemberRequest, rows: QuerySet[Contact], words: str) -> QuerySet[Contact]:
    """Those whose address or name holds every word. A viewer searches names only: guessing would tell addresses."""
    for word in words.lower().split()[:5]:
        found = Q(email_key__contains=word) if sees_addresses(request) else Q(pk__in=[])
        for key in NAMES:
            found |= Q(**{f"props__{key}__icontains": word})
        rows = rows.filter(found)
    return rows


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _filtered(request: MemberRequest) -> tuple[QuerySet[Contact], list[dict[str, Any]]]:
    """The people the address asks for, and one chip for each filter in it."""
    workspace: Workspace = request.workspace
    rows = Contact.objects.filter(workspace_id=workspace.id)
    chips: list[dict[str, Any]] = []

    def chip(key: str, sentence: str) -> None:
        left = request.GET.copy()
        left.pop(key, None)
        left.pop("before", None)
        chips.append({"sentence": sentence, "without": "?" + left.urlencode()})

    if words := request.GET.get("q", "").strip():
        rows = people_matching(request, rows, words)
        chip("q", _("Matches “%(words)s”") % {"words": words})
    if wanted := request.GET.get("list", ""):
        chosen = List.objects.filter(workspace=workspace, id=_number(wanted)).first()
        if chosen is None:
            raise Http404
        rows = rows.filter(
            id__in=Membership.objects.filter(workspace_id=workspace.id, list_id=chosen.pk, until__isnull=True).values(
                "contact_id"
            )
        )
        chip("list", _("On the list “%(name)s”") % {"name": chosen.name})
    if wanted := request.GET.get("segment", ""):
        segment = Segment.objects.filter(workspace=workspace, id=_number(wanted)).first()
        if segment is None:
            raise Http404
        rows = rows.filter(id__in=in_segment(workspace, segment.tree))
        chip("segment", _("In the segment “%(name)s”") % {"name": segment.name})
    if wanted := request.GET.get("permission", ""):
        key, _dot, state = wanted.partition(".")
        purpose = Purpose.objects.filter(workspace=workspace, key=key).first()
        if purpose is None or state not in ("yes", "no"):
            raise Http404
        rows = rows.annotate(granted=F("allowed").bitand(1 << purpose.bit))
        if state == "yes":
            rows = rows.filter(granted__gt=0)
            chip("permission", _("Agreed to “%(purpose)s”") % {"purpose": label(purpose)})
        else:
            rows = rows.filter(granted=0)
            chip("permission", _("Did not agree to “%(purpose)s”") % {"purpose": label(purpose)})
    if request.GET.get("suppressed"):
        rows = rows.filter(Q(suppressed=True) | Q(objected=True))
        chip("suppressed", _("Gets nothing more"))
    return rows, chips


def name_of(props: dict[str, Any]) -> str:
    """First and last name, or whatever this workspace calls a person by."""
    both = " ".join(str(props[key]) for key in ("first_name", "last_name") if props.get(key))
    return both or str(props.get("name") or " ".join(str(props[k]) for k in ("prenom", "nom") if props.get(k)) or "")


@require_safe
@audience(Role.VIEWER)
def contacts(request: MemberRequest) -> HttpResponse:
    workspace: Workspace = request.workspace
    rows, chips = _filtered(request)
    page = page_of(request, rows)
    purposes = list(Purpose.objects.filter(workspace=workspace, kind="marketing").order_by("bit"))
    newsletter = next((p for p in purposes if p.key == "newsletter"), purposes[0] if purposes else None)
    for person in page.rows:
        person.name = name_of(person.props)
        if person.suppressed or person.objected:
            person.answer = "objected"
        elif newsletter is None:
            person.answer = "unknown"
        elif person.refused >> newsletter.bit & 1:
            person.answer = "withdrawn"
        else:
            person.answer = "granted" if person.allowed >> newsletter.bit & 1 else "unknown"
    return render(
        request,
        "contacts/list.html",
        {
            "page": page,
            "chips": chips,
            "total": Contact.objects.filter(workspace_id=workspace.id).count() if not chips else None,
            "lists": List.objects.filter(workspace=workspace).order_by("name")[:200],
            "segments": Segment.objects.filter(workspace=workspace).order_by("name")[:200],
            "purposes": purposes,
            "newsletter": newsletter,
        },
    )


def _one(request: MemberRequest, contact_id: int) -> Contact:
    found = Contact.objects.filter(workspace_id=request.workspace.id, id=contact_id).first()
    if found is None:
        raise Http404
    return found


def _properties(workspace: Workspace, person: Contact) -> list[dict[str, Any]]:
    """Each known value with where and when it came from."""
    catalogue = {p.key: p for p in Property.objects.filter(workspace=workspace)}
    sources = {s.pk: s for s in Source.objects.filter(workspace=workspace, id__in=_ids(person.sources.values()))}
    found = []
    for key, value in person.props.items():
        declared = catalogue.get(key)
        source = sources.get(person.sources.get(key) or 0)
        found.append({"key": key, "property": declared, "value": value, "source": source})
    return sorted(found, key=lambda one: one["property"].pk if one["property"] else 1 << 60)


def _ids(values: Any) -> list[int]:
    return [value for value in values if isinstance(value, int)]


@require_safe
@audience(Role.VIEWER)
def contact(request: MemberRequest, contact_id: int) -> HttpResponse:
    workspace: Workspace = request.workspace
    person = _one(request, contact_id)
    lists = {x.pk: x for x in List.objects.filter(workspace=workspace)}
    memberships = list(Membership.objects.filter(workspace_id=workspace.id, contact_id=person.id).order_by("-since"))
    orders = Order.objects.filter(workspace_id=workspace.id, contact_id=person.id).order_by("-at")
    notes = list(Note.objects.filter(workspace_id=workspace.id, contact_id=person.id).order_by("-id")[:50])
    authors = {u.pk: str(u) for u in User.objects.filter(id__in=_ids(n.author_id for n in notes))}
    return render(
        request,
        "contacts/one.html",
        {
            "person": person,
            "name": name_of(person.props),
            "properties": _properties(workspace, person),
            "permissions": people.permissions(person),
            "memberships": [(m, lists[m.list_id]) for m in memberships if m.list_id in lists],
            "identifiers": Identifier.objects.filter(workspace_id=workspace.id, contact_id=person.id),
            "orders": orders[:10],
            "order_count": orders.count(),
            "story": story_of(workspace, person),
            "notes": [(n, authors.get(n.author_id or 0, "")) for n in notes],
        },
    )


@require_POST
@audience(Role.EDITOR)
def add_note(request: MemberRequest, contact_id: int) -> HttpResponse:
    person = _one(request, contact_id)
    text = request.POST.get("text", "").strip()
    if not text:
        return refuse(request, "contact", person.id, said=_("Write the note first; nothing was kept."))
    if len(text) > 5000:
        return refuse(request, "contact", person.id, said=_("A note has at most 5,000 characters; shorten it."))
    row = people.add_note(person, text, request.user.pk)
    note(person.workspace_id, "member", "contact.noted", row, actor_id=request.member.pk, contact=person.id)
    return see(request, "contact", person.id, said=_("The note is kept."), anchor="notes")
