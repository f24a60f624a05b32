"""A campaign: what a marketer prepares, decides and watches."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from envol.accounts.models import Workspace
from envol.audience.models import Segment
from envol.consent.models import Purpose
from envol.consent.similar import Offer
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
    unmeasured = models.BooleanField(default=False, db_default=False)  # no opens, no clicks, of anybody
    # What it is about: existing customers are asked by it (`consent.similar`); empty: anything, from the organisation.
    product_family = models.CharField(max_length=200, blank=True, default="", db_default="")
    seller = models.CharField(max_length=200, blank=True, default="", db_default="")
    scheduled_at = models.DateTimeField(null=True)
    revision = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "campaigns_campaign"
        indexes = [models.Index(fields=["workspace", "-id"], name="campaign_newest")]

    @property
    def offer(self) -> Offer:
        return Offer(self.product_family, self.seller)


class ContentDraft(models.Model):
    """What somebody is typing into the content of a campaign, kept while she types; a version is made when she says so.

    ``holder`` is the window that wrote last: another one that has not seen it is told instead of writing over it.
    """

    campaign = models.OneToOneField(Campaign, on_delete=models.CASCADE, related_name="content_draft", primary_key=True)
    mode = models.CharField(max_length=5)  # model, mjml, html, text
    design = models.JSONField(null=True)  # of a model
    source = models.TextField(blank=True)  # of code
    subject = models.TextField(blank=True)
    preheader = models.TextField(blank=True)
    text_source = models.TextField(null=True)
    fallbacks = models.JSONField(default=dict)
    revision = models.PositiveIntegerField(default=1)
    holder = models.CharField(max_length=32)
    member_id = models.BigIntegerField(null=True)
    saved_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "campaigns_content_draft"


class Brake(models.Model):
    """A campaign paused by itself: why, by which figures, and who resumed it."""

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="brakes")
    sending_id = models.BigIntegerField()
    at = models.DateTimeField(db_default=Now())
    reason = models.CharField(max_length=12)  # of outbound.reputation.BRAKES
    receiver = models.CharField(max_length=253)  # all, or where it was
    tried = models.BigIntegerField()
    cases = models.BigIntegerField()
    released_at = models.DateTimeField(null=True)
    released_by = models.BigIntegerField(null=True)  # member
    known = models.JSONField(default=dict)  # figures by receiver when it was released: not held against it again

    class Meta:
        db_table = "campaigns_brake"
        indexes = [models.Index(fields=["sending_id"], name="brake_sending")]
