from django.db import migrations

from envol.db import sql


class Migration(migrations.Migration):
    """Couriers agree on connections, rates and warm-up through the database."""

    dependencies = [("outbound", "0005_mail_comes_home")]

    operations = [migrations.RunSQL(sql("outbound", "shaping"))]
