from django.db import migrations

from envol.db import sql


class Migration(migrations.Migration):
    dependencies = [("contacts", "0002_bulk_and_views")]

    operations = [migrations.RunSQL(sql("contacts", "search"))]
