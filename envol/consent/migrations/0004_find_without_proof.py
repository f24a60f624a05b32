from django.db import migrations


class Migration(migrations.Migration):
    """Who may be written to without any proof, and who said no, are lists that must be opened though they are short.

    Each has an index that holds nobody else, so that giving permission with a proof costs nothing more.
    """

    dependencies = [
        ("consent", "0003_silence"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX consent_permission_unproved ON consent_permission (contact_id)"
            " WHERE until IS NULL AND state = 'granted' AND evidence_id IS NULL",
            "DROP INDEX consent_permission_unproved",
        ),
        migrations.RunSQL(
            "CREATE INDEX consent_permission_not_given ON consent_permission (purpose_id, state, contact_id)"
            " WHERE until IS NULL AND state <> 'granted'",
            "DROP INDEX consent_permission_not_given",
        ),
    ]
