from django.db import migrations


class Migration(migrations.Migration):
    """A suppression that a member writes by hand may end by itself; the list is read newest first."""

    dependencies = [("consent", "0004_find_without_proof")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE consent_suppression ADD COLUMN until timestamptz",
            "ALTER TABLE consent_suppression DROP COLUMN until",
        ),
        migrations.RunSQL(
            "CREATE INDEX consent_suppression_newest ON consent_suppression (workspace_id, at DESC, digest DESC)",
            "DROP INDEX consent_suppression_newest",
        ),
        migrations.RunSQL(
            "CREATE INDEX consent_suppression_ends ON consent_suppression (until) WHERE until IS NOT NULL",
            "DROP INDEX consent_suppression_ends",
        ),
    ]
