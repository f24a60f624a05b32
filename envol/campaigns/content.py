"""The content of a campaign while it is written: a draft that is kept at every pause, versions that never change."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from envol.accounts.models import Member
from envol.campaigns import drafts, origins
from envol.campaigns.checks import latest_version
from envol.campaigns.models import Campaign, ContentDraft
from envol.campaigns.refusals import Conflict, Refused
from envol.content import designs, gallery, templates
from envol.content.gallery import Design
from envol.content.models import Version

MODEL = "model"


@dataclass(frozen=True, slots=True)
class Words:
    """What is being written. ``subject`` and ``preheader`` are in the language of templates."""

    mode: str
    design: Design | None = None
    source: str = ""
    subject: str = ""
    preheader: str = ""
    text: str | None = None
    fallbacks: dict[str, str] = field(default_factory=dict)


def started(campaign: Campaign, key: str, language: str, before: Words | None = None) -> Words:
    """A model to begin with. What was written before stays in the places that both have. Raises Refused."""
    begun = gallery.start(key, language)
    if begun is None:
        raise Refused(_("There is no such model; choose one of those on the page."))
    chips = gallery.chips_of(campaign.workspace)
    words = Words(
        MODEL,
        begun,
        subject=gallery.tags(begun.model.subject.of(begun.language), chips),
        preheader=gallery.tags(begun.model.preheader.of(begun.language), chips),
    )
    if before is None:
        return words
    if before.subject and not _of_a_model(before.subject, chips):
        words = replace(words, subject=before.subject, preheader=before.preheader)
    if before.design is not None:
        _carry(before.design, begun)
    return replace(words, fallbacks=before.fallbacks)


def _of_a_model(subject: str, chips: gallery.Chips) -> bool:
    return any(
        subject == gallery.tags(words, chips)
        for model in gallery.MODELS
        for words in (model.subject.en, model.subject.fr)
    )


def _carry(old: Design, new: Design) -> None:
    """Own words into the places of the same name and kind; words of the old model stay behind."""
    first = old.model.default(old.language)
    kinds = {place.key: place.kind for place in old.model.places if isinstance(place, gallery.Place)}
    for place in new.model.places:
        if isinstance(place, gallery.Place) and kinds.get(place.key) == place.kind:
            value = old.values[place.key]
            if value != first.get(place.key):
                new.values[place.key] = value
    if old.values["colour"] != old.model.colour:
        new.values["colour"] = old.values["colour"]


def draft_of(campaign: Campaign) -> ContentDraft | None:
    return ContentDraft.objects.filter(campaign=campaign).first()


def words_of(found: ContentDraft | Version) -> Words:
    """What a draft or a version holds."""
    design = gallery.opened(found.design)
    mode = MODEL if design is not None else found.mode
    return Words(
        mode,
        design,
        "" if design is not None else found.source,
        found.subject,
        found.preheader,
        found.text_source,
        dict(found.fallbacks),
    )


def current(campaign: Campaign) -> Words | None:
    """What the page opens with: the draft, else the last version; None when nothing was written yet."""
    found = draft_of(campaign) or latest_version(campaign)
    return words_of(found) if found is not None else None


def keep(campaign: Campaign, words: Words, *, holder: str, seen: int, member: Member | None = None) -> ContentDraft:
    """Keep what is being typed. ``seen``: the draft's revision that this window knows, 0 for none.

    Raises Conflict when another window wrote meanwhile, Refused once the campaign is on its way.
    """
    with transaction.atomic():
        now = Campaign.objects.select_for_update().get(pk=campaign.pk)
        drafts.require_editable(now)
        known = draft_of(now)
        if known is not None and known.holder != holder and known.revision != seen:
            raise Conflict(_written_by(known, member))
        made, _new = ContentDraft.objects.update_or_create(
            campaign=now,
            defaults={
                "mode": words.mode,
                "design": words.design.to_json() if words.design else None,
                "source": words.source,
                "subject": words.subject,
                "preheader": words.preheader,
                "text_source": words.text,
                "fallbacks": words.fallbacks,
                "revision": (known.revision if known else seen) + 1,
                "holder": holder[:32],
                "member_id": member.pk if member else None,
                "saved_at": Now(),
            },
        )
    made.refresh_from_db()
    return made


def _written_by(known: ContentDraft, member: Member | None) -> str:
    if member is not None and known.member_id == member.pk:
        return _("You wrote here in another window meanwhile. Look at what is there, or keep what stands here.")
    who = Member.objects.filter(pk=known.member_id or 0).select_related("user").first()
    name = str(who.user) if who else _("Somebody")
    return _("%(who)s wrote here meanwhile. Look at what is there, or keep what stands here.") % {"who": name}


def save(
    campaign: Campaign, revision: int, words: Words, *, base_url: str, member: Member | None = None, draft: bool = True
) -> Version:
    """A new version of the content, which tests and the sending use from now on; the ``draft`` has done its work.

    Raises Conflict, Refused, or TemplateProblem with what is to mend.
    """
    with transaction.atomic():
        drafts.edit(campaign, revision, member=member)  # refuses a conflict, or a campaign on its way, before all else
        # Content that another campaign uses too is copied, so that theirs stays as it is.
        shared = campaign.template is not None and (
            Campaign.objects.filter(template=campaign.template).exclude(pk=campaign.pk).exists()
        )
        name = campaign.template.name if campaign.template and not shared else f"{campaign.name[:180]} ({campaign.pk})"
        last = latest_version(campaign)
        more: dict[str, Any] = {
            "preheader": words.preheader,
            "text": words.text,
            "fallbacks": _known(words.fallbacks),
            "utm": dict(last.utm) if last else None,
        }
        if words.design is not None:
            made = designs.save(campaign.workspace, name, words.design, words.subject, base_url=base_url, **more)
        else:
            made = templates.save(campaign.workspace, name, words.mode, words.source, words.subject, **more)
        if last is not None and last.informs:
            made = origins.carry(campaign, made, last.informs)
        if draft:
            ContentDraft.objects.filter(campaign=campaign).delete()
        if campaign.template is None or campaign.template.pk != made.template.pk:
            drafts.edit(campaign, campaign.revision, member=member, template=made.template)
    return made


def _known(fallbacks: dict[str, str]) -> dict[str, str]:
    return {key: text for key, text in fallbacks.items() if text.strip()}


def drop(campaign: Campaign) -> None:
    """Forget the draft: the last version is what stands."""
    ContentDraft.objects.filter(campaign=campaign).delete()


def trial(campaign: Campaign, words: Words, base_url: str) -> Version:
    """The version that saving these words would make, not stored. Raises TemplateProblem."""
    workspace, fallbacks = campaign.workspace, {_full(k): v for k, v in words.fallbacks.items()}
    if words.design is not None:
        return designs.trial(workspace, words.design, words.subject, words.preheader, base_url, fallbacks)
    made = templates.compile_template(
        words.mode, words.source, words.subject, preheader=words.preheader, text=words.text,
        known=designs.known(workspace),
    )  # fmt: skip
    return designs.unsaved(workspace, words.mode, words.source, words.subject, words.preheader, made, fallbacks)


def _full(key: str) -> str:
    return key if key.startswith("contact.") else f"contact.{key}"


def as_code(campaign: Campaign, words: Words, base_url: str) -> Words:
    """The same content as MJML, from which there is no way back into the form."""
    assert words.design is not None
    return replace(words, mode="mjml", design=None, source=designs.source(campaign.workspace, words.design, base_url))


def drafts_with_picture(workspace_id: int, media_id: int) -> list[Campaign]:
    """Campaigns whose unsaved content shows a picture."""
    found = ContentDraft.objects.filter(campaign__workspace_id=workspace_id, design__isnull=False)
    return [
        draft.campaign
        for draft in found.select_related("campaign")
        if (design := gallery.opened(draft.design)) is not None and media_id in gallery.media_of(design)
    ]
