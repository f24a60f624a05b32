from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_key_limits")]

    operations = [
        migrations.AddField("apikey", "scram", models.CharField(db_default="", default="", max_length=200)),
    ]
