import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0001_initial"),
        ("audience", "0001_initial"),
        ("consent", "0001_initial"),
        ("content", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Campaign",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(max_length=200)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("draft", "Draft"),
                            ("scheduled", "Scheduled"),
                            ("preparing", "Preparing"),
                            ("sending", "Sending"),
                            ("paused", "Paused"),
                            ("sent", "Sent"),
                            ("stopped", "Stopped"),
                            ("failed", "Failed"),
                        ],
                        default="draft",
                        max_length=10,
                    ),
                ),
                ("from_name", models.CharField(blank=True, max_length=200)),
                ("from_address", models.CharField(blank=True, max_length=254)),
                ("reply_to", models.CharField(blank=True, max_length=254)),
                ("scheduled_at", models.DateTimeField(null=True)),
                ("revision", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("updated_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "purpose",
                    models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to="consent.purpose"),
                ),
                (
                    "segment",
                    models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to="audience.segment"),
                ),
                (
                    "template",
                    models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to="content.template"),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="campaigns",
                        to="accounts.workspace",
                    ),
                ),
            ],
            options={
                "db_table": "campaigns_campaign",
                "indexes": [models.Index(fields=["workspace", "-id"], name="campaign_newest")],
            },
        ),
    ]
