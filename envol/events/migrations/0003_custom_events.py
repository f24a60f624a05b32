import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from envol.db import sql

KINDS = [
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
    (20, "list joined"),
    (21, "list left"),
    (22, "permission changed"),
    (23, "ordered"),
    (24, "contact changed"),
    (30, "custom"),
]


class Migration(migrations.Migration):
    dependencies = [("events", "0002_stamp"), ("accounts", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="CustomEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=60)),
                ("label_fr", models.CharField(max_length=120)),
                ("label_en", models.CharField(max_length=120)),
                ("properties", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("removed_at", models.DateTimeField(null=True)),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="custom_events",
                        to="accounts.workspace",
                    ),
                ),
            ],
            options={
                "db_table": "events_custom_event",
                "constraints": [
                    models.UniqueConstraint(fields=("workspace", "key"), name="custom_event_key_once"),
                ],
            },
        ),
        migrations.AlterField("event", "kind", models.SmallIntegerField(choices=KINDS)),
        migrations.AlterField("counter", "kind", models.SmallIntegerField(choices=KINDS)),
        migrations.AddField("event", "custom", models.IntegerField(null=True)),
        migrations.AddField("event", "given", models.BigIntegerField(null=True)),
        migrations.RunSQL(sql("events", "custom")),
    ]
