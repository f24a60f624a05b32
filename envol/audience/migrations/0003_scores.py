import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from envol.db import sql


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_sent_form"),
        ("audience", "0002_take_turn"),
    ]

    operations = [
        migrations.RunSQL(sql("audience", "scores_schema")),
        migrations.CreateModel(
            name="Scoring",
            fields=[
                (
                    "workspace",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        serialize=False,
                        to="accounts.workspace",
                    ),
                ),
                ("computed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("reference", models.DateField()),
                ("currency", models.CharField(max_length=3)),
                ("buyers", models.IntegerField()),
                ("order_days", models.BigIntegerField()),
                ("amount", models.BigIntegerField()),
                ("elsewhere", models.BigIntegerField(default=0)),
                ("objected", models.IntegerField(default=0)),
                ("thresholds", models.JSONField(default=dict)),
                ("reviewed_on", models.DateField(null=True)),
                ("cohorts", models.JSONField(default=list)),
            ],
            options={
                "db_table": "audience_scoring",
            },
        ),
        migrations.CreateModel(
            name="Privilege",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("tier", models.CharField(max_length=10)),
                ("text", models.TextField(blank=True)),
                ("code", models.CharField(blank=True, max_length=60)),
                ("early_days", models.PositiveSmallIntegerField(default=0)),
                ("workspace", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.workspace")),
            ],
            options={
                "db_table": "audience_privilege",
                "constraints": [models.UniqueConstraint(fields=("workspace", "tier"), name="privilege_once")],
            },
        ),
        migrations.CreateModel(
            name="RepurchaseDelay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("category", models.CharField(max_length=100)),
                ("days", models.PositiveSmallIntegerField()),
                ("workspace", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.workspace")),
            ],
            options={
                "db_table": "audience_repurchase_delay",
                "constraints": [
                    models.UniqueConstraint(fields=("workspace", "category"), name="repurchase_delay_once")
                ],
            },
        ),
    ]
