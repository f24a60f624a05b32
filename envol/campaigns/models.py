"""A campaign: what a marketer prepares, decides and watches."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from envol.accounts.models import Workspace
from envol.audience.models import Segment
from envol.consent.models import Purpose
from envol.content.models import Template


class State(models.TextChoices):
    DRAFT = "draft", "Draft"
    SCHEDULED = "scheduled", "Scheduled"
    PREPARING = "preparing", "Preparing"
    SENDING = "sending", "Sending"
    PAUSED = "paused", "Paused"
    SENT = "sent", "Sent"
    STOPPED = "stopped", "Stopped"
    FAILED = "failed", "Failed"


class Campaign(models.Model):
    """State mirrors the last sending; ``revision`` refuses two people saving over one another."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="campaigns")
    name = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State.choices, default=State.DRAFT)
    purpose = models.ForeignKey(Purpose, on_delete=models.PROTECT, null=True)
    segment = models.ForeignKey(Segment, on_delete=models.PROTECT, null=True)  # null: everybody
    template = models.ForeignKey(Template, on_delete=models.PROTECT, null=True)
    from_name = models.CharField(max_length=200, blank=True)
    from_address = models.CharField(max_length=254, blank=True)
    reply_to = models.CharField(max_length=254, blank=True)
    scheduled_at = models.DateTimeField(null=True)
    revision = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "campaigns_campaign"
        indexes = [models.Index(fields=["workspace", "-id"], name="campaign_newest")]
