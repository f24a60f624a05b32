import django.db.models.deletion
from django.db import migrations, models

import envol.accounts.models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_sent_form"),
    ]

    operations = [
        migrations.AddField(
            model_name="apikey",
            name="expires_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="most_recipients",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="paused_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="paused_reason",
            field=models.CharField(db_default="", default="", max_length=300),
        ),
        migrations.AddField(
            model_name="apikey",
            name="per_day",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="per_hour",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="scopes",
            field=models.JSONField(
                db_default=["smtp", "read", "events", "orders"], default=envol.accounts.models.every_scope
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="senders",
            field=models.JSONField(db_default=[], default=list),
        ),
        migrations.CreateModel(
            name="KeyUse",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "key_id", "since", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("since", models.DateTimeField()),
                ("copies", models.IntegerField()),
                ("key", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.apikey")),
            ],
            options={
                "db_table": "accounts_key_use",
            },
        ),
    ]
