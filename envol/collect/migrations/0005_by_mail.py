from django.db import migrations, models


class Migration(migrations.Migration):
    """Who wants to join a mailing list asks by mail too; the proof says so."""

    dependencies = [("collect", "0004_parent")]

    operations = [migrations.AddField("signuprequest", "mailing_list_id", models.BigIntegerField(null=True))]
