from django.db import migrations, models


class Migration(migrations.Migration):
    """Forms that ask whether somebody is old enough to agree alone (GDPR art. 8)."""

    dependencies = [("collect", "0002_visibility")]

    operations = [
        migrations.AddField("signupform", "asks_age", models.BooleanField(default=False, db_default=False)),
        migrations.AddField("signuprequest", "of_age", models.PositiveSmallIntegerField(null=True)),
    ]
