from django.db import migrations, models


class Migration(migrations.Migration):
    """Files for a partner that people agreed to by name."""

    dependencies = [("contacts", "0014_import_origin")]

    operations = [
        migrations.AddField(model_name="export", name="partner_id", field=models.BigIntegerField(null=True)),
    ]
