from django.db import migrations

from envol.db import sql


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]

    operations = [migrations.RunSQL(sql("events", "stamp"))]
