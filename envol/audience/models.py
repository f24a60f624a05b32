"""Named segments, a typed tree of rules that is evaluated when used; and what is known of buyers as a whole.

Scores and tiers of persons are in tables of ``sql/scores_schema.sql``.
"""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.functions import Lower, Now

from envol.accounts.models import Member, Workspace


class Segment(models.Model):
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="segments")
    name = models.CharField(max_length=200)
    tree = models.JSONField()  # the language of envol.audience.language, version inside
    by_hand = models.BooleanField(db_default=False)  # somebody is in or out whatever the rule says
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "audience_segment"
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="segment_name_once")]

    @property
    def whole(self) -> dict[str, Any]:
        """What every question about its people asks: the rule, and whom members put in or left out by hand."""
        return {**self.tree, "people": self.pk} if self.by_hand else self.tree


class SegmentPerson(models.Model):
    """Somebody who is in a segment, or out of it, whatever its rule says. No foreign key to people: they are erased."""

    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="people")
    workspace_id = models.IntegerField()
    contact_id = models.BigIntegerField(db_index=True)
    inside = models.BooleanField()
    at = models.DateTimeField(db_default=Now())
    member_id = models.BigIntegerField(null=True)

    class Meta:
        db_table = "audience_segment_person"
        constraints = [models.UniqueConstraint(fields=["segment", "contact_id"], name="segment_person_once")]


class Shop(models.Model):
    """A shop of ours. It lies where its postcode does, or where a member said."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    name = models.CharField(max_length=120)
    address = models.CharField(max_length=200, blank=True)
    postcode = models.CharField(max_length=12, blank=True)
    town = models.CharField(max_length=100, blank=True)
    country = models.CharField(max_length=2)
    lat = models.FloatField()
    lon = models.FloatField()
    opening = models.TextField(blank=True)  # as people write it
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "audience_shop"
        constraints = [models.UniqueConstraint("workspace", Lower("name"), name="shop_name_once")]

    def __str__(self) -> str:
        return self.name


class SegmentVersion(models.Model):
    """What a segment was called and said before it was changed."""

    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="versions")
    name = models.CharField(max_length=200)
    tree = models.JSONField()
    written_at = models.DateTimeField()
    replaced_at = models.DateTimeField(db_default=Now())
    replaced_by = models.ForeignKey(Member, on_delete=models.SET_NULL, null=True)

    class Meta:
        db_table = "audience_segment_version"


class Follow(models.Model):
    """A segment of which is written down who enters and leaves; rows of people are in ``sql/following_schema.sql``."""

    segment = models.OneToOneField(Segment, on_delete=models.CASCADE, primary_key=True, related_name="follow")
    since = models.DateTimeField(db_default=Now())
    looked_at = models.DateTimeField(null=True)
    rule = models.CharField(max_length=64, blank=True)  # digest of the rule of the last look; "": nobody is known yet
    begun_at = models.DateTimeField(null=True)  # since when moves of this rule are written down
    problem = models.TextField(blank=True)  # why the last look could not be made

    class Meta:
        db_table = "audience_follow"


class Size(models.Model):
    """How many people a segment held on a day, as counted once that day."""

    segment = models.ForeignKey(Segment, on_delete=models.CASCADE, related_name="sizes")
    day = models.DateField()
    people = models.BigIntegerField()

    class Meta:
        db_table = "audience_size"
        constraints = [models.UniqueConstraint(fields=["segment", "day"], name="size_once_a_day")]


class Scoring(models.Model):
    """The last computation of a workspace's scores. Money in cents of ``currency``."""

    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, primary_key=True)
    computed_at = models.DateTimeField(db_default=Now())
    reference = models.DateField()  # days since the last order are counted to here
    currency = models.CharField(max_length=3)
    buyers = models.IntegerField()
    order_days = models.BigIntegerField()
    amount = models.BigIntegerField()
    elsewhere = models.BigIntegerField(default=0)  # orders in other currencies, which count for nothing
    objected = models.IntegerField(default=0)  # buyers who are not scored because they objected
    thresholds = models.JSONField(default=dict)  # tier → cents in twelve months, None: out of reach
    reviewed_on = models.DateField(null=True)  # when the thresholds were made
    cohorts = models.JSONField(default=list)
    figures = models.JSONField(default=dict)  # what pages show: they read no million of rows

    class Meta:
        db_table = "audience_scoring"


class Privilege(models.Model):
    """What customers of a tier are given."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    tier = models.CharField(max_length=10)
    text = models.TextField(blank=True)
    code = models.CharField(max_length=60, blank=True)
    early_days = models.PositiveSmallIntegerField(default=0)  # how long before the public they may buy

    class Meta:
        db_table = "audience_privilege"
        constraints = [models.UniqueConstraint(fields=["workspace", "tier"], name="privilege_once")]


class RepurchaseDelay(models.Model):
    """After how many days people buy of a category again: until then it is not offered to who just bought it."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    category = models.CharField(max_length=100)  # in small letters; "" is every category without a line of its own
    days = models.PositiveSmallIntegerField()

    class Meta:
        db_table = "audience_repurchase_delay"
        constraints = [models.UniqueConstraint(fields=["workspace", "category"], name="repurchase_delay_once")]


class Topic(models.Model):
    """A subject of interest, and how its articles and products are known: by category, by a part of their address."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="topics")
    key = models.CharField(max_length=60)
    label_fr = models.CharField(max_length=80)
    label_en = models.CharField(max_length=80)
    categories = models.JSONField(default=list)  # of orders, in small letters
    addresses = models.JSONField(default=list)  # parts of addresses, in small letters
    said_by = models.JSONField(default=list, db_default=[])  # [[key of a property, value]]: who chose it said so
    created_at = models.DateTimeField(db_default=Now())
    removed_at = models.DateTimeField(null=True)  # hidden since; a week later it goes with everybody's interest in it

    class Meta:
        db_table = "audience_topic"
        constraints = [models.UniqueConstraint(fields=["workspace", "key"], name="topic_key_once")]


class TopicArticle(models.Model):
    """A page that was given a topic by hand: the same page in another letter has it too."""

    topic = models.ForeignKey(Topic, on_delete=models.CASCADE, related_name="articles")
    article = models.CharField(max_length=500)  # as `topics.article_of` writes it

    class Meta:
        db_table = "audience_topic_article"
        constraints = [models.UniqueConstraint(fields=["topic", "article"], name="topic_article_once")]


class Inference(models.Model):
    """The last time interests were inferred from what people read and bought."""

    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, primary_key=True)
    computed_at = models.DateTimeField(db_default=Now())
    reference = models.DateField()
    people = models.IntegerField()  # who have an inferred interest
    gained = models.IntegerField()
    lost = models.IntegerField()
    minors = models.IntegerField(default=0)  # left out because of their age

    class Meta:
        db_table = "audience_inference"


class Rhythm(models.Model):
    """Whether stages of activity follow each person's own rhythm, and how many messages make one."""

    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, primary_key=True)
    on = models.BooleanField(default=False)
    sends = models.PositiveSmallIntegerField(default=12)

    class Meta:
        db_table = "audience_rhythm_setting"


class Expectation(models.Model):
    """The last fit of expected purchases, where there is enough of a history."""

    workspace = models.OneToOneField(Workspace, on_delete=models.CASCADE, primary_key=True)
    computed_at = models.DateTimeField(db_default=Now())
    reference = models.DateField()
    buyers = models.IntegerField()
    expected = models.BigIntegerField()  # purchases of all of them in the next 90 days
    parameters = models.JSONField()  # r, alpha, a, b

    class Meta:
        db_table = "audience_expectation"
