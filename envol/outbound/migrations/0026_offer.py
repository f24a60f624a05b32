from django.db import migrations, models


class Migration(migrations.Migration):
    """What a sending is about, frozen with it (`envol.consent.similar`)."""

    dependencies = [("outbound", "0025_digests")]

    operations = [
        migrations.AddField(
            "sending", "product_family", models.CharField(blank=True, db_default="", default="", max_length=200)
        ),
        migrations.AddField(
            "sending", "seller", models.CharField(blank=True, db_default="", default="", max_length=200)
        ),
    ]
