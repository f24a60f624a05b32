"""What do I know of her, may I write to her, what happened? One person, and what members do on her page."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from envol.accounts import looks
from envol.accounts.journal import note
from envol.accounts.models import ApiKey, Role, User, Workspace
from envol.api import declared
from envol.audience import hands, reasons, shops
from envol.audience.models import Segment
from envol.consent import acts, ages, bases, informing, restriction, silence, why
from envol.consent import purposes as purpose_service
from envol.consent.models import Basis, Purpose, PurposeText
from envol.contacts import beyond, bulk, people, places, whence
from envol.contacts.filters import Filter
from envol.contacts.models import Contact, Identifier, List, Membership, Note, Order, Property, PropertyHistory, Source
from envol.contacts.sealing import opened
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.masking import sees_addresses
from envol.web.meanwhile import moved as moved_on
from envol.web.meanwhile import sentence
from envol.web.purchases import of_person, word
from envol.web.story import MOST, PAGE, story_of
from envol.web.templatetags.envol import label
from envol.web.values import field_value, typed_value
from envol.web.views.bulk import done_sentence
from envol.web.views.contact_interests import cared_for
from envol.web.views.contacts import name_of
from envol.wire.address import AddressError, normalise

DOCUMENT_LIMIT = 10 << 20
LANGUAGES = ("fr", "en", "de", "es", "it", "nl", "pt", "pl", "br", "ca", "eu")
"""What a member may choose; an import or a form may bring any other, which stays."""


def one(request: MemberRequest, contact_id: int) -> Contact:
    found = Contact.objects.filter(workspace_id=request.workspace.id, id=contact_id).first()
    if found is None:
        raise Http404
    return found


def _ids(values: Any) -> list[int]:
    return [value for value in values if isinstance(value, int)]


def _properties(workspace: Workspace, person: Contact, opens: bool) -> tuple[list[dict[str, Any]], list[Property]]:
    """Each known value with where it came from, what it may serve and what it was before; and what is not known.

    ``opens``: sealed values of sensitive properties too; else they stay so, and are shown as such.
    """

    def shown_(value: Any) -> Any:
        return opened(workspace.pk, value) if opens else value

    catalogue = {p.key: p for p in Property.objects.filter(workspace=workspace).order_by("id")}
    history = list(
        PropertyHistory.objects.filter(workspace_id=workspace.id, contact_id=person.id).order_by("-until", "-id")[:200]
    )
    wanted = {*_ids(person.sources.values()), *_ids(h.source_id for h in history)}
    sources = {s.pk: s for s in Source.objects.filter(workspace=workspace, id__in=wanted)}
    purposes = list(Purpose.objects.filter(workspace=workspace).order_by("bit"))
    earlier: dict[str, list[dict[str, Any]]] = {}
    for h in history:
        earlier.setdefault(h.key, []).append(
            {"value": shown_(h.value), "until": h.until, "source": sources.get(h.source_id or 0)}
        )
    found = []
    for key in {**dict.fromkeys(catalogue), **dict.fromkeys(person.props)}:
        value, declared = person.props.get(key), catalogue.get(key)
        if value is None and key not in earlier:
            continue
        found.append(
            {
                "key": key,
                "property": declared,
                "value": shown_(value),
                "raw": field_value(declared, value) if declared and opens else "",
                "source": sources.get(person.sources.get(key) or 0),
                "serves": [p for p in purposes if declared and declared.purposes >> p.bit & 1],
                "earlier": earlier.get(key, []),
            }
        )
    unknown = [p for key, p in catalogue.items() if key not in {one["key"] for one in found} and not p.inferred]
    return found, unknown


def _then(request: MemberRequest, person: Contact, purposes: list[Purpose]) -> dict[str, Any]:
    """May I write to her, asked about a past day (``?on=``): a sentence and a line of the ledger for each purpose."""
    asked = request.GET.get("on", "")[:40]
    if not asked:
        return {}
    workspace: Workspace = request.workspace
    try:
        at = why.read_moment(asked, workspace)
    except ValueError as error:
        return {"on": asked, "wrong": str(error)}
    language = get_language() or "en"
    found = [why.why(workspace, person.pk, person.email_key, one, at=at) for one in purposes if one.kind != "measuring"]
    return {"on": asked, "answers": [{"why": one, "sentence": one.sentence(language)} for one in found]}


def page(request: MemberRequest, person: Contact, *, status: int = 200, **more: Any) -> HttpResponse:
    """The page of a person; ``more`` brings back what was typed where it could not be taken."""
    workspace: Workspace = request.workspace
    lists = {x.pk: x for x in List.objects.filter(workspace=workspace).order_by("name")}
    memberships = list(Membership.objects.filter(workspace_id=workspace.id, contact_id=person.id).order_by("-since"))
    on = {m.list_id for m in memberships if m.until is None}
    orders = Order.objects.filter(workspace_id=workspace.id, contact_id=person.id).order_by("-at")
    notes = list(Note.objects.filter(workspace_id=workspace.id, contact_id=person.id).order_by("-id")[:50])
    authors = {u.pk: str(u) for u in User.objects.filter(id__in=_ids(n.author_id for n in notes))}
    wanted = request.GET.get("events", "")
    events = min(int(wanted), MOST) if wanted.isascii() and wanted.isdigit() and len(wanted) < 5 else PAGE
    story = story_of(workspace, person, events + 1)
    properties, unknown = _properties(workspace, person, sees_addresses(request))
    lines = people.permissions(person)
    rests = silence.of(workspace.id, person.id)
    purposes = {p.key: p for p in Purpose.objects.filter(workspace=workspace)}
    came = whence.of(workspace.id, person.id)
    given = NothingTyped(more.pop("given", {}))
    granting = _granting(request, given)  # one form, where it is asked for: six of them were half of the page
    texts = PurposeText.objects.filter(purpose__workspace=workspace, language=workspace.language)
    facts: dict[str, Any] = {
        "person": person,
        "granting": granting,
        "name": name_of(person.props),
        "properties": properties,
        "unknown": unknown,
        "permissions": [
            {
                **line,
                "id": purposes[line["purpose"]].pk,
                "may_withdraw": line["state"] in ("granted", "requested", None),
                "may_grant": line["state"] not in ("granted", "withdrawn", "refused", "objected")
                and line["kind"] != "transactional"
                and not person.suppressed
                and not (person.objected and line["kind"] == "marketing"),
            }
            for line in sorted(lines, key=lambda line: line["kind"] == "measuring")
        ],
        "then": _then(request, person, list(purposes.values())),
        "today": timezone.localdate(),
        "writable": [line for line in lines if line["kind"] == "marketing" and line["allowed"]],
        "memberships": [(m, lists[m.list_id]) for m in memberships if m.list_id in lists],
        "other_lists": [one for pk, one in lists.items() if pk not in on],
        "identifiers": Identifier.objects.filter(workspace_id=workspace.id, contact_id=person.id),
        "orders": orders[:10],
        "order_count": orders.count(),
        "rest": next((one for one in rests if one.until is None), None),
        "restricted": restriction.now(workspace.id, person.id),
        "unprofiled": restriction.now(workspace.id, person.id, restriction.PROFILING),
        "minor": beyond.is_minor(person.props, workspace.today()),
        "rested": [one for one in rests if one.until is not None],
        "hands": hands_of(workspace, person.id),
        "nearest": _nearest(workspace, properties),
        "zone": _zone(workspace, properties),
        "buyer": of_person(workspace, person.id, get_language() or "en"),
        "story": story[:events],
        "older": events + PAGE if len(story) > events and events < MOST else 0,
        "notes": [(n, authors.get(n.author_id or 0, "")) for n in notes],
        "bases": [basis for basis in Basis.values if basis != Basis.TRANSACTIONAL],
        "languages": sorted({*LANGUAGES, *([person.language] if person.language else [])}),
        "texts": texts.filter(purpose_id=granting).order_by("-version") if granting else (),
        "given": given,
        "wrong": "",
        "problem": "",
        "cares": cared_for(workspace, person),
        "why_quiet": _why_quiet(workspace, person),
        "whence": came,
        "generic": bases.generic(person.email_key),
        "whence_said": _said_of(workspace, came),
        "came_from": informing.of_person(workspace.id, person.id),
    }
    return render(request, "contacts/one.html", facts | more, status=status)


def _said_of(workspace: Workspace, came: whence.Whence | None) -> str:
    """Who gave what a program brought, as a member says it of the program's key by now; empty: nobody does."""
    key = ApiKey.objects.filter(workspace=workspace, pk=came.key_id or 0).first() if came else None
    declaration = declared.of(key) if key else None
    if declaration is None:
        return ""
    given_by = declaration.evidence.facts.get(declared.GIVEN_BY, "")
    if given_by:
        return _("Of this program it is said that %(name)s gives the data.") % {"name": given_by}
    return _("Of this program it is said that the people give the data themselves.")


def _granting(request: MemberRequest, given: Any) -> int | None:
    """The purpose whose permission is being written down: as asked for by a link, or as it was typed."""
    wanted = str(given["purpose"] if given["act"] == "grant" else request.GET.get("grant", ""))
    return int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 else None


def _nearest(workspace: Workspace, properties: list[dict[str, Any]]) -> shops.Near | None:
    """The shop nearest to the first place that is known of her, when there are shops."""
    for one in properties:
        spot, declared = one["value"], one["property"]
        if declared and declared.type == "place" and isinstance(spot, dict) and "lat" in spot and "lon" in spot:
            return shops.nearest(workspace, (spot["lat"], spot["lon"]))
    return None


def _zone(workspace: Workspace, properties: list[dict[str, Any]]) -> tuple[str, str] | None:
    """Department and region of the first French place that is known of her."""
    home = "FR" if workspace.time_zone in places.FRENCH_ZONES else ""
    for one in properties:
        spot, declared = one["value"], one["property"]
        if (
            declared
            and declared.type == "place"
            and isinstance(spot, dict)
            and spot.get("country", home) in places.FRENCH
        ):
            code = places.department_of(str(spot.get("postcode", "")))
            if code:
                return places.department(code), places.region(places.region_of(code))
    return None


class NothingTyped(dict[str, str]):
    """Every field is there and empty: looking for what a template does not find costs far more than finding it."""

    def __missing__(self, name: str) -> str:
        return ""


def hands_of(workspace: Workspace, contact_id: int) -> dict[str, Any]:
    """Segments that a member put her into or left her out of, and those that may be chosen."""
    held = hands.held(workspace, contact_id)
    found = list(Segment.objects.filter(workspace=workspace).order_by("name").only("id", "name", "workspace")[:300])
    return {
        "held": [(one, held[one.pk]) for one in found if one.pk in held],
        "others": [one for one in found if one.pk not in held],
    }


def _why_quiet(workspace: Workspace, person: Contact) -> tuple[str, str] | None:
    """The reason she gave for reading so little, in the reader's language, and her own words."""
    found = reasons.present(workspace, person.id)
    return (word(reasons.ANSWERS, found[0], get_language() or "en"), found[1]) if found else None


@require_safe
@audience(Role.VIEWER)
def contact(request: MemberRequest, contact_id: int) -> HttpResponse:
    person = one(request, contact_id)
    looks.note(request.member, person.pk)
    return page(request, person)


# -- values, tags, lists: acts on one, undone like those on many ----------------------------------


@require_POST
@audience(Role.EDITOR)
def change_contact(request: MemberRequest, contact_id: int) -> HttpResponse:
    """A value, a tag or a list of this person."""
    person = one(request, contact_id)
    workspace: Workspace = request.workspace
    posted, act = request.POST, request.POST.get("act", "")
    key = posted.get("property", "")
    argument: dict[str, Any]
    if act in ("tag", "untag"):
        argument = {"tag": posted.get("tag", "")}
    elif act in ("join", "leave"):
        wanted = posted.get("list", "")
        argument = {"list": int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 else 0}
    elif act == "set":
        declared = Property.objects.filter(workspace=workspace, key=key).first()
        argument = {"property": key, "value": typed_value(declared, posted) if declared else None}
        if declared and posted.get("value", "").strip() == str(field_value(declared, person.props.get(key))):
            return see(request, "contact", person.id, anchor=f"value_{key}")  # unchanged: a place keeps its details
        if declared and moved_on(request, field_value(declared, person.props.get(key))):
            given: dict[str, Any] = {"act": act, "property": key, "value": posted.get("value", "")}
            now = sentence(str(field_value(declared, person.props.get(key))))
            return page(request, person, status=409, given=given, problem=now)
    else:
        return refuse(request, "contact", person.id, said=_("There is no such act; nothing was changed."))
    try:
        made = bulk.prepare(
            workspace,
            act,
            argument,
            Filter(ids=(person.id,)),
            member_id=request.member.pk,
            source=_("Written by %(name)s on the contact's page") % {"name": request.user},
        )
    except bulk.BulkProblem as error:
        given = {"act": act, "property": key, "value": posted.getlist("value"), "tag": posted.get("tag", "")}
        given["value"] = given["value"] if len(given["value"]) > 1 else posted.get("value", "")
        return page(request, person, status=422, given=given, problem=str(error))
    bulk.apply(made)
    anchor = {"set": f"value_{key}", "tag": "tags", "untag": "tags"}.get(act, "lists")
    if not made.counts["changed"]:
        return see(request, "contact", person.id, said=_("It was so already."), anchor=anchor)
    return see(request, "contact", person.id, said=done_sentence(made), undo=bulk.undo_of(made), anchor=anchor)


@require_POST
@audience(Role.EDITOR)
def rectify(request: MemberRequest, contact_id: int) -> HttpResponse:
    """Her address and language as she says they are (GDPR art. 16). What she refused goes with her."""
    person = one(request, contact_id)
    email, language = request.POST.get("email", "").strip(), request.POST.get("language", "")
    before = person.email
    if moved_on(request, person.email, person.language):
        given = {"act": "rectify", "email": email, "language": language}
        return page(request, person, status=409, given=given, problem=sentence(person.email))
    try:
        if language and language != person.language and language not in LANGUAGES:
            raise ValueError(_("Choose a language of the list."))
        try:
            moved = normalise(email).written != before
        except AddressError:
            raise ValueError(_("Write a whole address, like zoe@boutique.example.")) from None
        with transaction.atomic():
            if moved:
                people.change_address(person, email)
            Contact.objects.filter(pk=person.pk).update(language=language or None)
            note(person.workspace_id, "member", "contact.rectified", actor_id=request.member.pk, contact=person.id)
    except ValueError as error:
        given = {"act": "rectify", "email": email, "language": language}
        person.refresh_from_db()
        return page(request, person, status=422, given=given, problem=str(error))
    said = _("Changed; the address was %(address)s.") % {"address": before} if moved else _("Changed.")
    return see(request, "contact", person.id, said=said)


@require_POST
@audience(Role.EDITOR)
def add_note(request: MemberRequest, contact_id: int) -> HttpResponse:
    person = one(request, contact_id)
    text = request.POST.get("text", "").strip()
    if not text:
        return refuse(request, "contact", person.id, said=_("Write the note first; nothing was kept."))
    if len(text) > 5000:
        problem = _("A note has at most 5,000 characters; shorten it.")
        return page(request, person, status=422, given={"act": "note", "text": text}, problem=problem)
    row = people.add_note(person, text, request.user.pk)
    note(person.workspace_id, "member", "contact.noted", row, actor_id=request.member.pk, contact=person.id)
    return see(request, "contact", person.id, said=_("The note is kept."), anchor="notes")


# -- permissions -------------------------------------------------------------------------------


def _purpose(request: MemberRequest) -> Purpose:
    wanted = request.POST.get("purpose", "")
    number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 else 0
    found = Purpose.objects.filter(workspace=request.workspace, pk=number).first()
    if found is None:
        raise Http404
    return found


def moment_of(text: str) -> datetime | None:
    """The beginning of a day that was typed, or now for today; ValueError for a day to come."""
    if not text:
        return None
    day = parse_date(text)
    if day is None or day > timezone.localdate():
        raise ValueError(_("Write the day as it was, not later than today."))
    return None if day == timezone.localdate() else timezone.make_aware(datetime.combine(day, time(12)))


@require_POST
@audience(Role.EDITOR)
def withdraw(request: MemberRequest, contact_id: int) -> HttpResponse:
    """She asked to get no more of this (GDPR art. 7(3)): recorded with how she asked, effective at once."""
    person, purpose = one(request, contact_id), _purpose(request)
    how = request.POST.get("how", "").strip()
    try:
        if not how:
            raise ValueError(_("Say how the person asked: by phone, by letter, in the shop…"))
        acts.withdraw(
            person.workspace_id, person.id, [purpose], since=moment_of(request.POST.get("date", "")), proof=how[:300]
        )
    except ValueError as error:
        given = {"act": "withdraw", "purpose": purpose.pk, "how": how, "date": request.POST.get("date", "")}
        return page(request, person, status=422, given=given, problem=str(error))
    note(
        person.workspace_id, "member", "contact.withdrawn", purpose, actor_id=request.member.pk, contact=person.id
    )  # fmt: skip
    said = _("Recorded: nothing more leaves to this person for “%(purpose)s”.") % {"purpose": label(purpose)}
    return see(request, "contact", person.id, said=said, anchor="may")


@require_POST
@audience(Role.EDITOR)
def grant(request: MemberRequest, contact_id: int) -> HttpResponse:
    """A permission she gave outside: never without where, when, on which words and what proves it (art. 7(1))."""
    person, purpose, posted = one(request, contact_id), _purpose(request), request.POST
    workspace: Workspace = request.workspace
    basis = posted.get("basis", "")
    try:
        text = None
        if basis == Basis.CONSENT:
            version = posted.get("text_version", "")
            text = purpose_service.text(purpose, workspace.language, int(version) if version.isdigit() else None)
        facts: dict[str, Any] = {
            key: posted[key].strip()
            for key in ("sale_ref", "sale_date", "entity_id", "product_family", "job_role", "relation_note")
            if posted.get(key, "").strip()
        }
        facts["optout_offered"] = posted.get("optout_offered") == "on"
        facts["mechanism"] = "by_hand"
        if posted.get("parent") == "on":
            facts[ages.PARENT] = "agreed too, as whoever records it says"
        file = request.FILES.get("document")
        document = file.read(DOCUMENT_LIMIT + 1) if isinstance(file, UploadedFile) else None
        if document and len(document) > DOCUMENT_LIMIT:
            raise ValueError(_("The document is larger than 10 MiB; bring a smaller one."))
        if not posted.get("date"):
            raise ValueError(_("Say when the permission was given."))
        since = moment_of(posted.get("date", ""))
        proof = acts.evidence(
            workspace,
            "document" if document else "statement",
            posted.get("source", ""),
            text=text,
            statement=posted.get("statement", ""),
            member_id=request.member.pk,
            document=document,
            document_name=str(file.name) if isinstance(file, UploadedFile) else "",
            facts=facts,
        )
        try:
            people.grant(person, purpose, basis=basis, proof_of=proof, since=since)
        except ValueError:
            proof.delete()  # it proves nothing
            raise
    except (ValueError, PurposeText.DoesNotExist) as error:
        given = {key: posted.get(key, "") for key in posted} | {"act": "grant", "purpose": purpose.pk}
        return page(request, person, status=422, given=given, problem=_refusal(error))
    note(person.workspace_id, "member", "contact.granted", purpose, actor_id=request.member.pk, contact=person.id)
    said = _("The permission for “%(purpose)s” is recorded with its proof.") % {"purpose": label(purpose)}
    return see(request, "contact", person.id, said=said, anchor="may")


def _refusal(error: Exception) -> str:
    """The refusals of the consent room, in the reader's language where they have one."""
    words = {
        "evidence": _("Say where it was given, and write a statement or add a document that proves it."),
        "no_evidence": _("Write a statement or add a document that proves the permission."),
        "withdrawn": _("This person withdrew or refused: only she herself can agree again."),
        "suppressed": _("This address is suppressed: nothing is granted for it."),
        "sale_incomplete": _("For an existing customer give the sale, its day and the kind of product."),
        "sale_date": _("The day of the sale must be a past day, written YYYY-MM-DD."),
        "no_opt_out_offered": _("An existing customer must have been able to refuse when the address was taken."),
        "no_job_relation": _("For a business contact give the profession and why it concerns the person."),
        "free_mail": _("A business contact has no address of a consumer provider: ask for consent instead."),
        "consent_only": _("Measuring one person needs consent: no other basis allows it."),
        "unknown_basis": _("Choose on which basis the permission rests."),
    }
    return str(words.get(getattr(error, "code", ""), error))
