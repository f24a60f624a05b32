"""What was counted, kept for the next reader."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from envol.accounts.models import Workspace


class Counted(models.Model):
    """One answer about some sendings, with the state of things it is true of. It names nobody."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    key = models.TextField()  # how the workspace measures, its clock, and the sendings
    version = models.TextField()  # see `kept.version`
    body = models.TextField()  # JSON
    took = models.FloatField()  # seconds
    counted_at = models.DateTimeField(db_default=Now())
    read_at = models.DateTimeField(db_default=Now())  # by somebody, to the hour

    class Meta:
        db_table = "insight_counted"
        constraints = [models.UniqueConstraint(fields=["workspace", "key"], name="insight_counted_once")]
