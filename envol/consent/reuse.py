"""May data that are held for one purpose serve another? The five factors of GDPR art. 6(4), weighed and kept.

What no weighing can allow is said instead of the answer: where people agreed to one purpose, where they would be
profiled, where data are sensitive, where they leave to somebody else, or are read from a terminal, only their consent
counts (art. 6(4), 9, 21, 22; ePrivacy 5(3); EDPB guidelines 05/2020 on consent, no. 121 to 123).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from envol.accounts.models import Workspace
from envol.consent import assessments, data_map
from envol.consent.data_map import Flow
from envol.consent.models import Assessment, Partner, Permission, Purpose
from envol.consent.purposes import UNSENT

KIND = "use"
COMPATIBLE, NOT_COMPATIBLE, CONSENT = "compatible", "not_compatible", "consent"
FACTORS = {
    "link": gettext_lazy("Which link is there between what the data were collected for and the new purpose?"),
    "context": gettext_lazy("In which context did people give them, and would they expect this?"),
    "nature": gettext_lazy("What kind of data are they: sensitive, about offences, very personal?"),
    "consequences": gettext_lazy("What may follow from it for the people?"),
    "safeguards": gettext_lazy("What protects them: pseudonyms, encryption, few who see it, short retention?"),
}
"""Art. 6(4)(a) to (e), as questions."""
SIGNS = {
    "consent": gettext_lazy("people gave them by consent, which covers the purpose they agreed to alone"),
    "profiling": gettext_lazy("people are profiled for it"),
    "sensitive": gettext_lazy("some of the data are sensitive (art. 9, 10)"),
    "passing": gettext_lazy("the data are passed on to somebody else"),
    "measuring": gettext_lazy("it reads from people's terminals (ePrivacy art. 5(3))"),
}
"""Why consent is needed instead, whatever the five answers say."""


class Refusal(ValueError):
    """It cannot be weighed so; ``at`` names the answer that is missing."""

    def __init__(self, sentence: str, at: str) -> None:
        super().__init__(sentence)
        self.at = at


def fields(workspace: Workspace, purpose: Purpose) -> list[Flow]:
    """The properties that are held for this purpose."""
    return [flow for flow in data_map.flows(workspace) if flow.kind == "property" and flow.purposes >> purpose.bit & 1]


def targets(source: Purpose) -> list[Purpose]:
    return list(Purpose.objects.filter(workspace=source.workspace).exclude(pk=source.pk).order_by("bit"))


def seen(source: Purpose, target: Purpose, chosen: Collection[int]) -> dict[str, str]:
    """Signs that the database shows by itself, each with what it saw; nobody can untick them."""
    found: dict[str, str] = {}
    workspace = source.workspace
    # Also of who took it back: her data were given for that purpose alone.
    given = Permission.objects.filter(workspace_id=workspace.pk, purpose_id=source.pk, state="granted")
    if given.filter(basis="consent").exists():
        found["consent"] = _("there are people who agreed to “%(name)s”") % {"name": label_of(source)}
    if target.key == "personalisation":
        found["profiling"] = _("messages are adapted to each person")
    if sensitive := [one.name for one in fields(workspace, source) if one.ref in chosen and one.sensitive]:
        found["sensitive"] = ", ".join(sensitive)
    names = list(Partner.objects.filter(purpose=target, until_version=None).values_list("name", flat=True))
    if names or target.key in UNSENT:
        found["passing"] = ", ".join(names) or label_of(target)
    if target.kind == "measuring":
        found["measuring"] = label_of(target)
    return found


def weigh(
    source: Purpose,
    target: Purpose,
    chosen: Collection[int],
    said: Mapping[str, str],
    signs: Collection[str],
    agrees: bool,
    *,
    member_id: int | None = None,
) -> Assessment:
    """Keep the five answers for these properties (by number). Outcome: ``consent`` where a sign was ticked or seen,
    else what the member concludes. Raises `Refusal`."""
    if target.pk == source.pk or target.workspace_id != source.workspace_id:
        raise Refusal(_("Choose the new purpose."), "target")
    held = [one for one in fields(source.workspace, source) if one.ref in chosen]
    if not held:
        raise Refusal(_("Choose which of the data shall serve the new purpose."), "fields")
    answers: dict[str, Any] = {name: said.get(name, "").strip() for name in FACTORS}
    for name, text in answers.items():
        if not text:
            raise Refusal(_("Answer all five: the law asks for each of them."), name)
    shown = seen(source, target, chosen)
    met = [name for name in SIGNS if name in signs or name in shown]
    outcome = CONSENT if met else COMPATIBLE if agrees else NOT_COMPATIBLE
    answers |= {"from": source.key, "fields": [one.name for one in held], "signs": met}
    answers["properties"] = [one.ref for one in held]
    return assessments.keep(source.workspace, target, KIND, answers, outcome, member_id)


def of(source: Purpose) -> list[Assessment]:
    """What was weighed of the data of this purpose, the newest first."""
    mine = Assessment.objects.filter(workspace=source.workspace, kind=KIND, answers__from=source.key)
    return list(mine.select_related("purpose").order_by("-id")[:50])


def compatible(property_id: int, target: Purpose) -> bool:
    """Did the newest weighing of this property for this purpose find that it may serve it?"""
    mine = Assessment.objects.filter(purpose=target, kind=KIND, answers__properties__contains=[property_id])
    return mine.order_by("-id").values_list("outcome", flat=True).first() == COMPATIBLE


def label_of(purpose: Purpose) -> str:
    return purpose.label_fr if (get_language() or "en").startswith("fr") else purpose.label_en
