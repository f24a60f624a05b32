"""What people allowed, when, on which words; and who must get nothing more.

The ledger is append-only: blocks of commitments, chained per workspace. A line's payload is the
``consent_permission`` row it opened, and the line's random key lies in that row: erasing the row
leaves the chain intact and unreadable.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Now

from envol.accounts.models import Workspace
from envol.consent import chain


class Basis(models.TextChoices):
    CONSENT = "consent", "Consent"
    CUSTOMER = "customer", "Existing customer, similar products"  # ePrivacy art. 13(2)
    BUSINESS = "business", "Business contact"
    TRANSACTIONAL = "transactional", "Contract or legal obligation"


class Strength(models.TextChoices):
    LINE = "line", "Proof for each person"
    DOCUMENT = "document", "One document for the file"
    STATEMENT = "statement", "Statement of a named member"
    LEGACY = "legacy", "Taken over from a former system"
    NONE = "none", "No proof"


class Purpose(models.Model):
    """What mail or a property may be used for. ``bit`` is its place in the masks on the contact row."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="purposes")
    bit = models.PositiveSmallIntegerField()
    key = models.SlugField(max_length=60)
    label_fr = models.CharField(max_length=200)
    label_en = models.CharField(max_length=200)
    kind = models.CharField(max_length=16, default="marketing")  # marketing, transactional, measuring
    months = models.PositiveSmallIntegerField(null=True)  # how long a permission lasts; null: until she says no
    lapses_from = models.DateField(null=True)  # no permission ends by its term before this day
    # The same for what was taken over from a former system, counted from that day: it is confirmed, or ends.
    legacy_months = models.PositiveSmallIntegerField(null=True)
    legacy_from = models.DateField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "consent_purpose"
        constraints = [
            models.UniqueConstraint(fields=["workspace", "key"], name="purpose_key_once"),
            models.UniqueConstraint(fields=["workspace", "bit"], name="purpose_bit_once"),
            models.CheckConstraint(condition=models.Q(bit__lt=62), name="purpose_bit_fits_mask"),
        ]


class PurposeText(models.Model):
    """The exact words shown to a person; a change is a new version."""

    purpose = models.ForeignKey(Purpose, on_delete=models.CASCADE, related_name="texts")
    version = models.PositiveIntegerField()
    language = models.CharField(max_length=8)
    text = models.TextField()
    named = models.TextField(blank=True, default="", db_default="")  # the end of it that names partners
    sha256 = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "consent_purpose_text"
        constraints = [models.UniqueConstraint(fields=["purpose", "version", "language"], name="text_version_once")]

    @property
    def bare(self) -> str:
        """The words without the partners."""
        return self.text.removesuffix(self.named).rstrip() if self.named else self.text


class Evidence(models.Model):
    """What proves a set of permissions: a document, a statement by a named member, or lines of a file."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    strength = models.CharField(max_length=10, choices=Strength.choices)
    source = models.CharField(max_length=200)  # where the permission was given: form, shop, file…
    text = models.ForeignKey(PurposeText, null=True, on_delete=models.PROTECT)
    statement = models.TextField(blank=True)
    member_id = models.BigIntegerField(null=True)
    document_name = models.CharField(max_length=200, blank=True)
    document_sha256 = models.BinaryField(null=True)
    document = models.BinaryField(null=True)
    # mechanism, actor, notice, channel; conditions of the existing-customer basis, job relation…
    facts = models.JSONField(default=dict)
    seal = models.BinaryField(null=True)  # SHA-256 of all of the above; lines of the ledger commit to it
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "consent_evidence"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Sealed when it is made, and never again: what it proves is not to change afterwards."""
        if self._state.adding and self.seal is None:
            self.seal = chain.evidence_seal(self.octets())
        super().save(*args, **kwargs)

    def octets(self) -> bytes:
        return chain.evidence_octets(
            self.workspace_id,
            self.strength,
            self.source,
            bytes(self.text.sha256) if self.text else None,
            self.statement,
            self.member_id,
            self.document_name,
            bytes(self.document_sha256) if self.document_sha256 else None,
            self.facts,
        )


class Permission(models.Model):
    """One interval of one person's answer for one purpose; the open one is the present.

    Also the payload of a ledger line (``block``, ``leaf``), with the line's key in ``leaf_key``.
    No foreign keys: millions of rows, written by COPY, erased with the contact.
    """

    id = models.BigAutoField(primary_key=True)
    workspace_id = models.IntegerField()
    contact_id = models.BigIntegerField()
    purpose_id = models.BigIntegerField()
    state = models.CharField(max_length=10)  # granted, withdrawn, refused, objected, requested, lapsed
    basis = models.CharField(max_length=14)
    since = models.DateTimeField()  # when the person answered
    until = models.DateTimeField(null=True)  # when a later answer took over
    evidence_id = models.BigIntegerField(null=True)
    proof = models.CharField(max_length=300, blank=True)  # per-line proof, if any
    block = models.BigIntegerField()
    leaf = models.IntegerField()
    leaf_key = models.BinaryField()

    class Meta:
        db_table = "consent_permission"
        managed = False


class LedgerBlock(models.Model):
    """All lines of one commit or import: leaves of 32 bytes, their Merkle root, chained by hash."""

    pk = models.CompositePrimaryKey("workspace_id", "no")
    workspace_id = models.IntegerField()
    no = models.BigIntegerField()
    at = models.DateTimeField()
    count = models.IntegerField()
    leaves = models.BinaryField()
    root = models.BinaryField()
    previous = models.BinaryField()
    hash = models.BinaryField()

    class Meta:
        db_table = "consent_ledger_block"
        managed = False


class Silence(models.Model):
    """Why marketing rests for one person though she allows it (an open complaint), from when to when."""

    workspace_id = models.IntegerField()
    contact_id = models.BigIntegerField(db_index=True)
    reason = models.CharField(max_length=300)
    since = models.DateTimeField(db_default=Now())
    until = models.DateTimeField(null=True)
    opened_by = models.BigIntegerField(null=True)
    closed_by = models.BigIntegerField(null=True)

    class Meta:
        db_table = "consent_silence"
        constraints = [
            models.UniqueConstraint(
                fields=["workspace_id", "contact_id"], condition=models.Q(until=None), name="silence_open_once"
            ),
            models.CheckConstraint(
                condition=models.Q(until=None) | models.Q(until__gte=models.F("since")), name="silence_ends_after"
            ),
        ]


class Suppression(models.Model):
    """Who gets nothing more, by keyed digest alone: it outlives the person's erasure."""

    pk = models.CompositePrimaryKey("workspace_id", "digest", "scope")
    workspace_id = models.IntegerField()
    digest = models.BinaryField()  # HMAC-SHA256 under the workspace's key of the normalised address
    scope = models.CharField(max_length=12)  # all, marketing
    reason = models.CharField(max_length=30)
    cause = models.CharField(max_length=120)  # the event that led here, e.g. "outcome 12/3456"
    at = models.DateTimeField(db_default=Now())
    until = models.DateTimeField(null=True)  # a member's own decision may end by itself

    class Meta:
        db_table = "consent_suppression"
        managed = False


# The organisation's desk and people's rights are files of their own; whoever asks for the models finds them here.
from envol.consent.models_breach import Breach, BreachLine, BreachTold  # noqa: E402
from envol.consent.models_demand import Demand  # noqa: E402
from envol.consent.models_desk import Assessment, Desk, MapReading, Processor  # noqa: E402
from envol.consent.models_origin import Informing, Origin  # noqa: E402
from envol.consent.models_partner import Handing, Partner  # noqa: E402
from envol.consent.models_rights import (  # noqa: E402
    Directive,
    Erasure,
    Hold,
    Restriction,
    RetentionRule,
    RightsRequest,
    RightsStep,
)
from envol.consent.models_texts import Acceptance, PolicyVersion  # noqa: E402

__all__ = [
    "Acceptance",
    "Assessment",
    "Basis",
    "Breach",
    "BreachLine",
    "BreachTold",
    "Demand",
    "Desk",
    "Directive",
    "Erasure",
    "Evidence",
    "Handing",
    "Hold",
    "Informing",
    "LedgerBlock",
    "MapReading",
    "Origin",
    "Partner",
    "Permission",
    "PolicyVersion",
    "Processor",
    "Purpose",
    "PurposeText",
    "Restriction",
    "RetentionRule",
    "RightsRequest",
    "RightsStep",
    "Silence",
    "Strength",
    "Suppression",
]
