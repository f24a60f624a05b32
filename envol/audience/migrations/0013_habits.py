from django.db import migrations

from envol.db import sql


class Migration(migrations.Migration):
    dependencies = [("audience", "0012_interests_stamp")]

    operations = [migrations.RunSQL(sql("audience", "habits_schema"))]
