from django.db import migrations


class Migration(migrations.Migration):
    """The planner hears of a new sending when a fiftieth of the table changed, not a tenth: a sending that it does not
    know counts as one row to it, and whatever joins its recipients with their outcomes would read them anew for each."""

    dependencies = [("outbound", "0022_erased")]

    operations = [
        migrations.RunSQL(
            f"ALTER TABLE {table} SET (autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 2000)",
            f"ALTER TABLE {table} RESET (autovacuum_analyze_scale_factor, autovacuum_analyze_threshold)",
        )
        for table in ("outbound_send", "outbound_outcome", "outbound_message")
    ]
