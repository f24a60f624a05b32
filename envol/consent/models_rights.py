"""What is kept about people's rights (GDPR art. 12 to 22), beside the permissions of `envol.consent.models`."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Erasure(models.Model):
    """One person who was erased: by keyed digest, with what went from where. The certificate is made of this row.

    ``stamp`` is the transaction that erased her: a copy of the tables (columns) made before it may still hold her.
    """

    workspace_id = models.IntegerField()
    digest = models.BinaryField()  # of her address, under the workspace's key
    at = models.DateTimeField()
    cause = models.CharField(max_length=120)
    actor = models.CharField(max_length=10)
    actor_id = models.BigIntegerField(null=True)
    gone = models.JSONField(default=dict)  # table → rows
    stamp = models.BigIntegerField()
    certified_at = models.DateTimeField(null=True)  # when the last copy that may have held her was gone
    written_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "consent_erasure"
        indexes = [models.Index(fields=["workspace_id", "-at"], name="erasure_newest")]


class RightsRequest(models.Model):
    """Somebody asks for a right of hers. Also the register: what is left after an erasure is the digest."""

    workspace_id = models.IntegerField()
    kind = models.CharField(max_length=14)  # of requests.KINDS
    state = models.CharField(max_length=10, default="unproven")  # unproven, open, answered, refused
    channel = models.CharField(max_length=12)  # page, preferences, mail, member
    language = models.CharField(max_length=2, default="fr")
    address = models.CharField(max_length=254, blank=True)  # where the answer goes; emptied with an erasure
    digest = models.BinaryField()
    contact_id = models.BigIntegerField(null=True)
    words = models.TextField(blank=True)
    secret_sha256 = models.BinaryField(unique=True)  # of the link that proves the mailbox is hers
    received_at = models.DateTimeField()
    due_at = models.DateTimeField()
    extended_at = models.DateTimeField(null=True)
    proved_at = models.DateTimeField(null=True)
    proved_by = models.CharField(max_length=200, blank=True)
    ended_at = models.DateTimeField(null=True)
    answer = models.TextField(blank=True)
    erasure_id = models.BigIntegerField(null=True)
    warned = models.PositiveSmallIntegerField(default=0)  # alerts sent so far

    class Meta:
        db_table = "consent_request"
        indexes = [
            models.Index(fields=["workspace_id", "-received_at"], name="request_newest"),
            models.Index(fields=["workspace_id", "digest"], name="request_of_person"),
        ]


class RightsStep(models.Model):
    """What was done about a request, by whom: never changed."""

    request = models.ForeignKey(RightsRequest, on_delete=models.CASCADE, related_name="steps")
    at = models.DateTimeField(db_default=Now())
    what = models.CharField(max_length=20)
    actor_id = models.BigIntegerField(null=True)
    said = models.TextField(blank=True)

    class Meta:
        db_table = "consent_request_step"


class Directive(models.Model):
    """What shall become of her data when she has died, as she wrote it down herself (loi 78-17, art. 85)."""

    workspace_id = models.IntegerField()
    contact_id = models.BigIntegerField()
    wish = models.CharField(max_length=8)  # erase, keep, hand
    person = models.CharField(max_length=300, blank=True)  # to whom they are handed, and how to reach that person
    since = models.DateTimeField(db_default=Now())
    until = models.DateTimeField(null=True)

    class Meta:
        db_table = "consent_directive"
        constraints = [
            models.UniqueConstraint(
                fields=["workspace_id", "contact_id"], condition=models.Q(until=None), name="directive_open_once"
            )
        ]


class Restriction(models.Model):
    """What must not be done, from when to when: anything (GDPR art. 18), profiling (art. 21), writing often."""

    workspace_id = models.IntegerField()
    contact_id = models.BigIntegerField()
    scope = models.CharField(max_length=10, default="all", db_default="all")  # all, profiling, weekly, monthly
    reason = models.CharField(max_length=300)
    since = models.DateTimeField(db_default=Now())
    until = models.DateTimeField(null=True)

    class Meta:
        db_table = "consent_restriction"
        constraints = [
            models.UniqueConstraint(
                fields=["workspace_id", "contact_id", "scope"],
                condition=models.Q(until=None),
                name="restriction_scope_once",
            )
        ]


class RetentionRule(models.Model):
    """How long a category is kept here, where it is not the default; longer needs a reason."""

    workspace_id = models.IntegerField()
    category = models.CharField(max_length=20)
    months = models.PositiveSmallIntegerField()
    reason = models.CharField(max_length=300, blank=True)
    member_id = models.BigIntegerField(null=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "consent_retention"
        constraints = [models.UniqueConstraint(fields=["workspace_id", "category"], name="retention_once")]


class Hold(models.Model):
    """Whose data outlast their term while there is a dispute (GDPR art. 17(3)(e))."""

    workspace_id = models.IntegerField()
    contact_id = models.BigIntegerField()
    reason = models.CharField(max_length=300)
    since = models.DateTimeField(db_default=Now())
    until = models.DateTimeField(null=True)
    member_id = models.BigIntegerField(null=True)

    class Meta:
        db_table = "consent_hold"
        constraints = [
            models.UniqueConstraint(
                fields=["workspace_id", "contact_id"], condition=models.Q(until=None), name="hold_open_once"
            )
        ]
