from django.db import migrations

from envol.db import sql


class Migration(migrations.Migration):
    dependencies = [("audience", "0011_expected"), ("contacts", "0008_gone_of_others")]

    operations = [migrations.RunSQL(sql("audience", "interests_stamp"))]
