import django.db.models.functions.datetime
from django.db import migrations, models

from envol.db import sql


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Counter",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "sending_id",
                        "kind",
                        "link",
                        "machine",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("workspace_id", models.IntegerField()),
                ("sending_id", models.BigIntegerField()),
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
                            (20, "list joined"),
                            (21, "list left"),
                            (22, "permission changed"),
                            (23, "ordered"),
                            (24, "contact changed"),
                        ]
                    ),
                ),
                ("link", models.SmallIntegerField(default=0)),
                ("machine", models.BooleanField(default=False)),
                ("events", models.BigIntegerField(default=0)),
                ("people", models.BigIntegerField(default=0)),
                ("nameless", models.BigIntegerField(default=0)),
                ("frozen", models.BooleanField(default=False)),
            ],
            options={
                "db_table": "events_counter",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
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
                            (20, "list joined"),
                            (21, "list left"),
                            (22, "permission changed"),
                            (23, "ordered"),
                            (24, "contact changed"),
                        ]
                    ),
                ),
                ("contact_id", models.BigIntegerField(null=True)),
                ("sending_id", models.BigIntegerField(null=True)),
                ("link", models.SmallIntegerField(null=True)),
                ("machine", models.CharField(max_length=20, null=True)),
                ("facts", models.JSONField(null=True)),
            ],
            options={
                "db_table": "events_event",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="MailRequest",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("workspace_id", models.IntegerField(null=True)),
                ("kind", models.CharField(max_length=40)),
                ("recipient", models.CharField(max_length=254)),
                ("contact_id", models.BigIntegerField(null=True)),
                ("language", models.CharField(default="fr", max_length=8)),
                ("facts", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("taken_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "events_mail_request",
            },
        ),
        migrations.RunSQL(sql("events", "schema")),
    ]
