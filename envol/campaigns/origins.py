"""Who of a campaign was never told where her data came from, and the paragraph that tells it (GDPR art. 14(3)(b))."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from envol.accounts.models import Member
from envol.audience import engine
from envol.audience.catalogue import Catalogue
from envol.campaigns import drafts
from envol.campaigns.check import ADVICE, Check
from envol.campaigns.checks import latest_version, tree_of
from envol.campaigns.models import Campaign
from envol.campaigns.refusals import Refused
from envol.consent import gates, informing
from envol.consent.models import Origin
from envol.content import informing as paragraph
from envol.content.models import Template, Version
from envol.db import rows
from envol.outbound.models import Sending


def waiting(campaign: Campaign, catalogue: Catalogue | None = None) -> list[tuple[Origin, int]]:
    """Origins of those who may be written to and were not told, with how many. Raises SegmentProblem."""
    if campaign.purpose is None or not informing.some_wait(campaign.workspace.pk):
        return []
    catalogue = catalogue or Catalogue(campaign.workspace)
    query, params = engine.ids_sql(catalogue, tree_of(campaign, catalogue))
    transactional = campaign.purpose.kind == "transactional"
    gate = gates.refusal_sql("c", bit=campaign.purpose.bit, transactional=transactional)
    found = dict(
        rows(
            f"SELECT i.origin_id, count(*) FROM ({query}) s JOIN contacts_contact c ON c.id = s.id"
            " JOIN consent_informing i ON i.workspace_id = c.workspace_id AND i.contact_id = c.id AND i.at IS NULL"
            f" WHERE {gate} IS NULL GROUP BY 1",
            params,
        )
    )
    mine = Origin.objects.filter(workspace=campaign.workspace, pk__in=found).order_by("due_at", "pk")
    return [(one, found[one.pk]) for one in mine]


def told(campaign: Campaign, n: int) -> Check:
    """That so many are left out because the message does not say where their data came from."""
    names = ", ".join(one.name for one, _n in waiting(campaign))
    fr = (
        f"{n} personne{'s' if n > 1 else ''} ne recevr{'ont' if n > 1 else 'a'} pas ce message\u202f: leurs données"
        f" viennent de «\u202f{names}\u202f», et rien ne le leur a encore dit (RGPD, article 14). Ajoutez le paragraphe"
        " qui le dit."
    )
    en = (
        f"{n} {'people' if n > 1 else 'person'} will not get this message: their data came from “{names}”, and nobody"
        " told them so yet (GDPR, article 14). Add the paragraph that does."
    )
    return Check(ADVICE, gates.NOT_TOLD, fr, en, "audience", {"people": n})


def add(campaign: Campaign, *, member: Member | None = None) -> Version:
    """The content with the paragraph for whoever of this campaign was not told. Raises Refused."""
    found = [one for one, _n in waiting(campaign)]
    with transaction.atomic():
        version = latest_version(campaign)
        if version is None:
            raise Refused(_("Write the content first."))
        if not found:
            raise Refused(_("Everybody of this audience was told where their data came from."))
        drafts.edit(campaign, campaign.revision, member=member)  # refuses a campaign on its way
        made = carry(campaign, version, [*version.informs, *(one.pk for one in found)])
        if made.template.pk != version.template.pk:
            drafts.edit(campaign, campaign.revision, member=member, template=made.template)
        return made


def carry(campaign: Campaign, version: Version, origins: list[int]) -> Version:
    """The same content with the paragraph of these origins, by the notice in force; as it is without any."""
    mine = list(Origin.objects.filter(workspace=campaign.workspace, pk__in=origins).order_by("due_at", "pk"))
    if not mine or sorted(one.pk for one in mine) == sorted(version.informs):
        return version
    template, found = version.template, version
    if version.informs:  # the paragraph is in it: begin again from the words without it
        same = {"source": version.source, "subject": version.subject, "preheader": version.preheader}
        bare = Version.objects.filter(workspace=campaign.workspace, informs=[], **same).order_by("-pk")
        found = bare.first() or version
    # Content that another campaign uses too is copied, so that theirs stays as it is.
    if Campaign.objects.filter(template=template).exclude(pk=campaign.pk).exists():
        name = f"{campaign.name[:180]} ({campaign.pk})"
        template, _new = Template.objects.get_or_create(workspace=campaign.workspace, name=name)
    said = {}
    for code in ("fr", "en"):
        with translation.override(code):
            said[code] = informing.sentences(campaign.workspace, mine, among_others=True)
    return paragraph.with_words(found, template, said, [one.pk for one in mine])


def note_told(sending: Sending) -> int:
    """Whoever got this message, which names origins, was told; how many. Doing it twice is harmless."""
    version = Version.objects.filter(pk=sending.version_id or 0).only("informs").first()
    if version is None or not version.informs:
        return 0
    got: tuple[str, dict[str, Any]] = (
        "SELECT s.contact_id, o.at FROM outbound_send s JOIN outbound_outcome o ON o.sending_id = s.sending_id"
        " AND o.no = s.no WHERE s.sending_id = %(sending)s AND o.state = 'delivered' AND s.contact_id IS NOT NULL",
        {"sending": sending.pk},
    )
    return informing.told_by(sending.workspace.pk, version.informs, got, sending_id=sending.pk)
