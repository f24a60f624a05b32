import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    """Partners by name, by version of the words; who was given to whom."""

    dependencies = [
        ("accounts", "0007_late_refusal"),
        ("consent", "0017_directive"),
    ]

    operations = [
        migrations.AddField(
            model_name="purposetext",
            name="named",
            field=models.TextField(blank=True, db_default="", default=""),
        ),
        migrations.CreateModel(
            name="Partner",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("processor_id", models.BigIntegerField()),
                ("name", models.CharField(max_length=200)),
                ("site", models.CharField(max_length=253)),
                ("country", models.CharField(max_length=2)),
                ("since_version", models.PositiveIntegerField()),
                ("until_version", models.PositiveIntegerField(null=True)),
                ("added_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "purpose",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="partners", to="consent.purpose"
                    ),
                ),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="partners", to="accounts.workspace"
                    ),
                ),
            ],
            options={
                "db_table": "consent_partner",
            },
        ),
        migrations.CreateModel(
            name="Handing",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("workspace_id", models.IntegerField()),
                ("contact_id", models.BigIntegerField(null=True)),
                ("mark", models.CharField(max_length=64)),
                ("at", models.DateTimeField()),
                ("owed", models.CharField(blank=True, default="", max_length=10)),
                ("owed_at", models.DateTimeField(null=True)),
                ("told_at", models.DateTimeField(null=True)),
                ("partner", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="consent.partner")),
            ],
            options={
                "db_table": "consent_handing",
            },
        ),
        migrations.AddConstraint(
            model_name="partner",
            constraint=models.UniqueConstraint(
                condition=models.Q(("until_version", None)),
                fields=("purpose", "processor_id"),
                name="partner_named_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="partner",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("until_version", None), ("until_version__gt", models.F("since_version")), _connector="OR"
                ),
                name="partner_ends_after",
            ),
        ),
        migrations.AddIndex(
            model_name="handing",
            index=models.Index(fields=["workspace_id", "contact_id"], name="handing_of_person"),
        ),
        migrations.AddIndex(
            model_name="handing",
            index=models.Index(
                condition=models.Q(models.Q(("owed", ""), _negated=True), ("told_at", None)),
                fields=["workspace_id", "partner"],
                name="handing_owed",
            ),
        ),
        migrations.AddConstraint(
            model_name="handing",
            constraint=models.UniqueConstraint(fields=("partner", "contact_id"), name="handing_once"),
        ),
    ]
