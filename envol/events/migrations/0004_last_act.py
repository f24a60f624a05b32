from django.db import migrations


class Migration(migrations.Migration):
    """When a month of events is dropped, the day somebody was last heard of is still needed: her term runs from it."""

    dependencies = [("events", "0003_custom_events")]

    operations = [
        migrations.RunSQL(
            "CREATE TABLE events_last_act (contact_id bigint PRIMARY KEY, workspace_id int NOT NULL,"
            " at timestamptz NOT NULL)",
            "DROP TABLE events_last_act",
        ),
    ]
