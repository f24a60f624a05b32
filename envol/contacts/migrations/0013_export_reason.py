from django.db import migrations, models


class Migration(migrations.Migration):
    """What a file of people is for when no purpose asks for it."""

    dependencies = [("contacts", "0012_data_key")]

    operations = [
        migrations.AddField(
            model_name="export",
            name="reason",
            field=models.CharField(blank=True, default="", db_default="", max_length=300),
            preserve_default=False,
        ),
    ]
