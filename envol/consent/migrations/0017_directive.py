import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    """What people wish to become of their data when they have died."""

    dependencies = [("consent", "0016_origin")]

    operations = [
        migrations.CreateModel(
            name="Directive",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("workspace_id", models.IntegerField()),
                ("contact_id", models.BigIntegerField()),
                ("wish", models.CharField(max_length=8)),
                ("person", models.CharField(blank=True, max_length=300)),
                ("since", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("until", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "consent_directive",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("until", None)),
                        fields=("workspace_id", "contact_id"),
                        name="directive_open_once",
                    )
                ],
            },
        ),
    ]
