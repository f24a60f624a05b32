from django.db import migrations


class Migration(migrations.Migration):
    """Whom of a sending we know no more: few, and asked for beside each figure that opens its people."""

    dependencies = [("outbound", "0021_outbox")]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX outbound_send_erased ON outbound_send (sending_id) WHERE address = 'erased@invalid'",
            "DROP INDEX outbound_send_erased",
        ),
    ]
