import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

# What is expected of each buyer; written as a whole by one job.
EXPECTED = """
CREATE TABLE audience_expected (
    workspace_id int NOT NULL,
    contact_id   bigint NOT NULL,
    purchases    numeric(9, 3) NOT NULL,
    alive        smallint NOT NULL CHECK (alive BETWEEN 0 AND 100),
    PRIMARY KEY (workspace_id, contact_id)
)
"""


class Migration(migrations.Migration):
    dependencies = [("audience", "0010_said_by_field"), ("accounts", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Expectation",
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
                ("computed_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("reference", models.DateField()),
                ("buyers", models.IntegerField()),
                ("expected", models.BigIntegerField()),
                ("parameters", models.JSONField()),
            ],
            options={"db_table": "audience_expectation"},
        ),
        migrations.RunSQL(EXPECTED),
    ]
