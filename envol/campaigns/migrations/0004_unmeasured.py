from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0003_brake")]

    operations = [
        migrations.AddField("campaign", "unmeasured", models.BooleanField(default=False, db_default=False)),
    ]
