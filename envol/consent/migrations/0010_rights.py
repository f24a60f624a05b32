import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0009_erasure")]

    operations = [
        migrations.CreateModel(
            name="RightsRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("workspace_id", models.IntegerField()),
                ("kind", models.CharField(max_length=14)),
                ("state", models.CharField(default="unproven", max_length=10)),
                ("channel", models.CharField(max_length=12)),
                ("language", models.CharField(default="fr", max_length=2)),
                ("address", models.CharField(blank=True, max_length=254)),
                ("digest", models.BinaryField()),
                ("contact_id", models.BigIntegerField(null=True)),
                ("words", models.TextField(blank=True)),
                ("secret_sha256", models.BinaryField(unique=True)),
                ("received_at", models.DateTimeField()),
                ("due_at", models.DateTimeField()),
                ("extended_at", models.DateTimeField(null=True)),
                ("proved_at", models.DateTimeField(null=True)),
                ("proved_by", models.CharField(blank=True, max_length=200)),
                ("ended_at", models.DateTimeField(null=True)),
                ("answer", models.TextField(blank=True)),
                ("erasure_id", models.BigIntegerField(null=True)),
                ("warned", models.PositiveSmallIntegerField(default=0)),
            ],
            options={
                "db_table": "consent_request",
                "indexes": [
                    models.Index(fields=["workspace_id", "-received_at"], name="request_newest"),
                    models.Index(fields=["workspace_id", "digest"], name="request_of_person"),
                ],
            },
        ),
        migrations.CreateModel(
            name="RightsStep",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("what", models.CharField(max_length=20)),
                ("actor_id", models.BigIntegerField(null=True)),
                ("said", models.TextField(blank=True)),
                (
                    "request",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="steps", to="consent.rightsrequest"
                    ),
                ),
            ],
            options={"db_table": "consent_request_step"},
        ),
        migrations.CreateModel(
            name="Restriction",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("workspace_id", models.IntegerField()),
                ("contact_id", models.BigIntegerField()),
                ("reason", models.CharField(max_length=300)),
                ("since", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("until", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "consent_restriction",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("until", None)),
                        fields=("workspace_id", "contact_id"),
                        name="restriction_open_once",
                    )
                ],
            },
        ),
    ]
