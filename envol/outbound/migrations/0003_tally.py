from django.db import migrations

from envol.db import sql


class Migration(migrations.Migration):
    dependencies = [("outbound", "0002_look_and_seen_keys")]

    operations = [migrations.RunSQL(sql("outbound", "tally"))]
