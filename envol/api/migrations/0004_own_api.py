import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

_ID = ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))
_WORKSPACE = (
    "workspace",
    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.workspace"),
)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_dpo_and_looks"), ("api", "0003_once")]

    operations = [
        migrations.CreateModel(
            name="KeptAnswer",
            fields=[
                _ID,
                ("digest", models.BinaryField(max_length=32)),
                ("request", models.BinaryField(max_length=32)),
                ("status", models.PositiveSmallIntegerField()),
                ("answer", models.BinaryField()),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                _WORKSPACE,
            ],
            options={
                "db_table": "api_kept_answer",
                "indexes": [models.Index(fields=["at"], name="kept_answer_old")],
                "constraints": [models.UniqueConstraint(fields=["workspace", "digest"], name="kept_answer_once")],
            },
        ),
        migrations.CreateModel(
            name="LoggedCall",
            fields=[
                _ID,
                ("at", models.DateTimeField()),
                ("method", models.CharField(max_length=8)),
                ("path", models.CharField(max_length=120)),
                ("status", models.PositiveSmallIntegerField()),
                ("ms", models.PositiveIntegerField()),
                ("key", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.apikey")),
                _WORKSPACE,
            ],
            options={
                "db_table": "api_logged_call",
                "indexes": [
                    models.Index(fields=["workspace", "-id"], name="logged_call_newest"),
                    models.Index(fields=["at"], name="logged_call_old"),
                ],
            },
        ),
    ]
