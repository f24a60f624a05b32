from django.db import migrations, models


class Migration(migrations.Migration):
    """Who gave the data of an import, when it was not the people themselves."""

    dependencies = [("contacts", "0013_export_reason")]

    operations = [
        migrations.AddField("import", "origin", models.JSONField(default=dict, db_default={})),
    ]
