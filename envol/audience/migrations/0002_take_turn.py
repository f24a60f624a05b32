from django.db import migrations

from envol.db import sql


class Migration(migrations.Migration):
    dependencies = [
        ("audience", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(sql("audience", "take_turn"), "DROP FUNCTION audience_take_turn(integer, integer)"),
    ]
