"""People whose data came from somebody else: from whom, until when they have to be told, who was told when."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from envol.accounts.models import Workspace


class Origin(models.Model):
    """A third source: who gave the data, when we got them, the end of the month in which people are told (art. 14)."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="origins")
    name = models.CharField(max_length=200)
    received_on = models.DateField()
    due_at = models.DateTimeField()
    import_id = models.BigIntegerField(null=True)
    member_id = models.BigIntegerField(null=True)
    warned = models.PositiveSmallIntegerField(default=0, db_default=0)  # 1: its end is near, 2: it is over
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "consent_origin"
        constraints = [models.UniqueConstraint(fields=["workspace", "import_id", "name"], name="origin_once")]


class Informing(models.Model):
    """One person of an origin; ``at`` when she was told, by which sending, and with which version of the notice."""

    id = models.BigAutoField(primary_key=True)
    workspace_id = models.IntegerField()
    origin = models.ForeignKey(Origin, on_delete=models.CASCADE)
    contact_id = models.BigIntegerField()
    at = models.DateTimeField(null=True)
    sending_id = models.BigIntegerField(null=True)
    notice = models.PositiveIntegerField(null=True)

    class Meta:
        db_table = "consent_informing"
        constraints = [models.UniqueConstraint(fields=["origin", "contact_id"], name="informing_once")]
        indexes = [
            models.Index(fields=["workspace_id", "contact_id"], name="informing_of_person"),
            models.Index(fields=["workspace_id", "origin"], condition=models.Q(at=None), name="informing_waits"),
        ]
