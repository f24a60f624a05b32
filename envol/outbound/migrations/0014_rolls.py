from django.db import migrations

from envol.db import sql


class Migration(migrations.Migration):
    """Traffic by hour."""

    dependencies = [("outbound", "0013_blocklists")]

    operations = [migrations.RunSQL(sql("outbound", "rolls"))]
