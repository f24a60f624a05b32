import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

_NOW = django.db.models.functions.datetime.Now()
_ID = ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))


def _workspace() -> tuple[str, models.Field]:
    return "workspace", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.workspace")


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0006_dpo_and_looks"),
        ("audience", "0013_habits"),
        ("api", "0004_own_api"),
    ]

    operations = [
        migrations.CreateModel(
            name="CsvData",
            fields=[
                _ID,
                ("list_id", models.BigIntegerField(null=True)),
                ("path", models.CharField(max_length=100)),
                ("at", models.DateTimeField(db_default=_NOW)),
                _workspace(),
                ("key", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.apikey")),
            ],
            options={"db_table": "api_csv_data"},
        ),
        migrations.CreateModel(
            name="ContactFilter",
            fields=[
                _ID,
                ("expression", models.TextField()),
                ("description", models.CharField(blank=True, max_length=500)),
                ("tree", models.JSONField()),
                _workspace(),
                (
                    "segment",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="api_filter",
                        to="audience.segment",
                    ),
                ),
            ],
            options={"db_table": "api_contact_filter"},
        ),
    ]
