from django.db import migrations, models


class Migration(migrations.Migration):
    """A mailing list says whether people may join it by mail."""

    dependencies = [("outbound", "0028_archive")]

    operations = [
        migrations.AddField("mailinglist", "joins", models.BooleanField(db_default=False, default=False)),
    ]
