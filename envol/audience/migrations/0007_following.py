from __future__ import annotations

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from envol.db import sql


class Migration(migrations.Migration):
    dependencies = [("audience", "0006_interests")]

    operations = [
        migrations.RunSQL(sql("audience", "following_schema")),
        migrations.CreateModel(
            name="Follow",
            fields=[
                (
                    "segment",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="follow",
                        serialize=False,
                        to="audience.segment",
                    ),
                ),
                ("since", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("looked_at", models.DateTimeField(null=True)),
                ("rule", models.CharField(blank=True, max_length=64)),
                ("begun_at", models.DateTimeField(null=True)),
                ("problem", models.TextField(blank=True)),
            ],
            options={"db_table": "audience_follow"},
        ),
        migrations.CreateModel(
            name="Size",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("people", models.BigIntegerField()),
                (
                    "segment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="sizes", to="audience.segment"
                    ),
                ),
            ],
            options={
                "db_table": "audience_size",
                "constraints": [models.UniqueConstraint(fields=("segment", "day"), name="size_once_a_day")],
            },
        ),
    ]
