"""People, what we know of them, where it comes from, what they bought.

One contact is one address. Values live in one JSONB document per contact in canonical form;
``sources`` maps a property's key to the ``Source`` row that says where, when and why.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from envol.accounts.models import Workspace


class PropertyType(models.TextChoices):
    TEXT = "text", "Text"
    NUMBER = "number", "Number"
    BOOLEAN = "boolean", "Yes or no"
    DATE = "date", "Date"
    CHOICE = "choice", "Choice"
    LIST = "list", "Several choices"
    PLACE = "place", "Place"  # {"label", "country", "postcode", "lat", "lon"}
    MONEY = "money", "Money"  # integer cents


class Property(models.Model):
    """One line of the catalogue: nothing is stored on a person that is not declared here."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="properties")
    key = models.SlugField(max_length=60)
    label_fr = models.CharField(max_length=200)
    label_en = models.CharField(max_length=200)
    type = models.CharField(max_length=10, choices=PropertyType.choices)
    choices = models.JSONField(default=list)
    purposes = models.BigIntegerField(default=0)  # mask of purpose bits this property may serve
    personal = models.BooleanField(default=True)
    sensitive = models.BooleanField(default=False)  # GDPR art. 9: never in columnar copies
    inferred = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "contacts_property"
        constraints = [models.UniqueConstraint(fields=["workspace", "key"], name="property_key_once")]


class DataKey(models.Model):
    """What seals the values of a workspace's sensitive properties, sealed itself under the installation's key; the
    newest one seals, older ones still open. See `envol.contacts.sealing`."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    wrapped = models.BinaryField()
    made_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "contacts_data_key"


class Source(models.Model):
    """Where values came from: one row per import, form, call, member or inference, not per value."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    kind = models.CharField(max_length=12)  # import, form, api, message, member, inference, simulation
    label = models.CharField(max_length=200)
    at = models.DateTimeField(db_default=Now())
    declared = models.BooleanField(default=True)
    purpose_id = models.BigIntegerField(null=True)
    actor = models.CharField(max_length=60, blank=True)
    import_id = models.BigIntegerField(null=True)

    class Meta:
        db_table = "contacts_source"
        indexes = [models.Index(fields=["workspace", "kind", "at"], name="source_of_day")]


class Contact(models.Model):
    """One person at one address. ``allowed``, ``refused``, ``suppressed``, ``objected`` and ``silenced`` are
    projections of the consent room, kept on the row that every sending reads; rebuildable.
    """

    id = models.BigAutoField(primary_key=True)
    workspace_id = models.IntegerField()
    email = models.CharField(max_length=254)  # as written
    email_key = models.CharField(max_length=254)  # normalised; COLLATE "C"
    language = models.CharField(max_length=8, null=True)
    time_zone = models.CharField(max_length=64, null=True)
    props = models.JSONField(default=dict)
    sources = models.JSONField(default=dict)
    source_id = models.BigIntegerField(null=True)  # by which the address came
    tags = models.JSONField(default=list)
    allowed = models.BigIntegerField(default=0)
    refused = models.BigIntegerField(default=0)
    suppressed = models.BooleanField(default=False)  # scope all: nothing may leave
    objected = models.BooleanField(default=False)  # scope marketing
    silenced = models.BooleanField(default=False)  # marketing rests while something is open
    last_open_day = models.DateField(null=True)  # the only trace of deliverability mode, overwritten
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "contacts_contact"
        managed = False

    def __str__(self) -> str:
        return f"contact {self.id}"


class PropertyHistory(models.Model):
    """A value that was replaced, with its source and when it ceased to be."""

    id = models.BigAutoField(primary_key=True)
    workspace_id = models.IntegerField()
    contact_id = models.BigIntegerField()
    key = models.CharField(max_length=60)
    value = models.JSONField(null=True)
    source_id = models.BigIntegerField(null=True)
    until = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "contacts_property_history"
        managed = False


class Identifier(models.Model):
    """Another name of a person: external id, customer number."""

    workspace_id = models.IntegerField()
    contact_id = models.BigIntegerField(db_index=True)
    kind = models.CharField(max_length=40)
    value = models.CharField(max_length=200)

    class Meta:
        db_table = "contacts_identifier"
        constraints = [models.UniqueConstraint(fields=["workspace_id", "kind", "value"], name="identifier_once")]


class _Present(models.Manager["List"]):
    def get_queryset(self) -> models.QuerySet[List]:
        return super().get_queryset().filter(removed_at=None)


class List(models.Model):
    """Removed ones are kept with their stays, so that removing can be undone; nothing but ``every`` finds them."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="lists")
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())
    removed_at = models.DateTimeField(null=True)

    objects = _Present()
    every: ClassVar[models.Manager[List]] = models.Manager()

    class Meta:
        db_table = "contacts_list"
        base_manager_name = "every"
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name"], condition=models.Q(removed_at=None), name="list_name_once"
            )
        ]


class Membership(models.Model):
    """One stay of one person on one list; at most one is open.

    ``unsubscribed``: it ended by "nothing more from this list"; until a later stay, programs see her as on it, and
    unsubscribed. Whether she may be written to at all is the ledger's word, not this.
    """

    id = models.BigAutoField(primary_key=True)
    workspace_id = models.IntegerField()
    list_id = models.BigIntegerField()
    contact_id = models.BigIntegerField()
    since = models.DateTimeField(db_default=Now())
    until = models.DateTimeField(null=True)
    source_id = models.BigIntegerField(null=True)
    unsubscribed = models.BooleanField(db_default=False)

    class Meta:
        db_table = "contacts_membership"
        managed = False


class Note(models.Model):
    workspace_id = models.IntegerField()
    contact_id = models.BigIntegerField(db_index=True)
    author_id = models.BigIntegerField(null=True)
    text = models.TextField()
    at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "contacts_note"


class Order(models.Model):
    id = models.BigAutoField(primary_key=True)
    workspace_id = models.IntegerField()
    contact_id = models.BigIntegerField()
    external_id = models.CharField(max_length=100)
    at = models.DateTimeField()
    amount = models.BigIntegerField()  # cents
    currency = models.CharField(max_length=3)
    import_id = models.BigIntegerField(null=True)  # the file that brought it, to undo it
    code = models.CharField(max_length=60, default="")  # that made it cheaper, "" when there was none

    class Meta:
        db_table = "contacts_order"
        managed = False


class OrderLine(models.Model):
    id = models.BigAutoField(primary_key=True)
    order_id = models.BigIntegerField()
    product = models.CharField(max_length=200)
    category = models.CharField(max_length=100, blank=True)
    quantity = models.IntegerField()
    amount = models.BigIntegerField()  # cents, whole line

    class Meta:
        db_table = "contacts_order_line"
        managed = False


class Import(models.Model):
    """A file on its way in: mapping → permission (of people) → dry run → done, undone for 7 days."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    what = models.CharField(max_length=10, default="people", db_default="people")  # people, orders
    file_name = models.CharField(max_length=255)
    file_sha256 = models.BinaryField(null=True)
    path = models.CharField(max_length=500)  # below the data directory
    state = models.CharField(max_length=10, default="uploaded")
    # uploaded, mapped, checked (dry run made), running, done, cancelled, failed, undone
    format = models.JSONField(default=dict)  # kind, encoding, separator, header, sheet
    mapping = models.JSONField(default=dict)  # column → target
    permission = models.JSONField(default=dict)  # purpose, basis, source, date, text, evidence; {} = none
    origin = models.JSONField(default=dict, db_default={})  # of people's data from somebody else: name, on
    list_id = models.BigIntegerField(null=True)
    policy = models.CharField(max_length=8, default="merge")  # merge, keep, replace
    currency = models.CharField(max_length=3, default="", db_default="")  # of orders that do not say theirs
    counts = models.JSONField(default=dict)  # lines, new, updated, unchanged, refused{cause}, suppressed
    source_id = models.BigIntegerField(null=True)
    job_id = models.BigIntegerField(null=True)
    member_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "contacts_import"


class ImportRefusal(models.Model):
    id = models.BigAutoField(primary_key=True)
    import_id = models.BigIntegerField()
    line = models.BigIntegerField()
    cause = models.CharField(max_length=30)
    value = models.TextField()
    row = models.TextField()  # the line as it came, to mend and send again

    class Meta:
        db_table = "contacts_import_refusal"
        managed = False


class ImportChange(models.Model):
    """What an import did to one person, enough to undo it."""

    import_id = models.BigIntegerField()
    contact_id = models.BigIntegerField()
    pk = models.CompositePrimaryKey("import_id", "contact_id")
    created = models.BooleanField()
    before = models.JSONField(null=True)  # email, language, time_zone, props, sources as they were

    class Meta:
        db_table = "contacts_import_change"
        managed = False


class Export(models.Model):
    """People on their way out as a file. The file and the ids it holds lie below the data directory until ``until``."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    name = models.CharField(max_length=200)  # what was exported, in the words of whoever asked
    kind = models.CharField(max_length=10)  # csv, xlsx, parquet, hashed
    chosen = models.JSONField(default=dict)  # the filter, as `envol.contacts.filters` writes it
    columns = models.JSONField(default=list)
    purpose_id = models.BigIntegerField(null=True)  # only people, and columns, that may serve it
    partner_id = models.BigIntegerField(null=True)  # to whom it is passed on, under the purpose; only whom that covers
    reason = models.CharField(max_length=300, blank=True)  # without a purpose, or for a partner: what it is for
    language = models.CharField(max_length=8, default="fr")
    state = models.CharField(max_length=10, default="waiting")  # asked, refused, waiting, running, done, cancelled…
    approved_by = models.BigIntegerField(null=True)  # the owner who let so many people leave; of asked: nobody yet
    why = models.CharField(max_length=20, blank=True)  # of gone: kept, erased, removed
    people = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0)  # octets
    path = models.CharField(max_length=100, blank=True)
    job_id = models.BigIntegerField(null=True)
    member_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)

    class Meta:
        db_table = "contacts_export"
        indexes = [models.Index(fields=["workspace", "-id"], name="export_newest")]


class BulkAct(models.Model):
    """One act of a member on many people: what, on whom, how far it came; undone for 7 days."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    act = models.CharField(max_length=10)  # tag, untag, join, leave, set, merge, locate
    argument = models.JSONField(default=dict)  # {"tag"}, {"list", "name"}, {"property", "value"}, {"from", "into"…}
    chosen = models.JSONField(default=dict)  # the filter, as `envol.contacts.filters` writes it
    state = models.CharField(max_length=10, default="waiting")  # waiting, running, done, cancelled, failed, undone
    counts = models.JSONField(default=dict)  # chosen, changed, unchanged; undone {restored, kept}
    at_contact = models.BigIntegerField(default=0)  # where a stopped worker goes on: all ids up to here are done
    source_id = models.BigIntegerField(null=True)
    job_id = models.BigIntegerField(null=True)
    member_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "contacts_bulk_act"
        indexes = [models.Index(fields=["workspace", "-id"], name="bulk_act_newest")]


class BulkPerson(models.Model):
    """One person of a bulk act; ``changed`` once she was, with what undoing needs. No foreign keys: written in bulk."""

    bulk_id = models.BigIntegerField()
    contact_id = models.BigIntegerField()
    pk = models.CompositePrimaryKey("bulk_id", "contact_id")
    changed = models.BooleanField(db_default=False)
    before = models.JSONField(null=True)

    class Meta:
        db_table = "contacts_bulk_person"


class SavedView(models.Model):
    """A filter of the people's table under a name: a member's own, or everybody's in the workspace."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE)
    member_id = models.BigIntegerField()
    name = models.CharField(max_length=80)
    query = models.CharField(max_length=1000)  # as it stands in the address, without page
    shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "contacts_saved_view"
        constraints = [models.UniqueConstraint(fields=["workspace", "member_id", "name"], name="saved_view_name_once")]
