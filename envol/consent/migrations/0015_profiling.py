from django.db import migrations, models


class Migration(migrations.Migration):
    """Restrictions with a scope: an objection to profiling alone stands beside one of everything."""

    dependencies = [("consent", "0014_lapse")]

    operations = [
        migrations.AddField("restriction", "scope", models.CharField(default="all", db_default="all", max_length=10)),
        migrations.RemoveConstraint("restriction", "restriction_open_once"),
        migrations.AddConstraint(
            "restriction",
            models.UniqueConstraint(
                condition=models.Q(("until", None)),
                fields=("workspace_id", "contact_id", "scope"),
                name="restriction_scope_once",
            ),
        ),
    ]
