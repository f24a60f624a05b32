"""What the organisation answers for: who it is, whom it entrusts data to, what its map looked like when last read."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from envol.accounts.models import Workspace


class Desk(models.Model):
    """Who is responsible, as records, notices and notifications name it (GDPR art. 13(1), 30(1)(a), 33(3)(b))."""

    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, primary_key=True, related_name="desk")
    legal_name = models.CharField(max_length=200, blank=True)
    contact = models.CharField(max_length=300, blank=True)
    representative = models.CharField(max_length=300, blank=True)  # art. 27, of controllers outside the Union
    joint = models.CharField(max_length=300, blank=True)  # art. 26
    dpo_name = models.CharField(max_length=200, blank=True)
    dpo_contact = models.CharField(max_length=300, blank=True)
    authority = models.CharField(max_length=200, blank=True)
    hosted_in = models.CharField(max_length=2, default="FR", db_default="FR")
    security = models.TextField(blank=True)
    serves = models.TextField(blank=True)  # one line for each controller this organisation works for (art. 30(2))
    breach_hours = models.PositiveSmallIntegerField(default=72, db_default=72)  # art. 33(1), which may change
    trained_on = models.DateField(null=True)
    rights_reviewed_on = models.DateField(null=True)
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "consent_desk"


class Processor(models.Model):
    """Somebody who gets people's data from us, and under which promise (GDPR art. 28, 44 to 49)."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="processors")
    name = models.CharField(max_length=200)
    role = models.CharField(max_length=12, default="processor")  # processor, sub, joint, recipient
    kind = models.CharField(max_length=12, default="other")  # of transfers.KINDS: what of ours leads there
    host = models.CharField(max_length=253, blank=True)  # under which name machines know it
    service = models.CharField(max_length=300, blank=True)
    what = models.CharField(max_length=300, blank=True)
    contact = models.CharField(max_length=300, blank=True)
    country = models.CharField(max_length=2)  # where the data lie
    parent_country = models.CharField(max_length=2, blank=True)  # of the company that owns it
    access_country = models.CharField(max_length=2, blank=True)  # from where its people can reach the data
    tool = models.CharField(max_length=14, blank=True)  # of transfers.TOOLS
    tool_ref = models.CharField(max_length=200, blank=True)
    assessed_on = models.DateField(null=True)  # transfer impact assessment (SCC clause 14)
    measures = models.CharField(max_length=300, blank=True)  # what keeps the data safe there, such as keys held here
    reads_clear = models.BooleanField(default=False)  # it must read the data, and its law lets the state read along
    listed_on = models.DateField(null=True)  # when it was last found on the list of the framework
    dpa_on = models.DateField(null=True)
    dpa = models.BinaryField(null=True)
    dpa_name = models.CharField(max_length=200, blank=True)
    sub_processors = models.TextField(blank=True)
    since = models.DateField(null=True)
    ended_on = models.DateField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "consent_processor"
        indexes = [models.Index(fields=["workspace", "name"], name="processor_by_name")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ended_on=None) | models.Q(since=None) | models.Q(ended_on__gte=models.F("since")),
                name="processor_ends_after",
            )
        ]


class MapReading(models.Model):
    """The data map as somebody read it and said that it is right: what is new since then is drift."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    at = models.DateTimeField(db_default=Now())
    member_id = models.BigIntegerField(null=True)
    columns = models.JSONField()  # table → names of its columns
    flows = models.JSONField(default=list)

    class Meta:
        db_table = "consent_map_reading"
        indexes = [models.Index(fields=["workspace", "-id"], name="map_reading_newest")]


class Assessment(models.Model):
    """One answer to: does the interest outweigh (art. 6(1)(f)), is an impact assessment due or made (art. 35), may data
    that are held serve this purpose too (art. 6(4))?"""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    purpose = models.ForeignKey("consent.Purpose", on_delete=models.CASCADE, related_name="assessments")
    kind = models.CharField(max_length=4)  # lia, dpia, use
    answers = models.JSONField(default=dict)
    outcome = models.CharField(max_length=14)
    member_id = models.BigIntegerField(null=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "consent_assessment"
        indexes = [models.Index(fields=["workspace", "id"], name="assessment_order")]
