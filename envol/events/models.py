"""What happened. Append-only, partitioned by month of ``at``; counters are derived from it."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from envol.accounts.models import Workspace


class Kind(models.IntegerChoices):
    """One vocabulary inside; ``envol.api`` alone translates to other dialects."""

    ACCEPTED = 1, "accepted"
    DELIVERED = 2, "delivered"
    DEFERRED = 3, "deferred"
    BOUNCED = 4, "bounced"
    OPENED = 5, "opened"
    CLICKED = 6, "clicked"
    COMPLAINED = 7, "complained"
    UNSUBSCRIBED = 8, "unsubscribed"
    EXPIRED = 9, "expired"
    CANCELLED = 10, "cancelled"
    SUPPRESSED = 11, "suppressed"
    REPLIED = 12, "replied"  # a person wrote back; once for each sending
    LIST_JOINED = 20, "list joined"
    LIST_LEFT = 21, "list left"
    PERMISSION = 22, "permission changed"
    ORDERED = 23, "ordered"
    CONTACT_CHANGED = 24, "contact changed"
    CUSTOM = 30, "custom"
    MAIL_CAME = 40, "mail came"  # for a route to a program; a row of the outbox only


class Event(models.Model):
    """One thing that happened. ``contact_id`` is null where measuring is aggregate.

    Final outcomes (delivered, bounced, …) are not repeated here: ``outbound_outcome`` is itself
    append-only and is their event; ``outbound`` exports one view of both.
    """

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    workspace_id = models.IntegerField()
    kind = models.SmallIntegerField(choices=Kind.choices)
    contact_id = models.BigIntegerField(null=True)
    sending_id = models.BigIntegerField(null=True)
    link = models.SmallIntegerField(null=True)
    machine = models.CharField(max_length=20, null=True)  # reason why this was no person, else null
    facts = models.JSONField(null=True)
    custom = models.IntegerField(null=True)  # which of the workspace's own events, when kind is custom
    given = models.BigIntegerField(null=True)  # digest of the id its program gave it: told twice, it is kept once

    class Meta:
        db_table = "events_event"
        managed = False


class CustomEvent(models.Model):
    """An event that the workspace's own programs tell of: "appointment booked". Made when it is first told."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="custom_events")
    key = models.CharField(max_length=60)
    label_fr = models.CharField(max_length=120)
    label_en = models.CharField(max_length=120)
    properties = models.JSONField(default=dict)  # key → text, number or boolean: the type it was first told with
    created_at = models.DateTimeField(db_default=Now())
    removed_at = models.DateTimeField(null=True)  # hidden since; a week later it goes with all that was told of it

    class Meta:
        db_table = "events_custom_event"
        constraints = [models.UniqueConstraint(fields=["workspace", "key"], name="custom_event_key_once")]


class Counter(models.Model):
    """Events and people by sending, kind and link; rebuilt from events, frozen after retention."""

    pk = models.CompositePrimaryKey("sending_id", "kind", "link", "machine")
    workspace_id = models.IntegerField()
    sending_id = models.BigIntegerField()
    kind = models.SmallIntegerField(choices=Kind.choices)
    link = models.SmallIntegerField(default=0)  # 0: all links together
    machine = models.BooleanField(default=False)
    events = models.BigIntegerField(default=0)
    people = models.BigIntegerField(default=0)
    nameless = models.BigIntegerField(default=0)  # events of nobody in particular (aggregate measuring)
    frozen = models.BooleanField(default=False)

    class Meta:
        db_table = "events_counter"
        managed = False


class MailRequest(models.Model):
    """A lower room asks that a person be written to; a job of outbound sends it (password, code…)."""

    workspace_id = models.IntegerField(null=True)
    kind = models.CharField(max_length=40)
    recipient = models.CharField(max_length=254)
    contact_id = models.BigIntegerField(null=True)
    language = models.CharField(max_length=8, default="fr")
    facts = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())
    taken_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "events_mail_request"


class EndpointState(models.TextChoices):
    ALIVE = "alive", "Alive"
    PAUSED = "paused", "Paused"
    DEAD = "dead", "Dead"


class Endpoint(models.Model):
    """An address of a program that is told what happened (`envol.events.outbox`)."""

    id = models.BigAutoField(primary_key=True)
    workspace = models.ForeignKey(Workspace, on_delete=models.DO_NOTHING, related_name="endpoints")
    form = models.CharField(max_length=10)  # dialect, standard (Standard Webhooks), parse (incoming mail)
    event = models.CharField(max_length=10, blank=True)
    kinds = models.JSONField(default=list)
    backup = models.BooleanField(default=False)
    grouped = models.BooleanField(default=False)
    address = models.CharField(max_length=254, blank=True)
    url = models.TextField()
    login_sealed = models.BinaryField(null=True)
    secret_sealed = models.BinaryField(null=True)
    state = models.CharField(max_length=10, choices=EndpointState.choices, default="alive")
    key_id = models.IntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    due = models.DateTimeField(db_default=Now())
    failing_at = models.DateTimeField(null=True)
    failures = models.SmallIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True)
    said = models.TextField(default="", blank=True)

    class Meta:
        db_table = "events_endpoint"
        managed = False


class Outbox(models.Model):
    """One event that one endpoint is told of. Written by triggers (sql/outbox.sql), read in the order of ``id``."""

    id = models.BigAutoField(primary_key=True)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.DO_NOTHING, related_name="outbox")
    workspace_id = models.IntegerField()
    kind = models.SmallIntegerField(choices=Kind.choices)
    at = models.DateTimeField()
    contact_id = models.BigIntegerField(null=True)
    sending_id = models.BigIntegerField(null=True)
    no = models.BigIntegerField(null=True)
    link = models.SmallIntegerField(null=True)
    facts = models.JSONField(null=True)
    state = models.CharField(max_length=10, default="waiting")  # waiting, told, dropped, given_up
    queued_at = models.DateTimeField(db_default=Now())
    due = models.DateTimeField(db_default=Now())
    attempts = models.SmallIntegerField(default=0)
    ended_at = models.DateTimeField(null=True)
    status = models.SmallIntegerField(null=True)
    ms = models.IntegerField(null=True)
    said = models.TextField(default="", blank=True)

    class Meta:
        db_table = "events_outbox"
        managed = False
