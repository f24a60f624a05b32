import django.db.models.deletion
from django.db import migrations, models

from envol.db import sql


class Migration(migrations.Migration):
    dependencies = [("audience", "0008_shops_and_hands"), ("accounts", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Rhythm",
            fields=[
                (
                    "workspace",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        serialize=False,
                        to="accounts.workspace",
                    ),
                ),
                ("on", models.BooleanField(default=False)),
                ("sends", models.PositiveSmallIntegerField(default=12)),
            ],
            options={"db_table": "audience_rhythm_setting"},
        ),
        migrations.RunSQL(sql("audience", "quiet_schema")),
    ]
