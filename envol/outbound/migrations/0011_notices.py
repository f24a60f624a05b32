from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("outbound", "0010_dialogue")]

    operations = [
        migrations.CreateModel(
            name="Notice",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("sending_id", models.BigIntegerField()),
                ("no", models.BigIntegerField()),
                ("action", models.CharField(max_length=10)),
                ("due", models.DateTimeField()),
                ("at", models.DateTimeField(db_default=Now())),
                ("status", models.CharField(max_length=12)),
                ("reply", models.TextField(blank=True)),
                ("host", models.CharField(blank=True, max_length=255)),
                ("taken_at", models.DateTimeField(null=True)),
                ("message_id", models.BigIntegerField(null=True)),
            ],
            options={
                "db_table": "outbound_notice",
                "indexes": [models.Index(fields=["due"], name="notice_due", condition=models.Q(taken_at__isnull=True))],
                "constraints": [
                    models.UniqueConstraint(fields=["sending_id", "no", "action"], name="told_once"),
                ],
            },
        ),
    ]
