from django.db import migrations

from envol import db


class Migration(migrations.Migration):
    """How keys are used by the hour, so that a change that looks like theft is seen."""

    dependencies = [("outbound", "0014_rolls")]

    operations = [migrations.RunSQL(db.sql("outbound", "habits"), "DROP TABLE outbound_habit")]
