"""Templates and their versions. A version never changes: what was sent can be shown again."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from envol.accounts.models import Workspace


class Template(models.Model):
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="templates")
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "content_template"
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="template_name_once")]


class Version(models.Model):
    """Source as written (HTML byte for byte) and everything that could be computed once from it."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    template = models.ForeignKey(Template, on_delete=models.CASCADE, related_name="versions")
    no = models.PositiveIntegerField()
    mode = models.CharField(max_length=5)  # mjml, html, text
    source = models.TextField()
    subject = models.TextField()
    preheader = models.TextField(blank=True)
    text_source = models.TextField(null=True)  # null: made automatically
    reply_to = models.CharField(max_length=254, blank=True)
    fallbacks = models.JSONField(default=dict)  # variable path → text shown when there is no value
    utm = models.JSONField(default=dict)
    html = models.TextField(default="")  # template after MJML, inlining and link marking
    text = models.TextField(default="")
    links = models.JSONField(default=list)  # [{"no", "url", "label"}], no from 1
    variables = models.JSONField(default=list)
    created_at = models.DateTimeField(db_default=Now())
    design = models.JSONField(null=True)  # model and values of its places; null: written as code
    informs = models.JSONField(default=list, db_default=[])  # origins of data that it names (GDPR art. 14)

    class Meta:
        db_table = "content_version"
        constraints = [models.UniqueConstraint(fields=["template", "no"], name="version_no_once")]


class Attachment(models.Model):
    version = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="attachments")
    name = models.CharField(max_length=200)
    media_type = models.CharField(max_length=100)
    body = models.BinaryField()
    content_id = models.CharField(max_length=100, blank=True)  # set: shown inside the message

    class Meta:
        db_table = "content_attachment"


class Media(models.Model):
    """A picture as we made it anew from what was uploaded. The files lie under its name, which nobody can guess."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="media")
    token = models.CharField(max_length=22, unique=True)  # 128 random bits: its address is public, and never listed
    name = models.CharField(max_length=200)  # of the file as it came, for people only
    alt = models.CharField(max_length=300, blank=True)
    kind = models.CharField(max_length=4)  # jpg, png, gif
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    frames = models.PositiveIntegerField(default=1)
    sizes = models.JSONField()  # {"1200": octets, "600": octets}, the largest first
    sha256 = models.BinaryField()  # of the file as it came: the same file twice is one picture
    member_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "content_media"
        constraints = [models.UniqueConstraint(fields=["workspace", "sha256"], name="media_once")]


class MediaUse(models.Model):
    """Which versions show a picture: what was sent keeps its pictures."""

    media = models.ForeignKey(Media, on_delete=models.RESTRICT, related_name="uses")
    version = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="media_uses")

    class Meta:
        db_table = "content_media_use"
        constraints = [models.UniqueConstraint(fields=["media", "version"], name="media_use_once")]
