"""What authorities of third countries demand (GDPR art. 48)."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from envol.accounts.models import Workspace


class Demand(models.Model):
    """One judgment, warrant or order of a third country that asks for data, what was decided, and what was answered.

    Each act is written once: what was decided is not written over. ``what`` names kinds of data and no person.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="demands")
    authority = models.CharField(max_length=200)
    country = models.CharField(max_length=2)
    reference = models.CharField(max_length=200, blank=True)
    what = models.TextField()
    received_on = models.DateField()
    answer_by = models.DateField(null=True)  # the day that the authority set
    decision = models.CharField(max_length=8, blank=True, default="", db_default="")  # refused, given
    agreement = models.CharField(max_length=300, blank=True, default="", db_default="")  # in force, that it rests on
    why = models.TextField(blank=True, default="", db_default="")
    decided_at = models.DateTimeField(null=True)
    decided_by = models.BigIntegerField(null=True)
    answer = models.TextField(blank=True, default="", db_default="")
    answered_on = models.DateField(null=True)
    member_id = models.BigIntegerField(null=True)
    warned = models.PositiveSmallIntegerField(default=0, db_default=0)  # 1: its day is near, 2: it is over
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "consent_demand"
        indexes = [models.Index(fields=["workspace", "-id"], name="demand_newest")]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(decision="given") | ~models.Q(agreement=""), name="demand_given_by_agreement"
            )
        ]
