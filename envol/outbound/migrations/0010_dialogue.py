from django.db import migrations

from envol.db import sql


class Migration(migrations.Migration):
    """The full dialogue of each attempt, kept for a set time."""

    dependencies = [("outbound", "0009_domain_reports")]

    operations = [migrations.RunSQL(sql("outbound", "dialogue"))]
