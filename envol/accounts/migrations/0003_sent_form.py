import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_undo"),
    ]

    operations = [
        migrations.CreateModel(
            name="SentForm",
            fields=[
                ("key", models.BinaryField(max_length=32, primary_key=True, serialize=False)),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("done_at", models.DateTimeField(null=True)),
                ("location", models.TextField(blank=True)),
                ("said", models.JSONField(default=list)),
                ("shown", models.BinaryField(null=True)),
            ],
            options={
                "db_table": "accounts_sent_form",
                "indexes": [models.Index(fields=["at"], name="sent_form_old")],
            },
        ),
    ]
