from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audience", "0009_quiet")]

    operations = [migrations.AddField("topic", "said_by", models.JSONField(db_default=[], default=list))]
