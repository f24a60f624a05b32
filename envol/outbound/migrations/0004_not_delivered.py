from django.db import migrations


class Migration(migrations.Migration):
    """Those few whom a message did not reach are found without reading everybody it reached."""

    dependencies = [("outbound", "0003_tally")]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX outbound_outcome_not_delivered ON outbound_outcome (sending_id, state, cause, no)"
            " WHERE state <> 'delivered'",
            "DROP INDEX outbound_outcome_not_delivered",
        )
    ]
