"""Weighing before doing: the balance of a legitimate interest, and whether an impact assessment is due.

GDPR art. 6(1)(f), 35 and 36; the nine criteria are those of the guidelines WP 248 rev. 01: two of them ask for an
impact assessment. Where a high risk stays, the authority is asked before a campaign of the purpose leaves. Each answer
is a version; earlier ones stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from envol.accounts.journal import note
from envol.accounts.models import Workspace
from envol.consent import data_map
from envol.consent.models import Assessment, Purpose
from envol.db import value

LIA, DPIA = "lia", "dpia"
CRITERIA = {
    "scoring": gettext_lazy("People are scored or profiled"),
    "automatic": gettext_lazy("Something is decided about them automatically, with an effect like that of a law"),
    "monitoring": gettext_lazy("They are watched systematically"),
    "sensitive": gettext_lazy("Data are sensitive or very personal"),
    "scale": gettext_lazy("Data of very many people are processed"),
    "matching": gettext_lazy("Data from different sources are brought together"),
    "vulnerable": gettext_lazy("Children, patients or employees are among them"),
    "innovation": gettext_lazy("A new technique is used"),
    "blocking": gettext_lazy("It decides whether they get a service or a contract"),
}
ENOUGH = 2
LARGE = 100_000
"""People from which Envol proposes to call it a large scale; the guidelines name no number."""
PARTS = {
    "interest": gettext_lazy("Which interest, and whose?"),
    "need": gettext_lazy("Why is the processing needed for it, and nothing milder does?"),
    "balance": gettext_lazy("What does it mean for the people, and would they expect it?"),
    "safeguards": gettext_lazy("What protects them: notice, a way to object, short retention?"),
}


def newest(workspace: Workspace) -> dict[tuple[int, str], Assessment]:
    """The answer in force by purpose and kind."""
    found: dict[tuple[int, str], Assessment] = {}
    for one in Assessment.objects.filter(workspace=workspace).order_by("id"):
        found[one.purpose_id, one.kind] = one
    return found


def proposed(workspace: Workspace, purpose: Purpose) -> dict[str, str]:
    """Criteria that the database shows by itself, each with what it saw."""
    seen: dict[str, str] = {}
    flows = data_map.flows(workspace)
    mine = [flow for flow in flows if flow.kind == "property" and flow.purposes >> purpose.bit & 1]
    if sensitive := [flow.name for flow in mine if flow.sensitive]:
        seen["sensitive"] = ", ".join(sensitive)
    if purpose.kind == "measuring" or purpose.key == "personalisation":
        seen["scoring"] = _("reactions and purchases give scores and interests")
    many = value("SELECT count(*) FROM (SELECT FROM contacts_contact WHERE workspace_id = %s LIMIT %s) c",
                 [workspace.pk, LARGE])  # fmt: skip
    if many >= LARGE:
        seen["scale"] = _("more than %(n)s people") % {"n": LARGE}
    ways_in = {flow.kind for flow in flows} & {"form", "import", "key"}
    if len(ways_in) > 2 and purpose.kind != "transactional":
        seen["matching"] = _("forms, files and programs all bring data")
    return seen


def screen(
    workspace: Workspace, purpose: Purpose, met: Mapping[str, bool], why: str, *, member_id: int | None = None
) -> Assessment:
    """Answer the nine criteria for a purpose; ``needed`` follows."""
    answers = {name: bool(met.get(name)) for name in CRITERIA}
    outcome = "needed" if sum(answers.values()) >= ENOUGH else "not_needed"
    return keep(workspace, purpose, DPIA, {**answers, "why": why}, outcome, member_id)


def weigh(
    workspace: Workspace, purpose: Purpose, said: Mapping[str, str], holds: bool, *, member_id: int | None = None
) -> Assessment:
    """The balance of a legitimate interest in writing."""
    answers = {name: said.get(name, "").strip() for name in PARTS}
    return keep(workspace, purpose, LIA, answers, "holds" if holds else "does_not_hold", member_id)


def done(
    workspace: Workspace, purpose: Purpose, summary: str, *, high: bool = False, member_id: int | None = None
) -> Assessment:
    """The impact assessment that was due is made: what it found and which measures follow (art. 35(7)).

    ``high``: a high risk stays in spite of them, so the authority must be asked before (art. 36(1)).
    """
    before = newest(workspace).get((purpose.pk, DPIA))
    answers = {**(before.answers if before else {}), "summary": summary.strip()}
    return keep(workspace, purpose, DPIA, answers, "consult" if high else "done", member_id)


def last_made(workspace: Workspace, purpose_id: int) -> Assessment | None:
    """The newest impact assessment that was made of this purpose, whatever the nine criteria say since."""
    made = Assessment.objects.filter(
        workspace=workspace, purpose_id=purpose_id, kind=DPIA, outcome__in=("done", "consult")
    )
    return made.order_by("-id").first()


def must_consult(workspace: Workspace) -> set[int]:
    """Purposes whose newest impact assessment leaves a high risk that the authority was not asked about.

    New answers to the nine criteria alone do not lift it: only an assessment that says the risk is no longer high.
    """
    made = Assessment.objects.filter(workspace=workspace, kind=DPIA, outcome__in=("done", "consult"))
    outcomes = dict(made.order_by("id").values_list("purpose_id", "outcome"))
    return {purpose_id for purpose_id, outcome in outcomes.items() if outcome == "consult"}


def keep(
    workspace: Workspace, purpose: Purpose, kind: str, answers: dict[str, Any], outcome: str, member_id: int | None
) -> Assessment:
    """One more version of an answer of this kind; earlier ones stay."""
    with transaction.atomic():
        made = Assessment.objects.create(
            workspace=workspace, purpose=purpose, kind=kind, answers=answers, outcome=outcome, member_id=member_id
        )
        note(workspace, "member", f"assessment.{kind}", made, actor_id=member_id, purpose=purpose.key, outcome=outcome)
    return made
