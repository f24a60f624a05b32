"""Asking people for an agreement: to be measured, to go on with one that ends soon by its term, or to give one that was
never proven.

Each is an ordinary campaign, made ready in one act: its people, its words, and nothing of it measured. It goes only to
people who may be written to; whoever answered no is not asked again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from envol.accounts.models import Member, Workspace
from envol.audience import engine, segments
from envol.audience.models import Segment
from envol.campaigns import actions, content
from envol.campaigns.models import Campaign
from envol.campaigns.refusals import Refused
from envol.consent import lapse
from envol.consent.models import Purpose
from envol.content import gallery

_KEEP = {
    "en": (
        "Shall we keep writing to you?",
        "Hello {first_name|everyone},\n\nYou agreed some time ago to: “%(purpose)s”. This agreement ends soon.\n\nIf"
        " you would like it to go on, say so on your own page. If not, do nothing: we stop by ourselves.",
        "Keep or change my choices",
        "No answer counts as no.",
    ),
    "fr": (
        "Voulez-vous que nous continuions ?",
        "Bonjour {first_name|à vous},\n\nVous aviez accepté : « %(purpose)s ». Cet accord prend bientôt fin.\n\nSi vous"
        " souhaitez le prolonger, dites-le sur votre page. Sinon, ne faites rien : nous nous arrêtons de nous-mêmes.",
        "Garder ou changer mes choix",
        "Sans réponse de votre part, c’est non.",
    ),
}


_ONCE = {
    "en": (
        "May we write to you?",
        "Hello {first_name|everyone},\n\nYou know us, and we would like to write to you from time to time. We found no"
        " trace of your agreement, so we ask for it.\n\nIf you would like it, say so on your own page. If not, do"
        " nothing: we ask once, and do not write again.",
        "Choose what I receive",
        "No answer counts as no. This message measures nothing.",
    ),
    "fr": (
        "Pouvons-nous vous écrire ?",
        "Bonjour {first_name|à vous},\n\nVous nous connaissez, et nous aimerions vous écrire de temps en temps. Nous"
        " n’avons pas trouvé trace de votre accord\u202f: nous vous le demandons donc.\n\nSi vous le voulez bien,"
        " dites-le sur votre page. Sinon, ne faites rien\u202f: nous ne le demandons qu’une fois, et n’écrirons plus.",
        "Choisir ce que je reçois",
        "Sans réponse de votre part, c’est non. Ce message ne mesure rien.",
    ),
}


def people_to_measure(purpose: Purpose) -> dict[str, Any]:
    """Who may be written to for a purpose and never answered whether she may be measured."""
    return _all(
        {"field": "permission", "op": "may_write", "value": purpose.key},
        {"field": "measured", "op": "unasked", "value": "opens"},
        {"field": "measured", "op": "unasked", "value": "clicks"},
    )


def people_to_keep(purpose: Purpose) -> dict[str, Any]:
    """Whose permission for a purpose ends by its term within the time in which it can be renewed."""
    assert purpose.months is not None
    days = max(1, int(purpose.months * 30.44) - lapse.SOON.days + 3)  # whoever is asked finds the button
    return _all(
        {"field": "permission", "op": "may_write", "value": purpose.key},
        {"field": f"permitted.{purpose.key}", "op": "more_than_ago", "value": days},
    )


def people_to_ask_once(purpose: Purpose) -> dict[str, Any]:
    """Whom the purpose of asking once allows to be written to."""
    return _all({"field": "permission", "op": "may_write", "value": purpose.key})


def people_taken_over(purpose: Purpose) -> dict[str, Any]:
    """Whose permission for a purpose rests on what a former system said."""
    return _all(
        {"field": "permission", "op": "may_write", "value": purpose.key},
        {"field": f"proved.{purpose.key}", "op": "in", "value": ["legacy"]},
    )


def _all(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"v": 1, "match": "all", "rules": list(rules)}


def for_measuring(workspace: Workspace, *, base_url: str, member: Member | None = None, **sender: Any) -> Campaign:
    """A campaign that asks those who have not answered whether they may be measured. Raises Refused."""
    purpose = sender.pop("purpose", None) or Purpose.objects.filter(workspace=workspace, key="newsletter").first()
    if purpose is None or purpose.kind != "marketing":
        raise Refused(_("Choose first a purpose for which people get messages from you."))
    name = _("May we measure?")
    return _make(workspace, name, purpose, people_to_measure(purpose), None, base_url, member, sender)


def for_keeping(
    purpose: Purpose, /, *, base_url: str, member: Member | None = None, legacy: bool = False, **sender: Any
) -> Campaign:
    """A campaign that asks whether a permission shall go on: those that end soon, or (``legacy``) those taken over from
    a former system, where these have a term. Raises Refused."""
    sender.pop("purpose", None)
    if (purpose.legacy_months if legacy else purpose.months) is None or purpose.kind != "marketing":
        raise Refused(_("Say first how long a permission lasts."))
    language = "fr" if purpose.workspace.language.startswith("fr") else "en"
    label = purpose.label_fr if language == "fr" else purpose.label_en
    title, text, choose, small = _KEEP[language]
    words = {"title": title, "text": text % {"purpose": label}, "choose": choose, "note": small}
    name = _("Keep your agreement? %(purpose)s") % {"purpose": label}
    if legacy:
        name = _("Confirm your agreement? %(purpose)s") % {"purpose": label}
    them = people_taken_over(purpose) if legacy else people_to_keep(purpose)
    return _make(purpose.workspace, name, purpose, them, words, base_url, member, sender)


def for_agreement(purpose: Purpose, *, base_url: str, member: Member | None = None, **sender: Any) -> Campaign:
    """A campaign that asks whom `envol.consent.purposes.asked_once` permits it for a consent. Raises Refused."""
    title, text, choose, small = _ONCE["fr" if purpose.workspace.language.startswith("fr") else "en"]
    words = {"title": title, "text": text, "choose": choose, "note": small}
    tree = people_to_ask_once(purpose)
    return _make(purpose.workspace, _("May we write?"), purpose, tree, words, base_url, member, sender)


def _make(
    workspace: Workspace,
    name: str,
    purpose: Purpose,
    tree: dict[str, Any],
    words: dict[str, str] | None,
    base_url: str,
    member: Member | None,
    sender: dict[str, Any],
) -> Campaign:
    if not engine.count(workspace, tree):
        raise Refused(_("There is nobody to ask: everybody answered, or may not be written to."))
    with transaction.atomic():
        segment = Segment.objects.filter(workspace=workspace, name=name[:200]).first()
        segment = segments.save(workspace, name[:200], tree, segment=segment)
        made = actions.create(
            workspace, name, member=member, purpose=purpose, segment=segment, unmeasured=True, **sender
        )
        begun = content.started(made, gallery.ASKING, workspace.language)
        if words is not None and begun.design is not None:
            begun.design.values.update(words)
            begun = replace(begun, subject=words["title"], preheader="")
        with translation.override(workspace.language):
            content.save(made, made.revision, begun, base_url=base_url, member=member)
    made.refresh_from_db()
    return made
