"""Is this transfer lawful? A dated table of decisions, and the verdict on each recipient that follows from it.

GDPR art. 44 to 49; CJEU C-362/14 and C-311/18; Decision (EU) 2021/914 (standard clauses, with the assessment of its
clause 14); EDPB recommendations 01/2020. The table is ``data/transfers.json``: what a court or the Commission changes
is changed there. Nothing known is the strictest.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from envol.accounts.models import Workspace
from envol.consent.models import Processor

GREEN, AMBER, RED = "green", "amber", "red"
_WORSE = {GREEN: 0, AMBER: 1, RED: 2}

KINDS = {
    "smart_host": gettext_lazy("relay that our mail leaves through"),
    "hosting": gettext_lazy("hosting, backups"),
    "webhook": gettext_lazy("program that is told of events"),
    "ads": gettext_lazy("advertising platform"),
    "partner": gettext_lazy("partner to whom people let their data be passed on"),
    "rspamd": gettext_lazy("filter that reads our mail"),
    "columns": gettext_lazy("database of copies (ClickHouse)"),
    "other": gettext_lazy("something else"),
}
ROLES = {
    "processor": gettext_lazy("processor (art. 28)"),
    "sub": gettext_lazy("sub-processor"),
    "joint": gettext_lazy("joint controller (art. 26)"),
    "recipient": gettext_lazy("recipient on its own account"),
}
TOOLS = {
    "": gettext_lazy("none"),
    "adequacy": gettext_lazy("adequacy decision (art. 45)"),
    "dpf": gettext_lazy("EU-US Data Privacy Framework"),
    "scc": gettext_lazy("standard contractual clauses (art. 46(2)(c))"),
    "bcr": gettext_lazy("binding corporate rules (art. 47)"),
    "derogation": gettext_lazy("derogation of art. 49"),
    "privacy_shield": gettext_lazy("Privacy Shield"),
    "safe_harbor": gettext_lazy("Safe Harbor"),
}
LIST_CHECK = timedelta(days=31)
"""An importer may leave the framework any day: its place on the list is looked up once a month."""
ENDS_SOON = timedelta(days=180)


class Verdict(NamedTuple):
    """``colour``: green, amber (lawful today, and something is to be done), red (it must not begin, or must stop)."""

    colour: str
    code: str
    why: str
    ways: tuple[str, ...] = ()


@cache
def table() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(__file__).parent / "data" / "transfers.json").read_text("utf-8"))
    return found


def in_eea(country: str) -> bool:
    return country in table()["eea"]


def adequate(country: str, on: date) -> dict[str, Any] | None:
    """The adequacy decision in force for this country on this day."""
    return next((one for one in table()["adequate"] if one["country"] == country and in_force(one, on)), None)


def framework(key: str) -> dict[str, Any] | None:
    return next((one for one in table()["frameworks"] if one["key"] == key), None)


def in_force(one: dict[str, Any], on: date) -> bool:
    return bool(one["since"] <= on.isoformat() and on.isoformat() <= one.get("until", "9999"))


def judge(one: Processor, on: date | None = None) -> Verdict:
    """The verdict on a recipient: the worst of where the data lie, who owns it, and from where they are reached."""
    on = on or timezone.localdate()
    if not one.country:
        return Verdict(RED, "unknown", _("Nobody has said in which country the data lie."), (_("Name the country."),))
    places = dict.fromkeys(c for c in (one.country, one.parent_country, one.access_country) if c)
    found = max((_place(one, country, on) for country in places), key=lambda v: (_WORSE[v.colour], v.code != "inside"))
    if found.colour == GREEN and one.role in ("processor", "sub") and one.dpa_on is None:
        return Verdict(
            AMBER,
            "no_contract",
            _("No contract is noted: a processor may act only under one (GDPR art. 28(3))."),
            (_("Sign one, for example on the model of Decision (EU) 2021/915, and note its date."),),
        )
    return found


def _place(one: Processor, country: str, on: date) -> Verdict:
    if in_eea(country):
        return Verdict(GREEN, "inside", _("The data stay inside the European Economic Area: this is no transfer."))
    if decision := adequate(country, on):
        return _adequate(decision, on)
    named = framework(one.tool)
    if named is not None and not in_force(named, on):
        said = _("%(tool)s is invalid since %(day)s (%(judgment)s).")
        why = said % {"tool": TOOLS[one.tool], "day": named.get("until", ""), "judgment": named.get("judgment", "")}
        return Verdict(RED, "invalid_tool", why, _ways_out())
    if named is not None and named["country"] == country:
        return _framework(one, named, on)
    match one.tool:
        case "scc":
            return _clauses(one)
        case "bcr":
            if one.tool_ref and one.assessed_on:
                said = _("Binding corporate rules cover it (%(ref)s), assessed on %(day)s.")
                return Verdict(GREEN, "bcr", said % {"ref": one.tool_ref, "day": one.assessed_on})
            why = _("Binding corporate rules count with their approval and an assessment of the country's law.")
            return Verdict(RED, "bcr_open", why, (_("Note the approval and the day of the assessment."), *_ways_out()))
        case "derogation":
            why = _("Derogations are for single, occasional transfers and never for regular mail (GDPR art. 49).")
            return Verdict(RED, "derogation", why, _ways_out())
    return Verdict(RED, "no_tool", _("The data leave the European Economic Area and nothing covers it."), _ways_out())


def _adequate(decision: dict[str, Any], on: date) -> Verdict:
    name, until = decision["decision"], decision.get("until")
    if until and date.fromisoformat(until) - on < ENDS_SOON:
        said = _("The adequacy decision %(decision)s ends on %(day)s.") % {"decision": name, "day": until}
        return Verdict(AMBER, "ends_soon", said, (_("Sign standard clauses before that day, or move the data."),))
    said = _("The Commission found this country adequate (%(decision)s).") % {"decision": name}
    if decision.get("scope") == "pipeda":
        said += " " + _("It covers companies under the Canadian federal law alone.")
    elif decision.get("scope") == "private":
        said += " " + _("It covers private companies alone.")
    return Verdict(GREEN, "adequate", said)


def _framework(one: Processor, named: dict[str, Any], on: date) -> Verdict:
    if one.listed_on is None:
        why = _("The framework covers companies on its list alone, and nobody has looked this one up.")
        return Verdict(RED, "not_looked_up", why, (_("Look it up on the list and note the day."), *_ways_out()))
    if on - one.listed_on > LIST_CHECK:
        why = _("It was last found on the list on %(day)s: an entry can end any day.") % {"day": one.listed_on}
        return Verdict(AMBER, "look_again", why, (_("Look it up again and note the day."),))
    said = _("Lawful today by decision %(decision)s, which is contested in court (%(case)s).")
    why = said % {"decision": named["decision"], "case": named.get("contested", "–")}
    return Verdict(AMBER, "contested", why, (_("Sign standard clauses as well: they hold if the decision falls."),))


def _clauses(one: Processor) -> Verdict:
    if one.reads_clear:
        why = _("It must read the data and its law lets the state read along: no clause mends that (EDPB 01/2020).")
        return Verdict(RED, "reads_clear", why, _ways_out())
    if one.assessed_on is None:
        why = _("Standard clauses count with an assessment of the country's law (clause 14), and none is noted.")
        return Verdict(RED, "not_assessed", why, (_("Make the assessment and note its day."), *_ways_out()))
    if not one.measures.strip():
        why = _("Standard clauses were signed; what protects the data there beyond them is not said.")
        return Verdict(AMBER, "no_measures", why, (_("Say it, for example: encrypted, and the keys stay with us."),))
    said = _("Standard clauses with an assessment of %(day)s and protection: %(measures)s")
    return Verdict(GREEN, "clauses", said % {"day": one.assessed_on, "measures": one.measures})


def _ways_out() -> tuple[str, ...]:
    return (
        _("Choose a provider that keeps the data in the European Economic Area and is owned there."),
        _("Sign standard clauses, assess the country's law, and keep the keys here."),
        _("Leave people's data out of what is sent there."),
    )


# -- what leads to a recipient ------------------------------------------------------------------


def known(workspace: Workspace | int, kind: str = "") -> list[Processor]:
    """Recipients that get data now; of one kind, when it is named."""
    workspace_id = workspace if isinstance(workspace, int) else workspace.pk
    found = Processor.objects.filter(workspace_id=workspace_id, ended_on=None).defer("dpa").order_by("name", "id")
    return list(found.filter(kind=kind) if kind else found)


def behind(workspace: Workspace | int, kind: str, host: str) -> Processor | None:
    """Who stands behind a host that something of ours leads to."""
    host = host.lower().rstrip(".")
    for one in known(workspace):
        name = one.host.lower().rstrip(".")
        if name and (host == name or host.endswith(f".{name}")):
            return one
    return next((one for one in known(workspace, kind) if not one.host), None)


def may_lead_to(workspace: Workspace | int, kind: str, host: str) -> Verdict:
    """May something of ours (a relay, a webhook, a filter) send people's data to this host? Red: it must not.

    The one question for whatever switches on a way out. A host of our own network is no recipient.
    """
    if _own(host):
        return Verdict(GREEN, "own", _("This is a machine of your own network."))
    one = behind(workspace, kind, host)
    if one is None:
        said = _("Nobody has said who stands behind %(host)s and where.") % {"host": host}
        return Verdict(AMBER, "undeclared", said, (_("Add it to the processors, with its country."),))
    return judge(one)


def of_kind(workspace: Workspace | int, kind: str) -> tuple[Processor, Verdict] | None:
    """The worst verdict on recipients of this kind, where no host is known beforehand (files for a platform)."""
    judged = [(one, judge(one)) for one in known(workspace, kind)]
    return max(judged, key=lambda pair: _WORSE[pair[1].colour]) if judged else None


def _own(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_private
    except ValueError:
        return host.lower() in ("", "localhost") or host.lower().endswith((".localhost", ".local", ".internal"))
