import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("outbound", "0017_limit"), ("accounts", "0004_key_limits")]

    operations = [
        migrations.CreateModel(
            name="StoredDomain",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=253, unique=True)),
                ("host", models.CharField(max_length=253)),
                ("recipients", models.JSONField(default=list)),
                ("scheduled", models.BooleanField(default=False)),
                ("sending_id", models.BigIntegerField(unique=True)),
                ("asked_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(db_default=Now())),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="stored_domains",
                        to="accounts.workspace",
                    ),
                ),
            ],
            options={"db_table": "outbound_stored"},
        ),
    ]
