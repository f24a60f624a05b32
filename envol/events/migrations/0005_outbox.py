import django.db.models.functions.datetime
from django.db import migrations, models

from envol.db import sql


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0004_last_act"),
        ("accounts", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(sql("events", "outbox")),
        migrations.CreateModel(
            name="Endpoint",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("form", models.CharField(max_length=10)),
                ("event", models.CharField(blank=True, max_length=10)),
                ("kinds", models.JSONField(default=list)),
                ("backup", models.BooleanField(default=False)),
                ("grouped", models.BooleanField(default=False)),
                ("address", models.CharField(blank=True, max_length=254)),
                ("url", models.TextField()),
                ("login_sealed", models.BinaryField(null=True)),
                ("secret_sealed", models.BinaryField(null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[("alive", "Alive"), ("paused", "Paused"), ("dead", "Dead")],
                        default="alive",
                        max_length=10,
                    ),
                ),
                ("key_id", models.IntegerField(null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("due", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("failing_at", models.DateTimeField(null=True)),
                ("failures", models.SmallIntegerField(default=0)),
                ("lease_until", models.DateTimeField(null=True)),
                ("told_at", models.DateTimeField(null=True)),
                ("said", models.TextField(blank=True, default="")),
            ],
            options={
                "db_table": "events_endpoint",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Outbox",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("workspace_id", models.IntegerField()),
                (
                    "kind",
                    models.SmallIntegerField(
                        choices=[
                            (1, "accepted"),
                            (2, "delivered"),
                            (3, "deferred"),
                            (4, "bounced"),
                            (5, "opened"),
                            (6, "clicked"),
                            (7, "complained"),
                            (8, "unsubscribed"),
                            (9, "expired"),
                            (10, "cancelled"),
                            (11, "suppressed"),
                            (12, "replied"),
                            (20, "list joined"),
                            (21, "list left"),
                            (22, "permission changed"),
                            (23, "ordered"),
                            (24, "contact changed"),
                            (30, "custom"),
                            (40, "mail came"),
                        ]
                    ),
                ),
                ("at", models.DateTimeField()),
                ("contact_id", models.BigIntegerField(null=True)),
                ("sending_id", models.BigIntegerField(null=True)),
                ("no", models.BigIntegerField(null=True)),
                ("link", models.SmallIntegerField(null=True)),
                ("facts", models.JSONField(null=True)),
                ("state", models.CharField(default="waiting", max_length=10)),
                ("queued_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("due", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("attempts", models.SmallIntegerField(default=0)),
                ("ended_at", models.DateTimeField(null=True)),
                ("status", models.SmallIntegerField(null=True)),
                ("ms", models.IntegerField(null=True)),
                ("said", models.TextField(blank=True, default="")),
            ],
            options={
                "db_table": "events_outbox",
                "managed": False,
            },
        ),
    ]
