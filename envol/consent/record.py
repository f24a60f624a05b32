"""The records of processing activities, as controller (GDPR art. 30(1)) and as processor (art. 30(2)).

Written by nobody: each line follows from the purposes and the bases they rest on, the properties that may serve them,
the forms and files people come from, the retention the rooms keep to, and the register of processors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from babel import Locale
from django.core.cache import cache
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from envol.accounts.models import Workspace
from envol.consent import data_map, desk, transfers
from envol.consent.models import Desk, Permission, Processor, Purpose
from envol.db import is_large, rows

BASES = {
    "consent": gettext_lazy("consent (art. 6(1)(a))"),
    "customer": gettext_lazy("existing customer, similar products (ePrivacy art. 13(2); legitimate interest)"),
    "business": gettext_lazy("legitimate interest (art. 6(1)(f)): the message concerns the person's job"),
    "transactional": gettext_lazy("contract or legal obligation (art. 6(1)(b), (c))"),
}
COLUMNS = (
    gettext_lazy("Activity"),
    gettext_lazy("Purpose"),
    gettext_lazy("Legal basis"),
    gettext_lazy("Persons concerned"),
    gettext_lazy("Data"),
    gettext_lazy("Source"),
    gettext_lazy("Recipients"),
    gettext_lazy("Transfers outside the EEA"),
    gettext_lazy("Kept"),
)
PROCESSOR_COLUMNS = (
    gettext_lazy("Controller served"),
    gettext_lazy("Kinds of processing"),
    gettext_lazy("Sub-processors"),
    gettext_lazy("Transfers outside the EEA"),
)


class Activity(NamedTuple):
    """One line of the record; its parts stand in the order of art. 30(1)."""

    title: str
    purpose: str
    basis: str
    persons: str
    data: str
    source: str
    recipients: str
    transfers: str
    kept: str


class Served(NamedTuple):
    """One line of the record of a processor."""

    controller: str
    kinds: str
    recipients: str
    transfers: str


class Head(NamedTuple):
    """Who keeps the record: what stands above both (art. 30(1)(a), (g))."""

    label: str
    text: str


def language() -> str:
    return "fr" if (get_language() or "en").startswith("fr") else "en"


def country(code: str) -> str:
    return str(Locale.parse("fr_FR" if language() == "fr" else "en_GB").territories.get(code, code))


def listed(parts: Iterable[str]) -> str:
    """Parts of one answer, by the punctuation of the language in force."""
    return ("\u202f; " if language() == "fr" else "; ").join(parts)


def head(workspace: Workspace) -> list[Head]:
    found = desk.of(workspace)
    dpo = ", ".join(part for part in (found.dpo_name, found.dpo_contact) if part)
    address = ", ".join(workspace.postal_address.split("\n"))
    lines = [
        (_("Controller"), ", ".join(part for part in (found.legal_name or workspace.title, address) if part)),
        (_("Contact"), found.contact),
        (_("Data protection officer"), dpo),
        (_("Representative in the Union (art. 27)"), found.representative),
        (_("Joint controller (art. 26)"), found.joint),
        (_("Supervisory authority"), found.authority),
        (_("Security (art. 32(1))"), found.security or _security()),
    ]
    return [Head(label, text) for label, text in lines if text]


def _security() -> str:
    return _(
        "Encrypted connections; addresses hidden from readers; passwords under Argon2id, second factor and passkeys;"
        " roles; a journal of every act; separate workspaces; backups; erasure by keyed digest."
    )


def recipients(found: list[Processor]) -> tuple[str, str]:
    """Who gets the data, and which of them are outside the EEA under what."""
    names = listed(f"{one.name} ({country(one.country)})" for one in found) or _("nobody")
    out = []
    for one in found:
        verdict = transfers.judge(one)
        if verdict.code != "inside" and not (verdict.code == "no_contract" and transfers.in_eea(one.country)):
            out.append(f"{one.name} ({country(one.country)}): {verdict.why}")
    return names, listed(out) or _("no transfer")


KEPT_SECONDS = 60
"""How old the bases of a large base of people may be: that a basis is in use nowhere takes reading every permission."""


def bases_in_use(workspace_id: int) -> dict[int, set[str]]:
    """On which bases permissions in force rest, by purpose; fresh in a small base."""
    key = f"bases:{workspace_id}"
    kept: dict[int, set[str]] | None = cache.get(key)
    if kept is not None and is_large(Permission._meta.db_table):
        return kept
    found: dict[int, set[str]] = defaultdict(set)
    for purpose_id, basis in rows(
        "SELECT u.id, b.basis FROM consent_purpose u CROSS JOIN unnest(%s::text[]) b (basis) WHERE u.workspace_id = %s"
        " AND EXISTS (SELECT FROM consent_permission p WHERE p.workspace_id = u.workspace_id AND p.purpose_id = u.id"
        " AND p.state = 'granted' AND p.until IS NULL AND p.basis = b.basis)",
        [list(BASES), workspace_id],
    ):
        found[purpose_id].add(basis)
    cache.set(key, found, KEPT_SECONDS)
    return found


def activities(workspace: Workspace) -> list[Activity]:
    """The record as controller, in the language in force."""
    french = language() == "fr"
    bases = bases_in_use(workspace.pk)
    told = data_map.flows(workspace)
    properties = [flow for flow in told if flow.kind == "property"]
    sources = _sources(told)
    everybody = transfers.known(workspace)
    names, out = recipients([one for one in everybody if one.kind != "ads"])
    made = []
    for purpose in Purpose.objects.filter(workspace=workspace).order_by("bit"):
        mine = [flow.name for flow in properties if flow.purposes >> purpose.bit & 1]
        used = [str(BASES[one]) for one in BASES if one in bases.get(purpose.pk, set())]
        if purpose.key == "ad_matching":
            receive, leaves = recipients([one for one in everybody if one.kind == "ads"])
        else:
            receive, leaves = names, out
        made.append(
            Activity(
                purpose.label_fr if french else purpose.label_en,
                str(_KIND_WORDS[purpose.kind]),
                listed(used) or str(BASES["transactional" if purpose.kind == "transactional" else "consent"]),
                str(_PERSONS["customers" if purpose.kind == "transactional" else "readers"]),
                ", ".join([_("e-mail address"), *mine, *([str(_REACTIONS)] if purpose.kind == "measuring" else [])]),
                sources,
                receive,
                leaves,
                _kept(purpose),
            )
        )
    return [*made, *_standing(names, out)]


_KIND_WORDS = {
    "marketing": gettext_lazy("messages people choose"),
    "transactional": gettext_lazy("messages a contract or the law needs"),
    "measuring": gettext_lazy("measuring reactions of those who agreed"),
}
_PERSONS = {
    "readers": gettext_lazy("people who signed up, customers, business contacts"),
    "customers": gettext_lazy("customers, people who wrote to us"),
}
_REACTIONS = gettext_lazy("opens and clicks of those who agreed")


def _kept(purpose: Purpose) -> str:
    if purpose.kind == "measuring":
        return _("13 months, then sums")
    if purpose.kind == "transactional":
        return _("as long as the contract and its proof need")
    return _("until the person says no, at most three years after her last sign of life")


def _sources(told: list[data_map.Flow]) -> str:
    found = []
    if names := [flow.name for flow in told if flow.kind == "form"]:
        found.append(_("sign-up forms: %(names)s") % {"names": ", ".join(names)})
    if names := [flow.name for flow in told if flow.kind == "import"]:
        found.append(_("files: %(names)s") % {"names": ", ".join(names)})
    if names := [flow.name for flow in told if flow.kind == "key"]:
        found.append(_("programs: %(names)s") % {"names": ", ".join(names)})
    return listed(found) or _("the person herself")


def _standing(names: str, out: str) -> list[Activity]:
    """What every installation does, whatever its purposes are."""
    nobody, none = _("nobody"), _("no transfer")
    interest, duty = _("legitimate interest (art. 6(1)(f))"), _("legal obligation (art. 6(1)(c))")
    return [
        Activity(
            _("Who gets nothing more"), _("honouring refusals, dead addresses and erasures"),
            _("legal obligation and legitimate interest (art. 21(3), 6(1)(f))"), _("people who said no"),
            _("keyed digest of the address, reason, date"), _("the person herself"), nobody, none,
            _("as long as mail is sent"),
        ),
        Activity(
            _("Proof of permissions"), _("showing that each person agreed (art. 7(1))"), duty,
            _("everybody who ever answered"), _("answer, words, source, date, proof"), _("the person herself"), nobody,
            none, _("while used, then 5 years"),
        ),
        Activity(
            _("Security and delivery"), _("log of messages, keeping abuse out, answers of other hosts"), interest,
            _("people who are written to, programs that hand mail in"), _("address, times, answers of servers"),
            _("our own servers"), names, out, _("7 to 30 days for words, 13 months for outcomes"),
        ),
        Activity(
            _("Rights and breaches"), _("answering requests, keeping the register of breaches (art. 12, 33(5))"), duty,
            _("people who ask, people concerned by a breach"), _("request, answer, dates"), _("the person herself"),
            _("the supervisory authority"), none, _("5 years"),
        ),
        Activity(
            _("Members of this organisation"), _("signing in, roles, journal of acts"), interest, _("members"),
            _("name, address, second factor, acts"), _("the member herself"), nobody, none,
            _("as long as the membership; journal without end"),
        ),
    ]  # fmt: skip


def served(workspace: Workspace) -> list[Served]:
    """The record as processor: for whom this organisation works, from its own list."""
    found = desk.of(workspace)
    names, out = recipients(transfers.known(workspace))
    kinds = _("keeping contacts and permissions, sending e-mail, measuring reactions of those who agreed")
    made = []
    for line in found.serves.splitlines():
        name, _semicolon, other = (part.strip() for part in line.partition(";"))
        if name:
            made.append(Served(name, other or kinds, names, out))
    return made


def title_of(one: Desk, workspace: Workspace) -> str:
    return one.legal_name or workspace.title
