from __future__ import annotations

from django.db import migrations

# The code that made an order cheaper, as the shop calls it; "" when there was none.
CODE = "ALTER TABLE contacts_order ADD COLUMN code varchar(60) NOT NULL DEFAULT ''"


class Migration(migrations.Migration):
    dependencies = [("contacts", "0006_silenced")]

    operations = [migrations.RunSQL(CODE)]
