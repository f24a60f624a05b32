import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("outbound", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="dkimkey",
            name="seen_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.CreateModel(
            name="Look",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("whole", models.BooleanField(default=False)),
                ("seconds", models.FloatField()),
                ("findings", models.JSONField(default=list)),
            ],
            options={
                "db_table": "outbound_look",
                "indexes": [models.Index(fields=["at"], name="look_at")],
            },
        ),
    ]
