from django.db import migrations


class Migration(migrations.Migration):
    """Which messages still have words, by age: what the nightly retention empties, and nothing else, is in it."""

    dependencies = [("outbound", "0018_stored")]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX outbound_message_worded ON outbound_message (workspace_id, created_at)"
            " WHERE text <> '' OR html <> '' OR raw IS NOT NULL",
            "DROP INDEX outbound_message_worded",
        ),
    ]
