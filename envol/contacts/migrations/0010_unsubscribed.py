from django.db import migrations


class Migration(migrations.Migration):
    """Why a stay on a list ended: because its person, or a program for her, said "not from this list"."""

    dependencies = [("contacts", "0009_blocked")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE contacts_membership ADD COLUMN unsubscribed boolean NOT NULL DEFAULT false;"
            "CREATE INDEX contacts_membership_unsubscribed ON contacts_membership (list_id, contact_id)"
            " WHERE unsubscribed",
            "ALTER TABLE contacts_membership DROP COLUMN unsubscribed",
        ),
    ]
