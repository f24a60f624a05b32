from django.db import migrations


class Migration(migrations.Migration):
    """Where an address came from, when nothing else came with it. Who was there before has none."""

    dependencies = [("contacts", "0015_export_partner")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE contacts_contact ADD COLUMN source_id bigint",
            "ALTER TABLE contacts_contact DROP COLUMN source_id",
        ),
    ]
