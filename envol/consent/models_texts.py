"""Notices, policies and terms by version, and which person was given or took which one."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from envol.accounts.models import Workspace


class PolicyVersion(models.Model):
    """One version of a text; never changed. People who were there before it are bound from ``binds_on`` on."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="policy_versions")
    kind = models.CharField(max_length=10)  # notice, privacy, terms, cookies
    no = models.PositiveIntegerField()
    texts = models.JSONField()  # language → the whole text
    short = models.JSONField(default=dict)  # language → the first layer of a notice
    sha256 = models.BinaryField()
    made_at = models.DateTimeField(db_default=Now())
    binds_on = models.DateField()
    told_at = models.DateTimeField(null=True)  # when telling people of it began
    member_id = models.BigIntegerField(null=True)

    class Meta:
        db_table = "consent_policy_version"
        constraints = [models.UniqueConstraint(fields=["workspace", "kind", "no"], name="policy_version_once")]


class Acceptance(models.Model):
    """A person was given this version (told), or took it herself (signup)."""

    workspace_id = models.IntegerField()
    contact_id = models.BigIntegerField(db_index=True)
    version = models.ForeignKey(PolicyVersion, on_delete=models.CASCADE)
    how = models.CharField(max_length=10)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "consent_acceptance"
        constraints = [models.UniqueConstraint(fields=["version", "contact_id", "how"], name="acceptance_once")]
