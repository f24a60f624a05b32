import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("consent", "0008_breaches")]

    operations = [
        migrations.CreateModel(
            name="Erasure",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("workspace_id", models.IntegerField()),
                ("digest", models.BinaryField()),
                ("at", models.DateTimeField()),
                ("cause", models.CharField(max_length=120)),
                ("actor", models.CharField(max_length=10)),
                ("actor_id", models.BigIntegerField(null=True)),
                ("gone", models.JSONField(default=dict)),
                ("stamp", models.BigIntegerField()),
                ("certified_at", models.DateTimeField(null=True)),
                ("written_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "consent_erasure",
                "indexes": [models.Index(fields=["workspace_id", "-at"], name="erasure_newest")],
            },
        ),
    ]
