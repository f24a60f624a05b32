from django.db import migrations

from envol.db import sql


class Migration(migrations.Migration):
    dependencies = [("contacts", "0007_order_code")]

    operations = [migrations.RunSQL(sql("contacts", "gone_of_others"))]
