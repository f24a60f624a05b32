"""Who may do what: users, workspaces, members, keys; jobs and the journal."""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone


class Role(models.TextChoices):
    OWNER = "owner", "Owner"
    EDITOR = "editor", "Editor"
    VIEWER = "viewer", "Viewer"  # never sees a whole address


DPO = "dpo"


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **extra: Any) -> User:
        user = self.model(email=email.strip().lower(), **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser):
    """Somebody of the organisation who signs in; her address is her name here."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=200, blank=True)
    language = models.CharField(max_length=8, default="fr")
    time_zone = models.CharField(max_length=64, default="Europe/Paris")
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(db_default=Now())

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        db_table = "accounts_user"

    def __str__(self) -> str:
        return self.name or self.email


class Workspace(models.Model):
    """One organisation's people, words and mail. Nothing crosses from one to another."""

    id = models.AutoField(primary_key=True)
    name = models.SlugField(max_length=60, unique=True)
    title = models.CharField(max_length=200)
    language = models.CharField(max_length=8, default="fr")
    time_zone = models.CharField(max_length=64, default="Europe/Paris")
    postal_address = models.TextField(blank=True)  # legal line of every commercial mail (L34-5 CPCE)
    # Key of the suppression digests, sealed under the installation's key: a plain hash of an
    # address can be reversed by guessing (GDPR art. 4(1)).
    digest_key = models.BinaryField()
    take_back_seconds = models.PositiveSmallIntegerField(default=60)
    # What individual measuring may become at most, even for those who agreed.
    opens_mode = models.CharField(max_length=16, default="individual")
    clicks_mode = models.CharField(max_length=16, default="individual")
    # For those who said nothing.
    opens_unknown = models.CharField(max_length=16, default="none")
    clicks_unknown = models.CharField(max_length=16, default="aggregate")
    # Programs of the send API hear of a sender that is not the workspace's from the message's fate, not in the answer.
    late_refusal = models.BooleanField(default=False, db_default=False)
    # Are single messages measured, as far as each allows, where the program that sends them says nothing?
    single_opens = models.BooleanField(default=False, db_default=False)
    single_clicks = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "accounts_workspace"

    def __str__(self) -> str:
        return self.title

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def today(self) -> date:
        """The day it is where the organisation is; terms, ages and dates in its registers are reckoned by it."""
        return timezone.localdate(timezone=self.zone)


class Member(models.Model):
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices)
    # Data-protection officer (GDPR art. 38, 39): a viewer who sees whole addresses, keeps the pages of consent and
    # reads the journal. She sends nothing and changes no audience, so she never judges her own acts (art. 38(6)).
    dpo = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "accounts_member"
        constraints = [
            models.UniqueConstraint(fields=["workspace", "user"], name="one_role_per_member"),
            models.CheckConstraint(condition=models.Q(dpo=False) | models.Q(role="viewer"), name="dpo_does_not_send"),
        ]

    @property
    def title(self) -> str:
        """Her role as the team's page names it: one of `Role`, or `DPO`."""
        return DPO if self.dpo else self.role


class Scope(models.TextChoices):
    """What a program may do with its key."""

    SMTP = "smtp", "Hand in mail, by SMTP or by the send API"
    READ = "read", "Read the captured mail"
    EVENTS = "events", "Tell events"
    ORDERS = "orders", "Tell orders"
    SEGMENTS = "segments", "Read segments and the people in them"
    CONSENT = "consent", "Ask who may be written to and why, pass on withdrawals and requests"
    CONTACTS = "contacts", "Read and change contacts, their properties and lists"
    CAMPAIGNS = "campaigns", "Write templates and campaigns, and send them"
    RESULTS = "results", "Read what became of messages, and figures"


def every_scope() -> list[str]:
    return [scope.value for scope in Scope]


class ApiKey(models.Model):
    """Looked up by its public part; of the secret only SHA-256 is kept, it is shown once.

    What limits it is asked by `envol.accounts.api_keys`.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="api_keys")
    public_id = models.CharField(max_length=32, unique=True)
    secret_sha256 = models.BinaryField()
    secret_end = models.CharField(max_length=4)
    scram = models.CharField(max_length=200, db_default="", default="")  # verifier of RFC 5803; none: not heard since
    name = models.CharField(max_length=100)
    created_at = models.DateTimeField(db_default=Now())
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    scopes = models.JSONField(default=every_scope, db_default=["smtp", "read", "events", "orders"])
    senders = models.JSONField(default=list, db_default=[])  # domains and addresses From may be of; none: any of ours
    per_hour = models.PositiveIntegerField(null=True)  # copies of messages, one for each recipient
    per_day = models.PositiveIntegerField(null=True)
    most_recipients = models.PositiveIntegerField(null=True)  # of one message
    expires_at = models.DateTimeField(null=True)
    paused_at = models.DateTimeField(null=True)
    paused_reason = models.CharField(max_length=300, db_default="", default="")
    # What the campaigns are about that it drafts, as those of `envol.campaigns.models.Campaign`.
    product_family = models.CharField(max_length=200, blank=True, default="", db_default="")
    seller = models.CharField(max_length=200, blank=True, default="", db_default="")

    class Meta:
        db_table = "accounts_api_key"


class KeyUse(models.Model):
    """How many copies a key with a rate handed in, by stretches of five minutes; kept for a day and an hour."""

    pk = models.CompositePrimaryKey("key_id", "since")
    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE)
    since = models.DateTimeField()
    copies = models.IntegerField()

    class Meta:
        db_table = "accounts_key_use"


class JournalEntry(models.Model):
    """What members, keys and jobs did, in order. Written once, never changed."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, null=True)
    at = models.DateTimeField(db_default=Now())
    actor_kind = models.CharField(max_length=10)  # member, key, command, job, person
    actor_id = models.BigIntegerField(null=True)
    action = models.CharField(max_length=60)
    object_kind = models.CharField(max_length=40, blank=True)
    object_id = models.BigIntegerField(null=True)
    facts = models.JSONField(default=dict)

    class Meta:
        db_table = "accounts_journal"
        indexes = [models.Index(fields=["workspace", "-id"], name="journal_newest")]


class Look(models.Model):
    """A member opened a person's page: once for each day, with how often. Kept for a year."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    member_id = models.BigIntegerField()
    contact_id = models.BigIntegerField()
    day = models.DateField()
    times = models.IntegerField()
    last_at = models.DateTimeField()

    class Meta:
        db_table = "accounts_look"
        constraints = [
            models.UniqueConstraint(fields=["workspace", "contact_id", "day", "member_id"], name="one_look_a_day")
        ]
        indexes = [models.Index(fields=["workspace", "-last_at"], name="look_newest")]


class Undo(models.Model):
    """How one line of the journal can be taken back, once, until it is too old."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    entry = models.OneToOneField(JournalEntry, on_delete=models.CASCADE, related_name="undo")
    kind = models.CharField(max_length=60)
    facts = models.JSONField(default=dict)
    until = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "accounts_undo"


class SentForm(models.Model):
    """A form that a member sent, and how it was answered: sent again, it is answered so again, and done once."""

    key = models.BinaryField(primary_key=True, max_length=32)  # digest of person, address, token and what was typed
    at = models.DateTimeField(db_default=Now())
    done_at = models.DateTimeField(null=True)  # null: somebody is at it
    location = models.TextField(blank=True)
    said = models.JSONField(default=list)
    shown = models.BinaryField(null=True)  # a page that can be had once, under a key that is not in this database

    class Meta:
        db_table = "accounts_sent_form"
        indexes = [models.Index(fields=["at"], name="sent_form_old")]


class Job(models.Model):
    """Long work that a person can watch, leave, come back to, and stop."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    kind = models.CharField(max_length=40)
    object_id = models.BigIntegerField(null=True)
    state = models.CharField(max_length=10, default="waiting")  # waiting running done failed cancelled
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True)
    step = models.CharField(max_length=60, blank=True)
    cancel_requested = models.BooleanField(default=False)
    result = models.JSONField(default=dict)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "accounts_job"
