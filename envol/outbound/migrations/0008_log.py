from django.db import migrations

from envol.db import sql


class Migration(migrations.Migration):
    dependencies = [("outbound", "0007_held")]

    operations = [migrations.RunSQL(sql("outbound", "log_index"))]
