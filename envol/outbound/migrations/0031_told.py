from django.db import migrations, models


class Migration(migrations.Migration):
    """The author of a message to a mailing list is told why it was refused."""

    dependencies = [("outbound", "0030_segment_lists")]

    operations = [
        migrations.AddField("post", "proven", models.BooleanField(db_default=False, default=False)),
        migrations.AddField("post", "said", models.CharField(blank=True, db_default="", default="", max_length=500)),
    ]
