from django.db import migrations, models


class Migration(migrations.Migration):
    """What the campaigns that a program drafts are about, and who sells it."""

    dependencies = [("accounts", "0008_single_messages")]

    operations = [
        migrations.AddField("apikey", name, models.CharField(max_length=200, blank=True, default="", db_default=""))
        for name in ("product_family", "seller")
    ]
