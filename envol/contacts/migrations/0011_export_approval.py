from django.db import migrations, models


class Migration(migrations.Migration):
    """Who let a large file of people be made."""

    dependencies = [("contacts", "0010_unsubscribed")]

    operations = [
        migrations.AddField(
            model_name="export",
            name="approved_by",
            field=models.BigIntegerField(null=True),
        ),
    ]
