"""The register of breaches (GDPR art. 33(5)): lines that are added and never changed, held so by the database."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from envol.accounts.models import Workspace


class Breach(models.Model):
    """One breach, suspicion or drill. Everything that is said of it stands in its lines."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="breaches")
    title = models.CharField(max_length=200)
    drill = models.BooleanField(default=False)
    origin = models.CharField(max_length=20, default="member")  # member, or the watch that suspected it
    cause = models.CharField(max_length=120, blank=True)  # what a watch saw, so that it is suspected once
    scope = models.CharField(max_length=12, blank=True)  # everybody, list, sending, export: whose data
    ref = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "consent_breach"
        indexes = [models.Index(fields=["workspace", "-id"], name="breach_newest")]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "cause"], condition=~models.Q(cause=""), name="breach_suspected_once"
            )
        ]


class BreachLine(models.Model):
    """What was found, decided, told or done, and when: the phases of art. 33(4) are lines that follow one another."""

    breach = models.ForeignKey(Breach, on_delete=models.CASCADE, related_name="lines")
    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(
        max_length=10
    )  # suspected aware facts authority notified persons told alert closed dismissed
    member_id = models.BigIntegerField(null=True)
    said = models.JSONField(default=dict)

    class Meta:
        db_table = "consent_breach_line"
        indexes = [models.Index(fields=["breach", "id"], name="breach_line_order")]


class BreachTold(models.Model):
    """Who was told of a breach, and when (art. 34)."""

    breach = models.ForeignKey(Breach, on_delete=models.CASCADE)
    contact_id = models.BigIntegerField(db_index=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "consent_breach_told"
        constraints = [models.UniqueConstraint(fields=["breach", "contact_id"], name="breach_told_once")]
