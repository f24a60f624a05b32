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
