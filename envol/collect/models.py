"""Sign-up forms, and what strangers asked for until they confirm it from their mailbox."""

from __future__ import annotations

import secrets

from django.db import models
from django.db.models.functions import Now

from envol.accounts.models import Workspace
from envol.contacts.models import List


def new_token() -> str:
    """192 random bits: a private list cannot be joined by guessing."""
    return secrets.token_urlsafe(24)


class SignupForm(models.Model):
    """One form for one list. ``words`` by language: title, intro, notice, thanks."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="signup_forms")
    list = models.OneToOneField(List, on_delete=models.CASCADE, related_name="signup")
    token = models.CharField(max_length=40, unique=True, default=new_token)
    active = models.BooleanField(default=False)
    languages = models.JSONField(default=list)  # the first one is spoken when the visitor's is not among them
    words = models.JSONField(default=dict)
    notice_url = models.URLField(max_length=500, blank=True)  # the whole notice of GDPR art. 13
    fields = models.JSONField(default=list)  # [{"key", "required"}] in order; the address is always asked first
    purposes = models.JSONField(default=list)  # ids, in order
    visibility = models.JSONField(default=dict)  # what only a segment is shown: see `collect.visibility`
    redirect_url = models.URLField(max_length=500, blank=True)  # where a pasted form leads; empty: our own page
    per_hour = models.PositiveIntegerField(default=200)  # confirmations an hour, whoever asks
    asks_age = models.BooleanField(default=False, db_default=False)  # old enough to agree alone? (GDPR art. 8)
    min_seconds = models.PositiveSmallIntegerField(default=2)  # nobody fills the hosted page faster
    revision = models.PositiveIntegerField(default=0)  # refuses two people saving over one another
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "collect_signup_form"


class SignupRequest(models.Model):
    """What somebody asked for at an address that may not be hers: apart from contacts, gone after 7 days.

    A confirmed one keeps who it became until then, so that the link still knows; what she wrote has moved on.
    """

    form = models.ForeignKey(SignupForm, on_delete=models.CASCADE)
    workspace_id = models.IntegerField()
    secret_sha256 = models.BinaryField(unique=True)  # of the link's secret, which is in the mail alone
    email = models.CharField(max_length=254)
    email_key = models.CharField(max_length=254)
    language = models.CharField(max_length=8)
    values = models.JSONField(default=dict)  # canonical, by property
    texts = models.JSONField(default=list)  # ids of the purposes' texts she ticked, exactly as shown
    of_age = models.PositiveSmallIntegerField(null=True)  # she said that she is so old at least
    # Of who is younger: the address of a parent, who is asked once she confirmed, by a link of his own.
    parent = models.CharField(max_length=254, blank=True, default="", db_default="")
    parent_sha256 = models.BinaryField(null=True, unique=True)
    mailing_list_id = models.BigIntegerField(null=True)  # asked by a mail to this one
    pasted = models.BooleanField()  # from the HTML on somebody's site, else from our own page
    asked_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)
    contact_id = models.BigIntegerField(null=True)

    class Meta:
        db_table = "collect_signup_request"
        indexes = [
            models.Index(fields=["expires_at"], name="signup_request_expiry"),
            models.Index(fields=["workspace_id", "email_key"], name="signup_request_address"),
        ]


class Attempt(models.Model):
    """One request that reached the limits: keyed digests of address and network, kept for a week."""

    form_id = models.BigIntegerField()
    address = models.BinaryField()
    network = models.BinaryField()
    mailed = models.BooleanField()
    at = models.DateTimeField()

    class Meta:
        db_table = "collect_attempt"
        indexes = [
            models.Index(fields=["address", "at"], name="attempt_address", condition=models.Q(mailed=True)),
            models.Index(fields=["network", "at"], name="attempt_network", condition=models.Q(mailed=True)),
            models.Index(fields=["form_id", "at"], name="attempt_form", condition=models.Q(mailed=True)),
            models.Index(fields=["at"], name="attempt_expiry"),
        ]


class Day(models.Model):
    """Sums of one form and day; they outlive the requests they were counted from."""

    form = models.ForeignKey(SignupForm, on_delete=models.CASCADE, related_name="days")
    day = models.DateField()
    asked = models.PositiveIntegerField(default=0)
    confirmed = models.PositiveIntegerField(default=0)
    held = models.PositiveIntegerField(default=0)  # answered like the others, no mail: a limit was reached

    class Meta:
        db_table = "collect_day"
        constraints = [models.UniqueConstraint(fields=["form", "day"], name="signup_day_once")]
