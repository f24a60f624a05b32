from django.db import migrations, models


class Migration(migrations.Migration):
    """What a campaign is about: existing customers may be written to about products like those they bought."""

    dependencies = [("campaigns", "0004_unmeasured")]

    operations = [
        migrations.AddField(
            "campaign", "product_family", models.CharField(blank=True, db_default="", default="", max_length=200)
        ),
        migrations.AddField(
            "campaign", "seller", models.CharField(blank=True, db_default="", default="", max_length=200)
        ),
    ]
