from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("collect", "0001_initial")]

    operations = [migrations.AddField("signupform", "visibility", models.JSONField(default=dict))]
