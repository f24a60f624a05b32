"""To whom a purpose lets people's data be passed on, by version of its words; and who was given to whom."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from envol.accounts.models import Workspace


class Partner(models.Model):
    """One partner that the words of a purpose name, from one version on (GDPR art. 4(11), 13(1)(e)).

    Never changed but for its end: an agreement covers the partners that its version named.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="partners")
    purpose = models.ForeignKey("consent.Purpose", on_delete=models.CASCADE, related_name="partners")
    processor_id = models.BigIntegerField()  # its entry in the register of recipients, gone some years after its end
    name = models.CharField(max_length=200)
    site = models.CharField(max_length=253)
    country = models.CharField(max_length=2)
    since_version = models.PositiveIntegerField()  # of the words of the purpose
    until_version = models.PositiveIntegerField(null=True)  # the first that names it no more
    added_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "consent_partner"
        constraints = [
            models.UniqueConstraint(
                fields=["purpose", "processor_id"], condition=models.Q(until_version=None), name="partner_named_once"
            ),
            models.CheckConstraint(
                condition=models.Q(until_version=None) | models.Q(until_version__gt=models.F("since_version")),
                name="partner_ends_after",
            ),
        ]


class Handing(models.Model):
    """One person in a file for one partner; what that partner still has to be told of her (art. 7(3), 19)."""

    id = models.BigAutoField(primary_key=True)
    workspace_id = models.IntegerField()
    partner = models.ForeignKey(Partner, on_delete=models.CASCADE)
    contact_id = models.BigIntegerField(null=True)  # none: erased since
    mark = models.CharField(max_length=64)  # SHA-256 of her address as the partner got it: how she is named to it
    at = models.DateTimeField()  # of the last file
    owed = models.CharField(max_length=10, blank=True, default="")  # withdrawn, erased
    owed_at = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "consent_handing"
        constraints = [models.UniqueConstraint(fields=["partner", "contact_id"], name="handing_once")]
        indexes = [
            models.Index(fields=["workspace_id", "contact_id"], name="handing_of_person"),
            models.Index(
                fields=["workspace_id", "partner"],
                condition=~models.Q(owed="") & models.Q(told_at=None),
                name="handing_owed",
            ),
        ]
