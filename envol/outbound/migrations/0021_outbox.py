from django.db import migrations

from envol.db import sql


class Migration(migrations.Migration):
    dependencies = [("outbound", "0020_emptied"), ("events", "0005_outbox")]

    operations = [migrations.RunSQL(sql("outbound", "outbox_outcomes"))]
