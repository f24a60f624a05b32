from django.db import migrations


class Migration(migrations.Migration):
    """On the ground of which answer each message was queued: the number of a line of the ledger (consent_permission),
    which later answers do not change. Without one: single messages, and what was queued before."""

    dependencies = [("outbound", "0026_offer")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE outbound_send ADD COLUMN permission_id bigint",
            "ALTER TABLE outbound_send DROP COLUMN permission_id",
        ),
    ]
