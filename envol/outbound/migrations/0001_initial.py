import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from envol.db import sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Chunk",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "sending_id", "no", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("sending_id", models.BigIntegerField()),
                ("no", models.BigIntegerField()),
                ("lo", models.BigIntegerField()),
                ("hi", models.BigIntegerField()),
                ("site", models.CharField(max_length=253)),
                ("size", models.IntegerField()),
                ("priority", models.SmallIntegerField()),
                ("due", models.DateTimeField()),
                ("attempts", models.SmallIntegerField(default=0)),
                ("lease_id", models.UUIDField(null=True)),
                ("leased_by", models.CharField(max_length=60, null=True)),
                ("lease_until", models.DateTimeField(null=True)),
                ("done", models.BooleanField(default=False)),
            ],
            options={
                "db_table": "outbound_chunk",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Excluded",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "sending_id",
                        "contact_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("sending_id", models.BigIntegerField()),
                ("contact_id", models.BigIntegerField()),
                ("reason", models.CharField(max_length=30)),
            ],
            options={
                "db_table": "outbound_excluded",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Message",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("workspace_id", models.IntegerField()),
                ("sending_id", models.BigIntegerField()),
                ("envelope_from", models.CharField(blank=True, max_length=254)),
                ("header", models.JSONField(default=dict)),
                ("text", models.TextField(blank=True)),
                ("html", models.TextField(blank=True)),
                ("raw", models.BinaryField(null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "outbound_message",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Outcome",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "sending_id", "no", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("sending_id", models.BigIntegerField()),
                ("no", models.BigIntegerField()),
                ("state", models.CharField(max_length=10)),
                ("at", models.DateTimeField()),
                ("attempts", models.SmallIntegerField()),
                ("cause", models.CharField(blank=True, max_length=30)),
                ("code", models.SmallIntegerField(null=True)),
                ("enhanced", models.CharField(max_length=12, null=True)),
                ("reply", models.TextField(blank=True)),
                ("host", models.CharField(blank=True, max_length=255)),
                ("tls", models.CharField(blank=True, max_length=20)),
            ],
            options={
                "db_table": "outbound_outcome",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Retry",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "sending_id", "no", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("sending_id", models.BigIntegerField()),
                ("no", models.BigIntegerField()),
                ("site", models.CharField(max_length=253)),
                ("priority", models.SmallIntegerField()),
                ("due", models.DateTimeField()),
                ("attempts", models.SmallIntegerField()),
                ("first_at", models.DateTimeField()),
                ("cause", models.CharField(blank=True, max_length=30)),
                ("code", models.SmallIntegerField(null=True)),
                ("enhanced", models.CharField(max_length=12, null=True)),
                ("reply", models.TextField(blank=True)),
                ("lease_id", models.UUIDField(null=True)),
                ("leased_by", models.CharField(max_length=60, null=True)),
                ("lease_until", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "outbound_retry",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Send",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "sending_id", "no", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("sending_id", models.BigIntegerField()),
                ("no", models.BigIntegerField()),
                ("contact_id", models.BigIntegerField(null=True)),
                ("message_id", models.BigIntegerField(null=True)),
                ("address", models.CharField(max_length=254)),
                ("site", models.CharField(max_length=253)),
                ("chunk", models.BigIntegerField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "outbound_send",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Captured",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("received_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("workspace_id", models.IntegerField(null=True)),
                ("envelope_from", models.CharField(blank=True, max_length=254)),
                ("envelope_to", models.JSONField()),
                ("subject", models.TextField(blank=True)),
                ("raw", models.BinaryField()),
            ],
            options={
                "db_table": "outbound_captured",
                "indexes": [models.Index(fields=["workspace_id", "id"], name="captured_newest")],
            },
        ),
        migrations.CreateModel(
            name="Domain",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(max_length=253)),
                ("trusted", models.BooleanField(default=False)),
                ("checked_at", models.DateTimeField(null=True)),
                ("passed_at", models.DateTimeField(null=True)),
                ("findings", models.JSONField(default=list)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="domains",
                        to="accounts.workspace",
                    ),
                ),
            ],
            options={
                "db_table": "outbound_domain",
            },
        ),
        migrations.CreateModel(
            name="DkimKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("selector", models.CharField(max_length=63)),
                ("algorithm", models.CharField(max_length=16)),
                ("private_sealed", models.BinaryField()),
                ("record", models.TextField()),
                ("state", models.CharField(default="active", max_length=10)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("retired_at", models.DateTimeField(null=True)),
                (
                    "domain",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="keys", to="outbound.domain"
                    ),
                ),
            ],
            options={
                "db_table": "outbound_dkim_key",
            },
        ),
        migrations.CreateModel(
            name="Sending",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=14)),
                ("campaign_id", models.BigIntegerField(null=True)),
                ("purpose_id", models.BigIntegerField(null=True)),
                ("version_id", models.BigIntegerField(null=True)),
                ("sender", models.JSONField(default=dict)),
                ("audience", models.JSONField(null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("scheduled", "Scheduled"),
                            ("preparing", "Preparing"),
                            ("sending", "Sending"),
                            ("paused", "Paused"),
                            ("sent", "Sent"),
                            ("stopped", "Stopped"),
                            ("failed", "Failed"),
                        ],
                        default="scheduled",
                        max_length=10,
                    ),
                ),
                ("priority", models.SmallIntegerField(default=5)),
                ("lifetime_seconds", models.IntegerField(default=172800)),
                ("not_before", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("expand_cursor", models.BigIntegerField(default=0)),
                ("expanded_at", models.DateTimeField(null=True)),
                ("job_id", models.BigIntegerField(null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "workspace",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.workspace"),
                ),
            ],
            options={
                "db_table": "outbound_sending",
            },
        ),
        migrations.AddConstraint(
            model_name="domain",
            constraint=models.UniqueConstraint(fields=("workspace", "name"), name="domain_once"),
        ),
        migrations.AddConstraint(
            model_name="dkimkey",
            constraint=models.UniqueConstraint(fields=("domain", "selector"), name="selector_once"),
        ),
        migrations.AddIndex(
            model_name="sending",
            index=models.Index(fields=["workspace", "state"], name="sending_state"),
        ),
        migrations.RunSQL(sql("outbound", "schema")),
    ]
