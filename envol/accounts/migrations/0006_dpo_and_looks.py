import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """The data-protection officer as a viewer who keeps consent; who looked at whom."""

    dependencies = [
        ("accounts", "0005_scram"),
    ]

    operations = [
        migrations.AddField(
            model_name="member",
            name="dpo",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddConstraint(
            model_name="member",
            constraint=models.CheckConstraint(
                condition=models.Q(("dpo", False), ("role", "viewer"), _connector="OR"), name="dpo_does_not_send"
            ),
        ),
        migrations.CreateModel(
            name="Look",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("member_id", models.BigIntegerField()),
                ("contact_id", models.BigIntegerField()),
                ("day", models.DateField()),
                ("times", models.IntegerField()),
                ("last_at", models.DateTimeField()),
                (
                    "workspace",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.workspace"),
                ),
            ],
            options={
                "db_table": "accounts_look",
                "indexes": [models.Index(fields=["workspace", "-last_at"], name="look_newest")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("workspace", "contact_id", "day", "member_id"), name="one_look_a_day"
                    )
                ],
            },
        ),
    ]
