"""What people and members do with permissions: grant, withdraw, object. Each act is one ledger block."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.utils.translation import get_language, gettext

from envol.accounts.models import Workspace
from envol.consent import ledger, suppression
from envol.consent.bases import unmet
from envol.consent.ledger import Line
from envol.consent.models import Basis, Evidence, Permission, Purpose, PurposeText, Strength


class Refusal(ValueError):
    """A permission that cannot be recorded; the sentence says what to do, ``code`` counts it."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def evidence(
    workspace: Workspace | int,
    strength: str,
    source: str,
    *,
    text: PurposeText | None = None,
    statement: str = "",
    member_id: int | None = None,
    document: bytes | None = None,
    document_name: str = "",
    facts: Mapping[str, Any] | None = None,
) -> Evidence:
    """Keep what proves a set of permissions: `Strength` says how far it goes.

    A document needs its bytes, a statement its words and the member who makes it; each refusal is a
    sentence. ``source`` is where the answers were given: a form, a shop, a file.
    """
    if strength not in Strength.values:
        raise Refusal("evidence", f"Evidence is {', '.join(Strength.values)}; not {strength!r}.")
    if not source.strip():
        raise Refusal("evidence", gettext("Say where the permissions were given: a form, a shop, a file."))
    if strength == Strength.DOCUMENT and not document:
        raise Refusal("evidence", gettext("Attach the document that proves these permissions."))
    if strength in (Strength.STATEMENT, Strength.LEGACY) and not (statement.strip() and member_id):
        raise Refusal("evidence", gettext("A statement needs its words and the member who makes it."))
    return Evidence.objects.create(
        workspace_id=workspace if isinstance(workspace, int) else workspace.id,
        strength=strength,
        source=source.strip()[:200],
        text=text,
        statement=statement,
        member_id=member_id,
        document=document,
        document_name=document_name[:200],
        document_sha256=hashlib.sha256(document).digest() if document else None,
        facts={"channel": "email", **({"actor": f"member {member_id}"} if member_id else {}), **(facts or {})},
    )


def grant(
    workspace_id: int,
    contact_id: int,
    email_key: str,
    purpose: Purpose,
    *,
    basis: str = Basis.CONSENT,
    proof_of: Evidence | None = None,
    since: datetime | None = None,
    proof: str = "",
    own_act: bool = False,
) -> int:
    """Record that this person may be written to (or measured) for a purpose; the ledger's block number.

    `Refusal` when the ground's conditions are not met, or nothing proves it: then no row is made, and
    the person stays unmailable. Who withdrew, refused or objected comes back by her ``own_act`` alone (a
    form, her preference page), which also ends her objection and an erasure's refusal; never by an
    import, a member or a call.
    """
    if purpose.workspace_id != workspace_id:
        raise Refusal("purpose", "This purpose belongs to another workspace.")
    lacking = unmet(
        basis,
        purpose.kind,
        strength=proof_of.strength if proof_of else Strength.NONE,
        facts=proof_of.facts if proof_of else None,
        email_key=email_key,
    )
    if lacking:
        raise Refusal(lacking.code, lacking.sentence(get_language() or "en"))
    if proof_of and proof_of.strength == Strength.LINE and not proof:
        raise Refusal("no_evidence", gettext("Proof for each person was announced: give this person's proof."))
    with transaction.atomic():
        ledger.lock(workspace_id)  # before reading the present answer: it must not change under us
        present = Permission.objects.filter(contact_id=contact_id, purpose_id=purpose.pk, until=None).first()
        blocked = suppression.lookup(workspace_id, [email_key]).get(email_key)
        if not own_act:
            if present and present.state in ledger.REFUSALS:
                raise Refusal(
                    "withdrawn", gettext("This person withdrew or refused: only she herself can agree again.")
                )
            if blocked and purpose.kind == "marketing":
                raise Refusal(
                    "suppressed",
                    gettext("This address is suppressed: nothing is granted for it."),
                )
        elif blocked and blocked.objected and purpose.kind == "marketing":
            suppression.lift(workspace_id, email_key, "marketing", f"own consent to {purpose.key}")
        line = Line(
            contact_id,
            purpose.pk,
            "granted",
            basis,
            since or datetime.now(UTC),
            proof_of.pk if proof_of else None,
            proof,
        )
        return ledger.append(workspace_id, [line])


def withdraw(
    workspace_id: int,
    contact_id: int,
    purposes: Iterable[Purpose] | None = None,
    *,
    state: str = "withdrawn",
    since: datetime | None = None,
    proof: str = "",
) -> int | None:
    """Take back permission for these purposes (None: everything granted or asked); never refused to anyone.

    For a purpose without answer it records the refusal, so that no later import grants it. Returns the
    block's number, None when there was nothing to say. GDPR art. 7(3): effective at once.
    """
    if state not in ledger.REFUSALS:
        raise ValueError(f"A withdrawal is {', '.join(ledger.REFUSALS)}; not {state!r}.")
    with transaction.atomic():
        ledger.lock(workspace_id)
        present = {
            row.purpose_id: row
            for row in Permission.objects.filter(workspace_id=workspace_id, contact_id=contact_id, until=None)
        }
        if purposes is None:
            wanted = [key for key, row in present.items() if row.state in ("granted", "requested")]
        else:
            wanted = [purpose.pk for purpose in purposes]
        moment = since or datetime.now(UTC)
        lines = [
            Line(contact_id, key, state, present[key].basis if key in present else Basis.CONSENT, moment, None, proof)
            for key in dict.fromkeys(wanted)
            if key not in present or present[key].state not in ledger.REFUSALS
        ]
        return ledger.append(workspace_id, lines) if lines else None


def object_to_marketing(
    workspace_id: int, contact_id: int | None, email_key: str, cause: str, *, since: datetime | None = None
) -> None:
    """GDPR art. 21(2) and (3): no marketing any more, whatever the basis; kept by digest, beyond erasure."""
    with transaction.atomic():
        suppression.add(workspace_id, email_key, "marketing", "objection", cause)
        if contact_id is not None:
            marketing = Purpose.objects.filter(workspace_id=workspace_id, kind="marketing").values_list("id", flat=True)
            granted = Permission.objects.filter(
                contact_id=contact_id, until=None, state__in=("granted", "requested"), purpose_id__in=list(marketing)
            ).values_list("purpose_id", flat=True)
            withdraw(
                workspace_id,
                contact_id,
                Purpose.objects.filter(pk__in=list(granted)),
                state="objected",
                since=since,
                proof=cause,
            )
