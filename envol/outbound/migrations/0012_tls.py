from django.db import migrations

from envol.db import sql


class Migration(migrations.Migration):
    """Policies of MTA-STS are kept across restarts, TLS sessions counted for reports (RFC 8461, RFC 8460)."""

    dependencies = [("outbound", "0011_notices")]

    operations = [migrations.RunSQL(sql("outbound", "tls"))]
