from django.db import migrations, models


class Migration(migrations.Migration):
    """Requests of people who are too young to agree alone wait for a parent too (GDPR art. 8)."""

    dependencies = [("collect", "0003_age")]

    operations = [
        migrations.AddField(
            "signuprequest", "parent", models.CharField(blank=True, db_default="", default="", max_length=254)
        ),
        migrations.AddField("signuprequest", "parent_sha256", models.BinaryField(null=True, unique=True)),
    ]
