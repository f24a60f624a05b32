"""The six steps towards compliance that the French authority publishes, with what is done and what is missing now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from envol.accounts.models import Job, Workspace
from envol.consent import assessments, breaches, data_map, demands, desk, overview, policies, transfers
from envol.consent.models import Breach, Purpose

YEAR = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing of a step: done or not, in a sentence; ``place`` names the page that mends it."""

    done: bool
    said: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    no: int
    title: str
    checks: list[Check]

    @property
    def done(self) -> bool:
        return all(one.done for one in self.checks)


def _recent(day: date | None) -> bool:
    return day is not None and timezone.localdate() - day <= YEAR


def steps(workspace: Workspace) -> list[Step]:
    """Every step as it stands now."""
    found, drawn = desk.of(workspace), data_map.draw(workspace)
    purposes = list(Purpose.objects.filter(workspace=workspace).order_by("bit"))
    weighed = assessments.newest(workspace)
    idle = [flow.name for flow in drawn.flows if flow.kind == "property" and not flow.purposes]
    unsaid = [flow.name for flow in drawn.flows if flow.kind == "undeclared"]
    red = [one.name for one in transfers.known(workspace) if transfers.judge(one).colour == transfers.RED]
    unproven = overview.strengths(workspace.pk)["none"].permissions
    unscreened = [one for one in purposes if (one.pk, assessments.DPIA) not in weighed]
    due = [one for one in weighed.values() if one.kind == assessments.DPIA and one.outcome == "needed"]
    drill = Breach.objects.filter(workspace=workspace, drill=True).order_by("-id").first()
    packed = Job.objects.filter(workspace=workspace, kind="consent.evidence", state="done").order_by("-id").first()
    real = Breach.objects.select_related("workspace").filter(workspace=workspace, drill=False)
    running = [
        one for one in real.order_by("-id")[:50]
        if breaches.state(one).late and breaches.state(one).runs
    ]  # fmt: skip
    return [
        Step(1, _("Name who steers it"), [
            Check(bool(found.legal_name), _("The controller is named"), "controller"),
            Check(bool(found.dpo_name and found.dpo_contact),
                  _("Somebody looks after data protection and can be reached"), "controller"),
        ]),
        Step(2, _("Map the data"), [
            Check(drawn.reading is not None, _("Somebody has read the data map"), "data_map"),
            Check(not drawn.drifts, _("Nothing is new since it was last read"), "data_map"),
        ]),
        Step(3, _("Put the gaps in order"), [
            Check(not unproven, _("Every permission has a proof"), "consent"),
            Check(not unsaid, _("It is known who gave the data that programs bring") if not unsaid else
                  _("Nobody said who gave the data that these programs bring: %(names)s")
                  % {"names": ", ".join(unsaid[:6])}, "data_map"),
            Check(policies.newest(workspace, policies.NOTICE) is not None,
                  _("There is a notice for who signs up"), "texts"),
            Check(not red, _("No recipient is judged red") if not red else
                  _("Judged red: %(names)s") % {"names": ", ".join(red)}, "processors"),
            Check(not idle, _("Every field serves a purpose") if not idle else
                  _("Fields without a purpose: %(names)s") % {"names": ", ".join(idle[:6])}, "data_map"),
        ]),
        Step(4, _("Manage the risks"), [
            Check(not unscreened, _("Each purpose was screened for an impact assessment"), "assessments"),
            Check(not due, _("The impact assessments that are due are made"), "assessments"),
            Check(not assessments.must_consult(workspace),
                  _("The authority was asked wherever a high risk stays"), "assessments"),
        ]),
        Step(5, _("Organise"), [
            Check(drill is not None and _recent(timezone.localdate(drill.created_at)),
                  _("A breach was rehearsed within a year"), "breaches"),
            Check(not running, _("No breach is late"), "breaches"),
            Check(not demands.late(workspace), _("No foreign authority waits beyond its day"), "demands"),
            Check(_recent(found.trained_on), _("The team was trained within a year"), "controller"),
            Check(_recent(found.rights_reviewed_on), _("Who may do what was looked over within a year"), "controller"),
        ]),
        Step(6, _("Write it all down"), [
            Check(packed is not None and packed.ended_at is not None and timezone.now() - packed.ended_at <= YEAR,
                  _("An evidence pack was made within a year"), "six_steps"),
        ]),
    ]  # fmt: skip
