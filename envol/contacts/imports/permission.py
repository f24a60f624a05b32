"""The permission step: what these people agreed to, on which basis, and what proves it.

Nothing stated means stored and not mailable. What is stated is checked here once and kept as one
``Evidence`` row; the strength of the proof is kept with it. Facts: ePrivacy directive art. 13(2) for
existing customers, CPCE art. L34-5 for business contacts, GDPR art. 7(1) for proof.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils.translation import get_language, gettext, ngettext

from envol.accounts.models import Member
from envol.consent import policies, purposes
from envol.consent.bases import unmet
from envol.consent.models import Basis, Evidence, Permission, Purpose, PurposeText, Strength
from envol.contacts.imports.dates import read_moment
from envol.contacts.imports.mapping import must_be_open
from envol.contacts.imports.problem import ImportProblem
from envol.contacts.models import Import

CUSTOMER_FACTS = ("sale_ref", "sale_date", "entity_id", "product_family")
BUSINESS_FACTS = ("job_role", "relation_note")
DOCUMENT_LIMIT = 20 << 20


@dataclass(frozen=True, slots=True)
class Grant:
    """What a run gives: everything about it that is the same for all lines."""

    purpose_id: int
    bit: int
    marketing: bool
    basis: str
    since: datetime | None  # None: each line brings its own date
    evidence_id: int
    per_line: bool  # a line without its proof and date gives nothing
    general: bool = False  # of business contacts whose profession was not said: general addresses alone


def set_permission(imp: Import, permission: Mapping[str, Any]) -> Import:
    """State the permission of everybody in the file, or ``{}`` for nothing.

    ``purpose`` (key), ``basis`` (consent, customer, business, transactional), ``source`` (where it was given),
    ``date`` (ISO, unless a column holds each person's), ``text_version`` (of the purpose's words; needed for
    consent), ``evidence``: ``{"kind": "line"}`` with a column of proofs and one of dates (or ``date``), or
    ``{"kind": "document", "name", "content": bytes}``, or ``{"kind": "statement", "text", "member_id"}``, or
    ``{"kind": "legacy", "text", "member_id"}`` for what a former system kept (with a column of proofs each counts), and
    ``conditions`` for the bases customer and business. A dry run made before is void. Raises ImportProblem.
    """
    must_be_open(imp)
    before = imp.permission.get("evidence_id")
    if permission:
        imp.permission = _checked(imp, dict(permission))
    else:
        imp.permission = {}
    imp.state = "mapped" if imp.state in ("checked", "failed", "cancelled") else imp.state
    imp.counts = {}
    imp.save(update_fields=["permission", "state", "counts"])
    if before and not Permission.objects.filter(workspace_id=imp.workspace_id, evidence_id=before).exists():
        Evidence.objects.filter(id=before, workspace_id=imp.workspace_id).delete()
    return imp


def _checked(imp: Import, given: dict[str, Any]) -> dict[str, Any]:
    known = {"purpose", "basis", "source", "date", "text_version", "evidence", "conditions", "language"}
    if unknown := given.keys() - known:
        raise ImportProblem(gettext("The permission has no field “%(name)s”.") % {"name": sorted(unknown)[0][:40]})
    try:
        purpose = purposes.get(imp.workspace_id, str(given.get("purpose", "")))
    except Purpose.DoesNotExist as error:
        raise ImportProblem(str(error)) from None
    basis = given.get("basis")
    if basis not in Basis.values:
        raise ImportProblem(gettext("Choose on what ground these people may be written to."))
    if (basis == Basis.TRANSACTIONAL) != (purpose.kind == "transactional"):
        raise ImportProblem(gettext("The transactional basis goes with a transactional purpose, and only with it."))
    if purpose.kind == "measuring" and basis != Basis.CONSENT:
        raise ImportProblem(gettext("Measuring a single person needs consent: no other basis allows it."))
    source = str(given.get("source") or "").strip()
    if not source:
        raise ImportProblem(gettext("Say where the permission was given: a form, a shop, a contract…"))
    text = _text(purpose, basis, given)
    conditions = _conditions(imp, basis, given.get("conditions") or {})
    targets = set(imp.mapping.values())
    since = None
    if given.get("date"):
        try:
            since = read_moment(str(given["date"]))
        except ValueError as error:
            raise ImportProblem(gettext("The date of the permission: %(error)s") % {"error": error}) from None
        if since > datetime.now(UTC) + timedelta(days=1):
            raise ImportProblem(gettext("The date of the permission lies in the future: correct it."))
    elif "permission_date" not in targets:
        raise ImportProblem(gettext("Say when the permission was given: one date, or a column with each person's."))
    shown = policies.notice_shown(imp.workspace_id, since)  # the notice of that day, else that of today
    evidence = _evidence(imp, given.get("evidence") or {}, source, text, conditions | shown, targets)
    return {
        "purpose": purpose.key,
        "basis": basis,
        "source": source[:200],
        "date": since.isoformat() if since else None,
        "text_version": text.version if text else None,
        "strength": evidence.strength,
        "per_line": evidence.strength == Strength.LEGACY and "permission_proof" in targets,
        "conditions": conditions,
        "evidence_id": evidence.id,
    }


def _text(purpose: Purpose, basis: str, given: Mapping[str, Any]) -> PurposeText | None:
    version = given.get("text_version")
    if version is None:
        if basis == Basis.CONSENT:
            raise ImportProblem(gettext("Consent was given to words: say which version of the purpose's text."))
        return None
    try:
        return purposes.text(purpose, str(given.get("language") or "fr"), int(version))
    except (PurposeText.DoesNotExist, ValueError):
        raise ImportProblem(
            gettext("The purpose %(purpose)s has no text of version %(version)s: record the words people saw first.")
            % {"purpose": purpose.key, "version": str(version)[:20]}
        ) from None


def _conditions(imp: Import, basis: str, given: Mapping[str, Any]) -> dict[str, Any]:
    if basis == Basis.CUSTOMER:
        if not all(str(given.get(name) or "").strip() for name in CUSTOMER_FACTS):
            raise ImportProblem(
                gettext(
                    "Existing customers may be written to only about a sale that happened, by the same seller, for"
                    " similar products: fill in the sale, its date, the seller and the kind of product."
                )
            )
        if given.get("optout_offered") is not True:
            raise ImportProblem(
                gettext(
                    "Existing customers must have been able to refuse when the address was taken: say that they"
                    " could, or choose another basis."
                )
            )
        kept = {name: str(given[name])[:200] for name in CUSTOMER_FACTS} | {"optout_offered": True}
        if wrong := unmet(basis, "marketing", strength=Strength.STATEMENT, facts=kept):
            raise ImportProblem(wrong.sentence(get_language() or "en"))
        return kept
    if basis == Basis.BUSINESS:
        if not all(str(given.get(name) or "").strip() for name in BUSINESS_FACTS):
            return _general_alone(imp)
        return {name: str(given[name])[:500] for name in BUSINESS_FACTS}
    return {}


def _general_alone(imp: Import) -> dict[str, Any]:
    """No profession was said: nobody is asked for one where all addresses are general ones. Raises ImportProblem."""
    from envol.contacts.imports import general  # reads the file, by what knows of `Grant`

    if people := general.of_people(imp):
        raise ImportProblem(
            ngettext(
                "Business contacts may be written to only about their profession: say which it is, and why this"
                " concerns them. It is asked for %(n)s address that may be a person's; general ones such as info@ need"
                " none.",
                "Business contacts may be written to only about their profession: say which it is, and why this"
                " concerns them. It is asked for %(n)s addresses that may be people's; general ones such as info@ need"
                " none.",
                people,
            )
            % {"n": people}
        )
    return {}


def _evidence(
    imp: Import,
    given: Mapping[str, Any],
    source: str,
    text: PurposeText | None,
    conditions: dict[str, Any],
    targets: set[str],
) -> Evidence:
    facts = {"import": imp.id, "file": imp.file_name, "mechanism": "import", "channel": "email", **conditions}
    if imp.member_id:
        facts["actor"] = f"member {imp.member_id}"
    if imp.file_sha256:
        facts["file_sha256"] = bytes(imp.file_sha256).hex()
    row = Evidence(workspace_id=imp.workspace_id, strength=str(given.get("kind")), source=source[:200], text=text)
    row.facts = facts
    match given.get("kind"):
        case "line":
            if "permission_proof" not in targets:
                raise ImportProblem(gettext("Proof for each line needs a column: choose the one that holds it."))
        case "document":
            content = given.get("content")
            if not isinstance(content, bytes) or not content:
                raise ImportProblem(gettext("Add the document that proves the permission: its name and its content."))
            if len(content) > DOCUMENT_LIMIT:
                raise ImportProblem(
                    gettext("The document is larger than %(n)s MiB: add a smaller one.") % {"n": DOCUMENT_LIMIT >> 20}
                )
            row.document, row.document_name = content, str(given.get("name") or "document")[:200]
            row.document_sha256 = hashlib.sha256(content).digest()
        case "legacy" if "permission_proof" in targets and not given.get("member_id"):
            row.statement = str(given.get("text") or source).strip()  # a program moves in; each line has its proof
        case "statement" | "legacy":
            member = Member.objects.filter(workspace_id=imp.workspace_id, id=given.get("member_id") or 0).first()
            if member is None:
                raise ImportProblem(gettext("A statement is made by a member of this workspace: say which."))
            row.statement, row.member_id = str(given.get("text") or "").strip(), member.id
            if len(row.statement) < 10:
                raise ImportProblem(gettext("Write the statement: how these people gave their permission."))
        case _:
            raise ImportProblem(gettext("Say what proves the permission: a column, a document or a statement."))
    row.save()
    return row


def grant_of(imp: Import) -> Grant | None:
    """What a run of this import gives to each line that qualifies; None when nothing was stated."""
    stated = imp.permission
    if not stated:
        return None
    purpose = purposes.get(imp.workspace_id, stated["purpose"])
    return Grant(
        purpose_id=purpose.id,
        bit=purpose.bit,
        marketing=purpose.kind != "transactional",
        basis=stated["basis"],
        since=datetime.fromisoformat(stated["date"]) if stated["date"] else None,
        evidence_id=stated["evidence_id"],
        per_line=stated["strength"] == "line" or stated.get("per_line", False),
        general=stated["basis"] == Basis.BUSINESS and not stated["conditions"].get("job_role"),
    )
