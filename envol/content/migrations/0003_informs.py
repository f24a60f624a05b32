from django.db import migrations, models


class Migration(migrations.Migration):
    """Which origins of data a version names, so that its readers are told where theirs came from."""

    dependencies = [("content", "0002_pictures_and_designs")]

    operations = [
        migrations.AddField("version", "informs", models.JSONField(default=list, db_default=[])),
    ]
