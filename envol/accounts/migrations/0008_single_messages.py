from django.db import migrations, models


class Migration(migrations.Migration):
    """Whether single messages are measured where the program that sends them says nothing."""

    dependencies = [
        ("accounts", "0007_late_refusal"),
    ]

    operations = [
        migrations.AddField(
            model_name="workspace",
            name="single_opens",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="workspace",
            name="single_clicks",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
