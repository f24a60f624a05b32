from django.db import migrations


class Migration(migrations.Migration):
    """A proof is opened by the id of its row. Ids grow as rows come, so a few octets per range find one (BRIN)."""

    dependencies = [
        ("consent", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX consent_permission_id ON consent_permission USING brin (id)"
            " WITH (pages_per_range = 16, autosummarize = on)",
            "DROP INDEX consent_permission_id",
        ),
    ]
