from django.db import migrations


class Migration(migrations.Migration):
    """One more projection of consent on the row that every sending reads."""

    dependencies = [("contacts", "0005_orders_and_exports")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE contacts_contact ADD COLUMN silenced boolean NOT NULL DEFAULT false",
            "ALTER TABLE contacts_contact DROP COLUMN silenced",
        ),
    ]
