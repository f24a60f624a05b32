from django.db import migrations

from envol.db import sql


class Migration(migrations.Migration):
    dependencies = [("outbound", "0001_initial")]

    operations = [migrations.RunSQL(sql("outbound", "tally"))]
