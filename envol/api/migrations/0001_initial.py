import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0004_key_limits"),
        ("consent", "0013_texts"),
    ]

    operations = [
        migrations.CreateModel(
            name="Declaration",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "evidence",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="consent.evidence"),
                ),
                (
                    "key",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="declarations", to="accounts.apikey"
                    ),
                ),
                (
                    "purpose",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="consent.purpose"),
                ),
                (
                    "workspace",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.workspace"),
                ),
            ],
            options={
                "db_table": "api_declaration",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)), fields=("key",), name="declaration_open_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Batch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("body", models.JSONField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("job", models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, to="accounts.job")),
                (
                    "key",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.apikey"),
                ),
                (
                    "workspace",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.workspace"),
                ),
            ],
            options={"db_table": "api_batch"},
        ),
        migrations.CreateModel(
            name="StoredTemplate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=200)),
                ("facts", models.JSONField(default=dict)),
                ("purposes", models.JSONField(default=list)),
                ("html", models.TextField(null=True)),
                ("text", models.TextField(null=True)),
                ("mjml", models.TextField(null=True)),
                ("headers", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("updated_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "workspace",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.workspace"),
                ),
            ],
            options={
                "db_table": "api_template",
                "constraints": [
                    models.UniqueConstraint(fields=("workspace", "name"), name="stored_template_name_once")
                ],
            },
        ),
    ]
