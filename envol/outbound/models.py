"""The send ledger and the queue.

A *sending* is one act of sending. ``send`` has one row per (sending, recipient), written once and
never updated. Work is leased in *chunks* (a range of one sending, one site); what became of a
recipient is its ``outcome`` row, what waits for another try is its ``retry`` row. So the state of a
recipient is never stored twice:

    outcome row                → that final state
    retry row, leased or not   → leased | deferred
    chunk leased or not        → leased | queued
"""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from envol.accounts.models import Workspace
from envol.consent.similar import Offer


class Domain(models.Model):
    """A domain the workspace sends from. Mail leaves the machine only if checked or trusted."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="domains")
    name = models.CharField(max_length=253)
    trusted = models.BooleanField(default=False)  # the operator vouches
    checked_at = models.DateTimeField(null=True)
    passed_at = models.DateTimeField(null=True)
    findings = models.JSONField(default=list)  # as `records.findings` made them
    failing_at = models.DateTimeField(null=True)  # since when a check finds something needed missing
    returns_at = models.DateTimeField(null=True)  # since when bounces come home to ``bounces.`` the domain
    replies_to = models.CharField(max_length=254, db_default="", default="")  # where replies that come here go on to
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "outbound_domain"
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="domain_once")]


class DkimKey(models.Model):
    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="keys")
    selector = models.CharField(max_length=63)
    algorithm = models.CharField(max_length=16)  # rsa-sha256, ed25519-sha256
    private_sealed = models.BinaryField()  # PKCS#8 DER under the installation's key
    record = models.TextField()  # TXT to publish
    state = models.CharField(max_length=10, default="active")  # next, active, retired
    created_at = models.DateTimeField(db_default=Now())
    retired_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)  # since when the next key's record is found in DNS without a gap

    class Meta:
        db_table = "outbound_dkim_key"
        constraints = [models.UniqueConstraint(fields=["domain", "selector"], name="selector_once")]


class SendingState(models.TextChoices):
    """The campaign words a marketer reads."""

    SCHEDULED = "scheduled", "Scheduled"
    PREPARING = "preparing", "Preparing"
    SENDING = "sending", "Sending"
    PAUSED = "paused", "Paused"
    SENT = "sent", "Sent"
    STOPPED = "stopped", "Stopped"
    FAILED = "failed", "Failed"
    HELD = "held", "Held for review"


OWED = 0
"""``purpose_id`` of messages that the law wants people to get: no purpose that anybody is asked for or can refuse."""


class Sending(models.Model):
    """One act of sending: a campaign, its remainder, a test, or the stream of single messages."""

    id = models.BigAutoField(primary_key=True)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    kind = models.CharField(max_length=14)  # campaign, resend, again (to one person), test, transactional, system
    campaign_id = models.BigIntegerField(null=True)
    purpose_id = models.BigIntegerField(null=True)
    version_id = models.BigIntegerField(null=True)  # content.Version
    sender = models.JSONField(default=dict)  # name, address, reply_to, campaign_name
    audience = models.JSONField(null=True)  # the segment's tree, frozen when sending was decided
    # What it is about, frozen too (`consent.similar`); empty: anything, from the organisation itself.
    product_family = models.CharField(max_length=200, blank=True, default="", db_default="")
    seller = models.CharField(max_length=200, blank=True, default="", db_default="")
    state = models.CharField(max_length=10, choices=SendingState.choices, default="scheduled")
    priority = models.SmallIntegerField(default=5)  # 0 first; codes 0, transactional 2, marketing 5
    lifetime_seconds = models.IntegerField(default=48 * 3600)
    not_before = models.DateTimeField(db_default=Now())
    expand_cursor = models.BigIntegerField(default=0)  # last contact id looked at; resumable
    expanded_at = models.DateTimeField(null=True)
    job_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "outbound_sending"
        indexes = [models.Index(fields=["workspace", "state"], name="sending_state")]

    @property
    def offer(self) -> Offer:
        return Offer(self.product_family, self.seller)


class Message(models.Model):
    """A single message with its own words (transactional, system), accepted by API, SMTP or a room."""

    id = models.BigAutoField(primary_key=True)
    workspace_id = models.IntegerField()
    sending_id = models.BigIntegerField()
    envelope_from = models.CharField(max_length=254, blank=True)
    header = models.JSONField(default=dict)  # from, to, subject, extra headers, custom id
    text = models.TextField(blank=True)
    html = models.TextField(blank=True)
    raw = models.BinaryField(null=True)  # relayed as it came
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "outbound_message"
        managed = False


class Grouping(models.Model):
    """A word under which a program counts single messages together (``campaign`` in their header)."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    name = models.CharField(max_length=255)
    from_address = models.CharField(max_length=254)  # of the first message, as its name
    from_name = models.TextField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "outbound_grouping"
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="grouping_name_once")]


class Send(models.Model):
    """The ledger row. ``no`` is the contact's id for campaigns, else a number of its own."""

    pk = models.CompositePrimaryKey("sending_id", "no")
    sending_id = models.BigIntegerField()
    no = models.BigIntegerField()
    contact_id = models.BigIntegerField(null=True)
    message_id = models.BigIntegerField(null=True)  # outbound.Message, else the sending's version
    address = models.CharField(max_length=254)  # as it was when chosen
    site = models.CharField(max_length=253)
    chunk = models.BigIntegerField()
    permission_id = models.BigIntegerField(null=True)  # the answer on the ground of which it leaves
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "outbound_send"
        managed = False


class Chunk(models.Model):
    """The unit of leasing: the send rows that name it, all with ``lo <= no <= hi``.

    ``site`` is theirs, or '*' when small sites share a chunk.
    """

    pk = models.CompositePrimaryKey("sending_id", "no")
    sending_id = models.BigIntegerField()
    no = models.BigIntegerField()
    lo = models.BigIntegerField()
    hi = models.BigIntegerField()
    site = models.CharField(max_length=253)
    size = models.IntegerField()
    priority = models.SmallIntegerField()
    due = models.DateTimeField()
    attempts = models.SmallIntegerField(default=0)  # rises when a lease ends unfinished
    lease_id = models.UUIDField(null=True)
    leased_by = models.CharField(max_length=60, null=True)
    lease_until = models.DateTimeField(null=True)
    done = models.BooleanField(default=False)

    class Meta:
        db_table = "outbound_chunk"
        managed = False


class Retry(models.Model):
    """A recipient that was deferred: due again at ``due``."""

    pk = models.CompositePrimaryKey("sending_id", "no")
    sending_id = models.BigIntegerField()
    no = models.BigIntegerField()
    site = models.CharField(max_length=253)
    priority = models.SmallIntegerField()
    due = models.DateTimeField()
    attempts = models.SmallIntegerField()
    first_at = models.DateTimeField()
    cause = models.CharField(max_length=30, blank=True)
    code = models.SmallIntegerField(null=True)
    enhanced = models.CharField(max_length=12, null=True)
    reply = models.TextField(blank=True)
    lease_id = models.UUIDField(null=True)
    leased_by = models.CharField(max_length=60, null=True)
    lease_until = models.DateTimeField(null=True)

    class Meta:
        db_table = "outbound_retry"
        managed = False


class Outcome(models.Model):
    """How it ended, once per recipient: the event of delivery, bounce, expiry, cancelling, refusal."""

    pk = models.CompositePrimaryKey("sending_id", "no")
    sending_id = models.BigIntegerField()
    no = models.BigIntegerField()
    state = models.CharField(max_length=10)  # delivered bounced expired cancelled suppressed
    at = models.DateTimeField()
    attempts = models.SmallIntegerField()
    cause = models.CharField(max_length=30, blank=True)  # hard_bounce, blocked, withdrawn, stopped…
    code = models.SmallIntegerField(null=True)
    enhanced = models.CharField(max_length=12, null=True)
    reply = models.TextField(blank=True)
    host = models.CharField(max_length=255, blank=True)
    tls = models.CharField(max_length=20, blank=True)  # "", or protocol version

    class Meta:
        db_table = "outbound_outcome"
        managed = False


class Excluded(models.Model):
    """Somebody the audience chose and a gate left out, with the reason."""

    pk = models.CompositePrimaryKey("sending_id", "contact_id")
    sending_id = models.BigIntegerField()
    contact_id = models.BigIntegerField()
    reason = models.CharField(max_length=30)

    class Meta:
        db_table = "outbound_excluded"
        managed = False


class CapturedKind(models.TextChoices):
    """Why a message is kept."""

    CAPTURED = "captured", "Captured"  # by the local route
    REPLY = "reply", "Reply"
    PEOPLE = "people", "For the people of a domain"  # postmaster and abuse (RFC 2142)


class Held(models.Model):
    """A sending that somebody must look at before anything of it leaves: why, until when, and what was decided.

    A held message has a sending of its own, in the state ``held``, so nothing else of the ledger knows about it:
    couriers lease of sendings on their way only.
    """

    sending = models.OneToOneField(Sending, on_delete=models.CASCADE, primary_key=True)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    message_id = models.BigIntegerField(null=True)  # outbound.Message; null: a campaign
    key_id = models.BigIntegerField(null=True)  # accounts.ApiKey that handed it in
    points = models.FloatField()
    reasons = models.JSONField(default=list)  # [[rule, points, what]], the gravest first
    at = models.DateTimeField(db_default=Now())
    until = models.DateTimeField()  # undecided by then, it is cancelled
    decision = models.CharField(max_length=8, blank=True)  # released, refused, expired
    decided_at = models.DateTimeField(null=True)
    decided_by = models.BigIntegerField(null=True)  # accounts.Member; null: the command line, or the clock
    told_at = models.DateTimeField(null=True)  # when the owners were written to

    class Meta:
        db_table = "outbound_held"
        indexes = [
            models.Index(fields=["workspace", "-at"], name="held_newest"),
            models.Index(fields=["until"], condition=models.Q(decided_at=None), name="held_waiting"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(decision="", decided_at=None)
                | (~models.Q(decision="") & ~models.Q(decided_at=None)),
                name="held_decided_whole",
            )
        ]


class BlockedHost(models.Model):
    """A host to which no mail may link, with everything below it. The operator keeps the list."""

    host = models.CharField(max_length=253, primary_key=True)
    source = models.CharField(max_length=100, blank=True)  # which list, or why
    added_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "outbound_blocked_host"


class Captured(models.Model):
    """A message kept for the page /inbox: of the ``local`` route, which delivered it nowhere else, or one that came
    in for people to read."""

    id = models.BigAutoField(primary_key=True)
    received_at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=10, choices=CapturedKind.choices, default="captured", db_default="captured")
    contact_id = models.BigIntegerField(null=True)  # who wrote it, when she is known
    sending_id = models.BigIntegerField(null=True)  # what it answers
    forwarded_at = models.DateTimeField(null=True)
    workspace_id = models.IntegerField(null=True)
    envelope_from = models.CharField(max_length=254, blank=True)
    envelope_to = models.JSONField()
    subject = models.TextField(blank=True)
    raw = models.BinaryField()

    class Meta:
        db_table = "outbound_captured"
        indexes = [models.Index(fields=["workspace_id", "id"], name="captured_newest")]


class StoredDomain(models.Model):
    """A domain whose mail waits here for its own server (`envol.outbound.stored`)."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="stored_domains")
    name = models.CharField(max_length=253, unique=True)
    host = models.CharField(max_length=253)
    recipients = models.JSONField(default=list)  # local parts; none: all
    scheduled = models.BooleanField(default=False)  # tried by itself too
    sending_id = models.BigIntegerField(unique=True)  # what waits for it; paused: until it is asked for
    asked_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "outbound_stored"


class Notice(models.Model):
    """What the sender of a message is told of one recipient, by a report of ours (`envol.outbound.notices`)."""

    id = models.BigAutoField(primary_key=True)
    sending_id = models.BigIntegerField()
    no = models.BigIntegerField()
    action = models.CharField(max_length=10)  # failed, delayed, delivered, relayed (RFC 3464 §2.3.3)
    due = models.DateTimeField()
    at = models.DateTimeField(db_default=Now())
    status = models.CharField(max_length=12)
    reply = models.TextField(blank=True)  # without the address; emptied when told
    host = models.CharField(max_length=255, blank=True)
    taken_at = models.DateTimeField(null=True)
    message_id = models.BigIntegerField(null=True)  # the report, so that an erasure finds it

    class Meta:
        db_table = "outbound_notice"
        indexes = [models.Index(fields=["due"], name="notice_due", condition=models.Q(taken_at__isnull=True))]
        constraints = [models.UniqueConstraint(fields=["sending_id", "no", "action"], name="told_once")]


class Look(models.Model):
    """A look over the books (`envol.outbound.books`): when, how thoroughly, and what was wrong."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now())
    whole = models.BooleanField(default=False)  # everything, not only what runs or ended lately
    seconds = models.FloatField()
    findings = models.JSONField(default=list)  # sentences; empty: the books are right

    class Meta:
        db_table = "outbound_look"
        indexes = [models.Index(fields=["at"], name="look_at")]


class DomainReport(models.Model):
    """What one receiver told us of a domain: DMARC (RFC 9990) or TLS (RFC 8460), once for each of its reports."""

    id = models.BigAutoField(primary_key=True)
    domain = models.ForeignKey(Domain, on_delete=models.CASCADE, related_name="reports")
    kind = models.CharField(max_length=5)  # dmarc, tls
    organisation = models.CharField(max_length=120)
    report_id = models.CharField(max_length=200)  # theirs
    begins_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    policy = models.CharField(max_length=20, blank=True)
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "outbound_domain_report"
        constraints = [
            # Reports are sent again when our answer was lost.
            models.UniqueConstraint(fields=["domain", "kind", "organisation", "report_id"], name="report_once")
        ]
        indexes = [models.Index(fields=["domain", "kind", "begins_at"], name="report_time")]


class DomainReportRow(models.Model):
    """Messages, or sessions, of one source that fared alike."""

    id = models.BigAutoField(primary_key=True)
    report = models.ForeignKey(DomainReport, on_delete=models.CASCADE, related_name="rows")
    source = models.CharField(max_length=253, blank=True)  # address of a sending machine; for TLS our MX host
    n = models.BigIntegerField()
    passed = models.BooleanField()
    dkim = models.BooleanField(null=True)
    spf = models.BooleanField(null=True)
    result = models.CharField(max_length=60, blank=True)  # DMARC: disposition; TLS: why it failed
    signer = models.CharField(max_length=253, blank=True)  # domain of the signature that was judged

    class Meta:
        db_table = "outbound_domain_report_row"


class Listed(models.Model):
    """What a public blocklist last said of an address or a domain of ours."""

    id = models.BigAutoField(primary_key=True)
    zone = models.CharField(max_length=253)
    subject = models.CharField(max_length=253)
    listed_at = models.DateTimeField(null=True)  # since when; null: not listed
    looked_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = "outbound_listed"
        constraints = [models.UniqueConstraint(fields=["zone", "subject"], name="listed_once")]


class MailingList(models.Model):
    """An address that people of one list write to, or are written to from. Nobody posts but through its moderators,
    unless the list is small and says otherwise."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="mailing_lists")
    domain = models.ForeignKey(Domain, on_delete=models.PROTECT, related_name="mailing_lists")
    name = models.CharField(max_length=40)  # its address is NAME@ the return host, and NAME@ the domain
    title = models.CharField(max_length=100)
    discussion = models.BooleanField(default=False)  # members may post; else moderators alone do
    open = models.BooleanField(default=False)  # members' posts need no moderator, while the list is small
    attachments = models.BooleanField(default=False)
    max_kib = models.PositiveIntegerField(default=256)
    prefix = models.BooleanField(default=True)  # [Title] before each subject
    list_id = models.BigIntegerField(null=True)  # contacts.List: who its members are
    segment_id = models.BigIntegerField(null=True)  # or audience.Segment: chosen anew for each post (announcements)
    purpose_id = models.BigIntegerField()  # what they allow, and take back when they leave
    sending = models.OneToOneField(Sending, on_delete=models.PROTECT)  # carries its posts, for as long as it lives
    created_at = models.DateTimeField(db_default=Now())
    closed_at = models.DateTimeField(null=True)
    joins = models.BooleanField(default=False, db_default=False)  # by a mail to NAME-join@, which she confirms
    archive = models.CharField(max_length=8, default="none")  # who may read what was sent: none, members, public
    digest_on = models.DateField(null=True)  # the day, where the workspace is, of its last message of the day

    class Meta:
        db_table = "outbound_mailing_list"
        constraints = [
            models.UniqueConstraint(fields=["domain", "name"], name="mailing_list_once"),
            models.CheckConstraint(
                name="mailing_list_people",
                condition=models.Q(list_id__isnull=False, segment_id=None)
                | models.Q(list_id=None, segment_id__isnull=False, discussion=False, joins=False),
            ),
        ]


class Moderator(models.Model):
    """Who may post and decide on posts, by address; no account is needed."""

    mailing_list = models.ForeignKey(MailingList, on_delete=models.CASCADE, related_name="moderators")
    address = models.CharField(max_length=254)
    key = models.CharField(max_length=254)

    class Meta:
        db_table = "outbound_moderator"
        constraints = [models.UniqueConstraint(fields=["mailing_list", "key"], name="moderator_once")]


class PostState(models.TextChoices):
    HELD = "held", "Held"
    ACCEPTED = "accepted", "Accepted"  # leaves as soon as a worker comes to it
    SENT = "sent", "Sent"
    REFUSED = "refused", "Refused"
    EXPIRED = "expired", "Expired"


class Post(models.Model):
    """A message to a mailing list: its words are kept until they were sent or decided upon, and a little longer."""

    id = models.BigAutoField(primary_key=True)
    mailing_list = models.ForeignKey(MailingList, on_delete=models.CASCADE, related_name="posts")
    author_name = models.CharField(max_length=200, blank=True)
    author = models.CharField(max_length=254)
    contact_id = models.BigIntegerField(null=True)
    subject = models.CharField(max_length=1000, blank=True)
    message_id = models.CharField(max_length=998, blank=True)  # the author's own: the same twice is a loop
    raw = models.BinaryField()
    state = models.CharField(max_length=10, choices=PostState.choices)
    reason = models.CharField(max_length=20, blank=True)  # why it is held
    proven = models.BooleanField(default=False, db_default=False)  # a signature proves who wrote it
    said = models.CharField(max_length=500, blank=True, default="", db_default="")  # why it was refused, to its author
    received_at = models.DateTimeField(db_default=Now())
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=254, blank=True)  # a moderator's address, or a member's
    people = models.PositiveIntegerField(null=True)  # to whom it went
    archived = models.CharField(max_length=8, blank=True, default="")  # who may read it later, as its author knew it
    text = models.TextField(blank=True, default="")  # of an archived one, without addresses

    class Meta:
        db_table = "outbound_post"
        indexes = [models.Index(fields=["mailing_list", "-id"], name="post_newest")]


# A file of their own; whoever asks for the models finds them here.
from envol.outbound.models_digest import DailyReader, DigestItem  # noqa: E402, F401
