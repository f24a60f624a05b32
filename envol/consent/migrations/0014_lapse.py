from django.db import migrations, models

_STATES = "'granted', 'withdrawn', 'refused', 'objected', 'requested'"


class Migration(migrations.Migration):
    """A permission may have a term. The check is made again without looking at every row: it only allows more."""

    dependencies = [("consent", "0013_texts")]

    operations = [
        migrations.AddField("purpose", "months", models.PositiveSmallIntegerField(null=True)),
        migrations.AddField("purpose", "lapses_from", models.DateField(null=True)),
        migrations.RunSQL(
            "ALTER TABLE consent_permission DROP CONSTRAINT consent_permission_state_check;"
            " ALTER TABLE consent_permission ADD CONSTRAINT consent_permission_state_check"
            f" CHECK (state IN ({_STATES}, 'lapsed')) NOT VALID;",
            "ALTER TABLE consent_permission DROP CONSTRAINT consent_permission_state_check;"
            " ALTER TABLE consent_permission ADD CONSTRAINT consent_permission_state_check"
            f" CHECK (state IN ({_STATES})) NOT VALID;",
        ),
    ]
