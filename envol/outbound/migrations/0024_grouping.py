import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    """Words under which programs count their single messages together, and the messages of each."""

    dependencies = [
        ("accounts", "0008_single_messages"),
        ("outbound", "0023_statistics"),
    ]

    operations = [
        migrations.CreateModel(
            name="Grouping",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=255)),
                ("from_address", models.CharField(max_length=254)),
                ("from_name", models.TextField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "workspace",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.workspace"),
                ),
            ],
            options={
                "db_table": "outbound_grouping",
                "constraints": [models.UniqueConstraint(fields=["workspace", "name"], name="grouping_name_once")],
            },
        ),
        migrations.RunSQL(
            "CREATE INDEX outbound_message_campaign ON outbound_message (workspace_id, (header->>'campaign'))"
            " WHERE header ? 'campaign'",
            "DROP INDEX outbound_message_campaign",
        ),
    ]
