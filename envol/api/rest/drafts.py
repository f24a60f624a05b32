"""campaigndraft and its acts: a campaign of ours, prepared and sent by a program.

The purpose it is sent for is the one declared for the program's key, and it is about what was said of that key; who may
not be written to so is left out, as in every campaign. Its content is translated into our language when it is written,
so that an error is told at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from envol.accounts.models import Scope
from envol.api import declared, edited
from envol.api.models import Draft, StoredTemplate
from envol.api.rest import filters, lists, names
from envol.api.rest import templates as stored
from envol.api.rest.ground import JSON_UTF8, Answer, Call, Resource, Wrong, envelope, missing, number_of, unresolved
from envol.api.rest.templates import write_parts
from envol.api.rest.values import Field, Invalid, anything, boolean, folded, integer, moment, text, told
from envol.audience import segments
from envol.audience.models import Segment
from envol.campaigns import actions, drafts
from envol.campaigns.models import Campaign
from envol.campaigns.refusals import Conflict, Refused
from envol.contacts import catalogue
from envol.contacts.models import List
from envol.content import templates
from envol.content.mtl.grammar import MtlError
from envol.content.mtl.ours import translate
from envol.content.problems import TemplateProblem
from envol.outbound.models import Sending

_STATUS = {"draft": 0, "scheduled": 1, "preparing": 1, "sending": 1, "paused": 1, "failed": 1, "sent": 2, "stopped": -1}
USUAL_MODE = "html2"
_WORDS = {-1: "Archived", 0: "Draft", 1: "Programmed", 2: "Sent"}
_KEPT = ("Locale", "Subject", "Sender", "Title", "EditMode", "ContactsListID", "IsStarred", "IsTextPartIncluded")

FIELDS = {
    "Locale": Field(text, required=True),
    "Subject": Field(text, required=True),
    "Sender": Field(text, required=True),
    "SenderEmail": Field(text, required=True),
    "SenderName": Field(text),
    "Title": Field(text),
    "ReplyEmail": Field(text),
    "ContactsListID": Field(integer),
    "ContactsListAlt": Field(text),
    "SegmentationID": Field(integer),
    "SegmentationAlt": Field(text),
    "Template": Field(integer),
    "TemplateID": Field(integer),
    "EditMode": Field(text),
    "IsStarred": Field(boolean),
    "IsTextPartIncluded": Field(boolean),
    "Status": Field(integer),
    "Url": Field(anything),
}


def _mine(call: Call) -> QuerySet[Draft]:
    return Draft.objects.filter(workspace=call.workspace).select_related("campaign__template", "campaign__purpose")


def find(call: Call, key: str) -> Draft:
    found = _mine(call).filter(campaign_id=number_of(key) or 0).first()
    if found is None:
        raise missing()
    return found


def _rows(call: Call) -> QuerySet[Draft]:
    found = _mine(call)
    if (number := call.number("contactslist")) is not None:
        found = found.filter(facts__ContactsListID=number)
    if (number := call.number("segmentation")) is not None:
        found = found.filter(facts__SegmentationID=number)
    if (number := call.number("status")) is not None:
        found = found.filter(campaign__state__in=[word for word, one in _STATUS.items() if one == number])
    if "subject" in call.query:
        found = found.filter(facts__Subject=call.query["subject"])
    if (number := call.number("template")) is not None:
        found = found.filter(facts__TemplateID=number)
    if "editmode" in call.query:
        wanted = Q(facts__EditMode__iexact=call.query["editmode"])
        usual = call.query["editmode"].lower() == USUAL_MODE
        found = found.filter(wanted | ~Q(facts__has_key="EditMode") if usual else wanted)
    if (starred := call.switch("isstarred")) is not None:
        found = found.filter(facts__IsStarred=True) if starred else found.exclude(facts__IsStarred=True)
    if (handled := call.switch("ishandled")) is not None:
        found = found.exclude(campaign__state="draft") if handled else found.filter(campaign__state="draft")
    none = call.switch("isarchived") or call.switch("isdeleted") or call.switch("iscampaign") is False
    return found.none() if none else found


def _show(call: Call, found: Sequence[Draft]) -> list[dict[str, Any]]:
    latest = Sending.objects.filter(campaign_id__in=[one.campaign_id for one in found]).order_by("campaign_id", "-pk")
    ends = dict(latest.distinct("campaign_id").values_list("campaign_id", "ended_at"))
    rows = []
    for one in found:
        campaign, facts = one.campaign, one.facts
        rows.append(
            {
                "AXFraction": 0,
                "AXFractionName": "",
                "AXTestingID": 0,
                "CampaignID": campaign.pk if campaign.state != "draft" else 0,
                "ContactsListID": facts.get("ContactsListID", 0),
                "CreatedAt": told(campaign.created_at),
                "Current": 0,
                "DeliveredAt": told(ends.get(campaign.pk)),
                "EditMode": facts.get("EditMode", USUAL_MODE),
                "ID": campaign.pk,
                "IsStarred": facts.get("IsStarred", False),
                "IsTextPartIncluded": bool(one.text),
                "Locale": facts.get("Locale", ""),
                "ModifiedAt": told(one.modified_at),
                "Preset": "",
                "ReplyEmail": campaign.reply_to,
                "SegmentationID": facts.get("SegmentationID", 0),
                "Sender": facts.get("Sender", ""),
                "SenderEmail": campaign.from_address,
                "SenderName": campaign.from_name,
                "Status": _STATUS.get(campaign.state, 0),
                "Subject": facts.get("Subject", ""),
                "TemplateID": facts.get("TemplateID", 0),
                "Title": facts.get("Title", ""),
                "Url": "",
                "Used": campaign.state != "draft",
            }
        )
    return rows


def _audience(call: Call, given: dict[str, Any]) -> tuple[Segment | None, dict[str, int]]:
    """People of a list, and of a filter where one is named, as a segment of ours; what was said of both."""
    wanted = given.get("ContactsListID") or given.get("ContactsListAlt")
    if not wanted:
        return None, {}
    one = lists.list_of(call, wanted)
    if one is None:
        raise unresolved("ContactsList", wanted)
    chosen = given.get("SegmentationID") or given.get("SegmentationAlt")
    try:
        within = filters.find(call, str(chosen)) if chosen else None
    except Wrong:
        raise unresolved("Segmentation", chosen) from None
    return segment_of(call, one, within), {"ContactsListID": one.pk, "SegmentationID": within.pk if within else 0}


def segment_of(call: Call, one: List, within: Segment | None = None) -> Segment:
    rules = [{"field": "list", "op": "on", "value": one.pk}]
    if within is not None:
        rules.append({"field": "segment", "op": "in", "value": within.pk})
    tree = {"v": 1, "match": "all", "rules": rules}
    name = f"{one.name} × {within.name[:80]} ({lists.address_of(one)}-{within.pk})" if within else (
        f"{one.name} ({lists.address_of(one)})"
    )  # fmt: skip
    known = Segment.objects.filter(workspace=call.workspace, name=name).first()
    return known or segments.save(call.workspace, name, tree, actor="key", actor_id=call.key.pk)


def _create(call: Call, given: dict[str, Any]) -> Draft:
    segment, chosen = _audience(call, given)
    template = _template(call, given)
    declaration = declared.of(call.key)
    try:
        campaign = drafts.create(
            call.workspace,
            given.get("Title") or given["Subject"],
            from_name=given.get("SenderName") or given["Sender"],
            from_address=given["SenderEmail"],
            reply_to=given.get("ReplyEmail", ""),
            segment=segment,
            purpose=declaration.purpose if declaration else None,
            product_family=call.key.product_family,
            seller=call.key.seller,
        )
    except Refused as refusal:
        raise Wrong(400, str(refusal)) from None
    facts = {name: given[name] for name in _KEPT if name in given} | chosen
    made = Draft(workspace=call.workspace, campaign=campaign, facts=facts)
    if template is not None:
        _take_parts(made, template)
    made.save()
    made.refresh_from_db()
    campaign.refresh_from_db()
    _compose(call, made)
    return made


def _template(call: Call, given: dict[str, Any]) -> StoredTemplate | None:
    """The template whose parts become those of the draft, where one is named."""
    wanted = given.get("TemplateID") or given.get("Template")
    if not wanted:
        return None
    try:
        found = stored.find(call, str(wanted))
    except Wrong:
        raise unresolved("Template", wanted) from None
    if said := edited.lacks(found):
        raise Wrong(400, said)
    return found


def _take_parts(one: Draft, template: StoredTemplate) -> None:
    one.html, one.text, one.mjml, one.headers = template.html, template.text, template.mjml, template.headers
    one.facts = one.facts | {"TemplateID": template.pk}


def _change(call: Call, one: Draft, given: dict[str, Any]) -> bool:
    campaign = one.campaign
    if given.get("Status") == -2:
        try:
            drafts.delete(campaign)
        except Refused as refusal:
            raise Wrong(400, str(refusal)) from None
        return True
    changes: dict[str, Any] = {}
    for name, column in (("SenderEmail", "from_address"), ("SenderName", "from_name"), ("ReplyEmail", "reply_to")):
        if name in given and given[name] != getattr(campaign, column):
            changes[column] = given[name]
    (shown,) = _show(call, [one])  # what stands there comes back whole, and changes nothing
    facts = one.facts | {name: given[name] for name in _KEPT if name in given and given[name] != shown[name]}
    both = {
        f"{name}ID": facts.get(f"{name}ID") for name in ("ContactsList", "Segmentation") if f"{name}Alt" not in given
    }
    named = {"ContactsListID", "ContactsListAlt", "SegmentationID", "SegmentationAlt"} & given.keys()
    segment, chosen = _audience(call, both | given) if named else (None, {})
    facts |= chosen
    if segment is not None and campaign.segment_id != segment.pk:
        changes["segment"] = segment
    template = _template(call, given)
    if template is not None:
        facts["TemplateID"] = template.pk
    if not changes and facts == one.facts:
        return False
    _edit(campaign, changes)
    words = any(facts.get(name) != one.facts.get(name) for name in ("Subject", "TemplateID"))
    if template is not None and one.facts.get("TemplateID") != template.pk:
        _take_parts(one, template)
    one.facts, one.modified_at = facts, Now()
    one.save()
    one.refresh_from_db()
    if words:
        _compose(call, one)
    return True


def _edit(campaign: Campaign, changes: dict[str, Any]) -> None:
    try:
        drafts.edit(campaign, campaign.revision, **changes)
    except (Refused, Conflict) as refusal:
        raise Wrong(400, str(refusal)) from None


# ---- content


def _compose(call: Call, one: Draft) -> None:
    """A version of the content, as soon as there is any. Raises Wrong with the line."""
    if not (one.html or one.text):
        return
    part = "Html-part"
    kinds = {key: found.type for key, found in catalogue.of(call.workspace).items()}
    try:
        html = translate(one.html, names.key_of, kinds) if one.html else ""
        part = "Text-part"
        words = translate(one.text, names.key_of, kinds) if one.text else None
        part = "Subject"
        subject = translate(one.facts.get("Subject", ""), names.key_of, kinds)
        made = templates.save(
            call.workspace,
            f"API {one.campaign.pk}",
            "html" if html else "text",
            html or words or "",
            subject,
            text=words if html else None,
        )
    except MtlError as error:
        raise Wrong(400, f"{part}, line {error.line}: {error}", newer=True) from None
    except TemplateProblem as problem:
        raise Wrong(400, str(problem), newer=True) from None
    if one.campaign.template != made.template:
        _edit(one.campaign, {"template": made.template})


def _content(one: Draft) -> Answer:
    row = {"Headers": one.headers, "Html-part": one.html, "MJMLContent": one.mjml, "Text-part": one.text}
    return Answer(200, envelope([row]).body, JSON_UTF8)


def _read(call: Call, one: Draft, behind: str) -> Answer:
    return _content(one)


def _write(call: Call, one: Draft, behind: str) -> Answer:
    for name, value in write_parts(call, replace=call.method == "POST").items():
        setattr(one, name, value)
    one.modified_at = Now()
    one.save()
    one.refresh_from_db()
    _compose(call, one)
    return _content(one)


# ---- acts


def _ready(call: Call, one: Draft) -> None:
    """What is checked before anything is decided, in words for whoever wrote the program."""
    if not one.facts.get("ContactsListID"):
        raise Wrong(400, "The campaign has no ContactsListID: nobody would get it.")
    if one.campaign.purpose is None:
        declaration = declared.of(call.key)
        if declaration is None:
            raise Wrong(
                400,
                "Nothing is declared for this API key: an owner of the workspace says on the page of the key to which"
                " purpose the people of its lists agreed. Until then nothing is sent to them.",
            )
        _edit(one.campaign, {"purpose": declaration.purpose})


def _send(call: Call, one: Draft, behind: str) -> list[Any]:
    _ready(call, one)
    try:
        actions.send(one.campaign)
    except Refused as refusal:
        raise Wrong(400, str(refusal)) from None
    return [{"Status": "Programmed"}]


def _schedule(call: Call, one: Draft, behind: str) -> list[Any]:
    raw = call.body.get("date")
    if raw in (None, ""):
        raise Invalid("MJ08 Property Date is invalid: MJ03 A non-empty value is required")
    now = str(raw).strip().upper() == "NOW"
    try:
        at = timezone.now() + timedelta(seconds=1) if now else moment(raw)
    except Invalid as wrong:
        raise Invalid(f"MJ08 Property Date is invalid: {wrong}") from None
    _ready(call, one)
    try:
        if one.campaign.state == "scheduled":
            actions.take_back(one.campaign)
            one.campaign.refresh_from_db()
        if now:
            actions.send(one.campaign)
        else:
            actions.schedule(one.campaign, at)
    except Refused as refusal:
        raise Wrong(400, str(refusal)) from None
    return [{"Date": told(at), "Status": "Programmed"}]


def _scheduled(call: Call, one: Draft, behind: str) -> list[Any]:
    return [{"Date": told(one.campaign.scheduled_at), "Status": _word(one)}]


def _unschedule(call: Call, one: Draft, behind: str) -> Answer:
    try:
        actions.take_back(one.campaign)
    except Refused as refusal:
        raise Wrong(400, str(refusal)) from None
    return Answer(204)


def _test(call: Call, one: Draft, behind: str) -> list[Any]:
    given = call.body.get("recipients")
    if not isinstance(given, list) or not given or not all(isinstance(each, dict) for each in given):
        raise Invalid("MJ08 Property Recipients is invalid: MJ03 A non-empty value is required")
    try:
        for each in map(folded, given[:10]):
            actions.send_test(one.campaign, str(each.get("email", "")))
    except Refused as refusal:
        raise Wrong(400, str(refusal)) from None
    return [{"Status": _word(one)}]


def _word(one: Draft) -> str:
    return _WORDS[_STATUS.get(one.campaign.state, 0)]


def _status(call: Call, one: Draft, behind: str) -> list[Any]:
    return [{"Status": _word(one)}]


_OF_NEWSLETTERS: dict[str, Any] = {
    "Callback": "", "EditType": "full", "Footer": "default", "FooterAddress": "", "FooterWYSIWYGType": 0,
    "HeaderFilename": "", "HeaderLink": "", "HeaderText": "", "HeaderUrl": "", "Ip": "", "IsArchived": False,
    "IsCampaign": True, "IsDeleted": False, "Permalink": "default", "PermalinkHost": "", "PermalinkWYSIWYGType": 0,
    "PolitenessMode": 0, "TestAddress": "",
}  # fmt: skip


def _show_newsletters(call: Call, found: Sequence[Draft]) -> list[dict[str, Any]]:
    """The older twin of a draft: what it says beyond is as it stands where nobody ever set it."""
    rows = _show(call, found)
    return [{**_OF_NEWSLETTERS, **row, "IsHandled": row["Used"]} for row in rows]


DRAFT = Resource(
    "campaigndraft", _rows, find, _show, Scope.CAMPAIGNS, FIELDS,
    absent=frozenset({"axtesting", "campaign", "deliveredat", "modified", "newslettertemplate"}),
    sorts={"id": ("campaign_id", True)}, create=_create, change=_change,
    acts={
        "detailcontent": {"GET": _read, "POST": _write, "PUT": _write},
        "send": {"POST": _send},
        "schedule": {"GET": _scheduled, "POST": _schedule, "PUT": _schedule, "DELETE": _unschedule},
        "test": {"POST": _test},
        "status": {"GET": _status},
    },
)  # fmt: skip
NEWSLETTER = replace(DRAFT, name="newsletter", show=_show_newsletters)
