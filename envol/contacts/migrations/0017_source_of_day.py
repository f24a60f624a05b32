from django.db import migrations, models


class Migration(migrations.Migration):
    """Each call of a program that meets somebody new looks for the day's source of its key."""

    dependencies = [("contacts", "0016_contact_source")]

    operations = [
        migrations.AddIndex("source", models.Index(fields=["workspace", "kind", "at"], name="source_of_day")),
    ]
