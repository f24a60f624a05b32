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
            name="LedgerBlock",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "workspace_id", "no", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("workspace_id", models.IntegerField()),
                ("no", models.BigIntegerField()),
                ("at", models.DateTimeField()),
                ("count", models.IntegerField()),
                ("leaves", models.BinaryField()),
                ("root", models.BinaryField()),
                ("previous", models.BinaryField()),
                ("hash", models.BinaryField()),
            ],
            options={
                "db_table": "consent_ledger_block",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Permission",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("workspace_id", models.IntegerField()),
                ("contact_id", models.BigIntegerField()),
                ("purpose_id", models.BigIntegerField()),
                ("state", models.CharField(max_length=10)),
                ("basis", models.CharField(max_length=14)),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField(null=True)),
                ("evidence_id", models.BigIntegerField(null=True)),
                ("proof", models.CharField(blank=True, max_length=300)),
                ("block", models.BigIntegerField()),
                ("leaf", models.IntegerField()),
                ("leaf_key", models.BinaryField()),
            ],
            options={
                "db_table": "consent_permission",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Suppression",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "workspace_id",
                        "digest",
                        "scope",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("workspace_id", models.IntegerField()),
                ("digest", models.BinaryField()),
                ("scope", models.CharField(max_length=12)),
                ("reason", models.CharField(max_length=30)),
                ("cause", models.CharField(max_length=120)),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "consent_suppression",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Purpose",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("bit", models.PositiveSmallIntegerField()),
                ("key", models.SlugField(max_length=60)),
                ("label_fr", models.CharField(max_length=200)),
                ("label_en", models.CharField(max_length=200)),
                ("kind", models.CharField(default="marketing", max_length=16)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="purposes",
                        to="accounts.workspace",
                    ),
                ),
            ],
            options={
                "db_table": "consent_purpose",
            },
        ),
        migrations.CreateModel(
            name="PurposeText",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("version", models.PositiveIntegerField()),
                ("language", models.CharField(max_length=8)),
                ("text", models.TextField()),
                ("sha256", models.BinaryField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "purpose",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="texts",
                        to="consent.purpose",
                    ),
                ),
            ],
            options={
                "db_table": "consent_purpose_text",
            },
        ),
        migrations.CreateModel(
            name="Evidence",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                (
                    "strength",
                    models.CharField(
                        choices=[
                            ("line", "Proof for each person"),
                            ("document", "One document for the file"),
                            ("statement", "Statement of a named member"),
                            ("none", "No proof"),
                        ],
                        max_length=10,
                    ),
                ),
                ("source", models.CharField(max_length=200)),
                ("statement", models.TextField(blank=True)),
                ("member_id", models.BigIntegerField(null=True)),
                ("document_name", models.CharField(blank=True, max_length=200)),
                ("document_sha256", models.BinaryField(null=True)),
                ("document", models.BinaryField(null=True)),
                ("facts", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "workspace",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.workspace"),
                ),
                (
                    "text",
                    models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to="consent.purposetext"),
                ),
            ],
            options={
                "db_table": "consent_evidence",
            },
        ),
        migrations.AddConstraint(
            model_name="purpose",
            constraint=models.UniqueConstraint(fields=("workspace", "key"), name="purpose_key_once"),
        ),
        migrations.AddConstraint(
            model_name="purpose",
            constraint=models.UniqueConstraint(fields=("workspace", "bit"), name="purpose_bit_once"),
        ),
        migrations.AddConstraint(
            model_name="purpose",
            constraint=models.CheckConstraint(condition=models.Q(("bit__lt", 62)), name="purpose_bit_fits_mask"),
        ),
        migrations.AddConstraint(
            model_name="purposetext",
            constraint=models.UniqueConstraint(fields=("purpose", "version", "language"), name="text_version_once"),
        ),
        migrations.RunSQL(sql("consent", "schema")),
    ]
