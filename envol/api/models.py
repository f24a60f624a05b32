"""What a key stands for, beyond what accounts knows of it."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from envol.accounts.models import ApiKey, Job, Workspace
from envol.audience.models import Segment
from envol.campaigns.models import Campaign
from envol.consent.models import Evidence, Purpose


class Declaration(models.Model):
    """A member said of a key: whoever it adds agreed to this purpose, there and so. One at a time; the past is kept."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="declarations")
    purpose = models.ForeignKey(Purpose, on_delete=models.PROTECT)
    evidence = models.ForeignKey(Evidence, on_delete=models.PROTECT)
    at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "api_declaration"
        constraints = [
            models.UniqueConstraint(fields=["key"], condition=models.Q(ended_at=None), name="declaration_open_once")
        ]


class Batch(models.Model):
    """People handed in by one call that is worked off later; gone when it is."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE)
    job = models.OneToOneField(Job, on_delete=models.CASCADE)
    body = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "api_batch"


class CsvData(models.Model):
    """A file of people that a program handed in; it lies below the data directory until a job took it in."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE)
    list_id = models.BigIntegerField(null=True)
    path = models.CharField(max_length=100)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "api_csv_data"


class ContactFilter(models.Model):
    """A segment as a program wrote it. ``tree``: what that meant here; where the segment differs by now, it counts."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    segment = models.OneToOneField(Segment, on_delete=models.CASCADE, related_name="api_filter")
    expression = models.TextField()
    description = models.CharField(max_length=500, blank=True)
    tree = models.JSONField()

    class Meta:
        db_table = "api_contact_filter"


class StoredTemplate(models.Model):
    """A template that a program keeps here, in the dialect's own words. Its content is what was written, unread."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    name = models.CharField(max_length=200)
    facts = models.JSONField(default=dict)  # Author, Categories, Locale… as given: kept for whoever asks
    purposes = models.JSONField(default=list)
    html = models.TextField(null=True)
    text = models.TextField(null=True)
    mjml = models.TextField(null=True)
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "api_template"
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="stored_template_name_once")]


class Draft(models.Model):
    """What a program says of a campaign beyond what ours have: its parts as they were written, and its own words."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    campaign = models.OneToOneField(Campaign, on_delete=models.CASCADE, related_name="api_draft")
    facts = models.JSONField(default=dict)  # Locale, Sender, Title, EditMode, ContactsListID… as given
    html = models.TextField(null=True)
    text = models.TextField(null=True)
    mjml = models.TextField(null=True)
    headers = models.JSONField(default=dict)
    modified_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "api_draft"


class Once(models.Model):
    """Who was sent something of a program's own campaign, so that she is not sent it again."""

    pk = models.CompositePrimaryKey("workspace", "campaign", "contact_id")
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    campaign = models.CharField(max_length=255)  # CustomCampaign, as the program calls it
    contact_id = models.BigIntegerField(db_index=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "api_once"


class KeptAnswer(models.Model):
    """How a call with an Idempotency-Key was answered, for a day. Its sender alone can read it."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    digest = models.BinaryField(max_length=32)
    request = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField()
    answer = models.BinaryField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "api_kept_answer"
        constraints = [models.UniqueConstraint(fields=["workspace", "digest"], name="kept_answer_once")]
        indexes = [models.Index(fields=["at"], name="kept_answer_old")]


class LoggedCall(models.Model):
    """A call of a program, for whoever looks for its mistake: no body, no query, no address; see `envol.api.calls`."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE)
    at = models.DateTimeField()
    method = models.CharField(max_length=8)
    path = models.CharField(max_length=120)
    status = models.PositiveSmallIntegerField()
    ms = models.PositiveIntegerField()

    class Meta:
        db_table = "api_logged_call"
        indexes = [
            models.Index(fields=["workspace", "-id"], name="logged_call_newest"),
            models.Index(fields=["at"], name="logged_call_old"),
        ]
