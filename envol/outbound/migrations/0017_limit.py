from django.db import migrations


class Migration(migrations.Migration):
    """Messages an hour and a day that the operator allows a workspace."""

    dependencies = [("outbound", "0016_mailing_lists")]

    operations = [
        migrations.RunSQL(
            "CREATE TABLE outbound_limit (workspace_id int PRIMARY KEY, per_hour int CHECK (per_hour > 0),"
            " per_day int CHECK (per_day > 0))",
            "DROP TABLE outbound_limit",
        )
    ]
