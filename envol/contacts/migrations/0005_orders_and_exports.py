from __future__ import annotations

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

ORDERS = """
ALTER TABLE contacts_order ADD COLUMN import_id bigint;
CREATE INDEX contacts_order_import ON contacts_order (import_id) WHERE import_id IS NOT NULL;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("contacts", "0004_stamps")]

    operations = [
        migrations.AddField("import", "what", models.CharField(db_default="people", default="people", max_length=10)),
        migrations.AddField("import", "currency", models.CharField(db_default="", default="", max_length=3)),
        migrations.RunSQL(ORDERS),
        migrations.CreateModel(
            name="Export",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=200)),
                ("kind", models.CharField(max_length=10)),
                ("chosen", models.JSONField(default=dict)),
                ("columns", models.JSONField(default=list)),
                ("purpose_id", models.BigIntegerField(null=True)),
                ("language", models.CharField(default="fr", max_length=8)),
                ("state", models.CharField(default="waiting", max_length=10)),
                ("why", models.CharField(blank=True, max_length=20)),
                ("people", models.BigIntegerField(default=0)),
                ("size", models.BigIntegerField(default=0)),
                ("path", models.CharField(blank=True, max_length=100)),
                ("job_id", models.BigIntegerField(null=True)),
                ("member_id", models.BigIntegerField(null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("ended_at", models.DateTimeField(null=True)),
                ("until", models.DateTimeField(null=True)),
                (
                    "workspace",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.workspace"),
                ),
            ],
            options={
                "db_table": "contacts_export",
                "indexes": [models.Index(fields=["workspace", "-id"], name="export_newest")],
            },
        ),
    ]
