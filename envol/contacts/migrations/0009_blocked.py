from django.db import migrations


class Migration(migrations.Migration):
    """Those who get nothing more are few: the list that names them need not read everybody."""

    dependencies = [("contacts", "0008_gone_of_others")]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX contacts_contact_blocked ON contacts_contact (workspace_id, id) WHERE suppressed OR objected",
            "DROP INDEX contacts_contact_blocked",
        )
    ]
