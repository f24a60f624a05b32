import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    """Demands of third countries' authorities (GDPR art. 48)."""

    dependencies = [
        ("accounts", "0008_single_messages"),
        ("consent", "0019_legacy"),
    ]

    operations = [
        migrations.CreateModel(
            name="Demand",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("authority", models.CharField(max_length=200)),
                ("country", models.CharField(max_length=2)),
                ("reference", models.CharField(blank=True, max_length=200)),
                ("what", models.TextField()),
                ("received_on", models.DateField()),
                ("answer_by", models.DateField(null=True)),
                ("decision", models.CharField(blank=True, db_default="", default="", max_length=8)),
                ("agreement", models.CharField(blank=True, db_default="", default="", max_length=300)),
                ("why", models.TextField(blank=True, db_default="", default="")),
                ("decided_at", models.DateTimeField(null=True)),
                ("decided_by", models.BigIntegerField(null=True)),
                ("answer", models.TextField(blank=True, db_default="", default="")),
                ("answered_on", models.DateField(null=True)),
                ("member_id", models.BigIntegerField(null=True)),
                ("warned", models.PositiveSmallIntegerField(db_default=0, default=0)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="demands", to="accounts.workspace"
                    ),
                ),
            ],
            options={
                "db_table": "consent_demand",
                "indexes": [models.Index(fields=["workspace", "-id"], name="demand_newest")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decision", "given"), _negated=True),
                            models.Q(("agreement", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="demand_given_by_agreement",
                    )
                ],
            },
        ),
    ]
