"""Named segments: a typed tree of rules, kept as JSON and always evaluated when used."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from envol.accounts.models import Workspace


class Segment(models.Model):
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="segments")
    name = models.CharField(max_length=200)
    tree = models.JSONField()  # the language of envol.audience.language, version inside
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "audience_segment"
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="segment_name_once")]
