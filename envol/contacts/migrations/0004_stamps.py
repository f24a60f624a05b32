from django.db import migrations

from envol.db import sql


class Migration(migrations.Migration):
    dependencies = [("contacts", "0003_search")]

    operations = [migrations.RunSQL(sql("contacts", "stamps"))]
