import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    """People whose data came from somebody else, and who was told of it when."""

    dependencies = [("accounts", "0001_initial"), ("consent", "0015_profiling")]

    operations = [
        migrations.CreateModel(
            name="Origin",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=200)),
                ("received_on", models.DateField()),
                ("due_at", models.DateTimeField()),
                ("import_id", models.BigIntegerField(null=True)),
                ("member_id", models.BigIntegerField(null=True)),
                ("warned", models.PositiveSmallIntegerField(db_default=0, default=0)),
                ("made_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="origins", to="accounts.workspace"
                    ),
                ),
            ],
            options={
                "db_table": "consent_origin",
                "constraints": [models.UniqueConstraint(fields=("workspace", "import_id", "name"), name="origin_once")],
            },
        ),
        migrations.CreateModel(
            name="Informing",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("workspace_id", models.IntegerField()),
                ("contact_id", models.BigIntegerField()),
                ("at", models.DateTimeField(null=True)),
                ("sending_id", models.BigIntegerField(null=True)),
                ("notice", models.PositiveIntegerField(null=True)),
                (
                    "origin",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="consent.origin"),
                ),
            ],
            options={
                "db_table": "consent_informing",
                "constraints": [models.UniqueConstraint(fields=("origin", "contact_id"), name="informing_once")],
                "indexes": [
                    models.Index(fields=["workspace_id", "contact_id"], name="informing_of_person"),
                    models.Index(
                        condition=models.Q(("at", None)),
                        fields=["workspace_id", "origin"],
                        name="informing_waits",
                    ),
                ],
            },
        ),
    ]
