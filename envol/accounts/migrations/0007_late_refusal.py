from django.db import migrations, models


class Migration(migrations.Migration):
    """Whether programs hear of an unvalidated sender in the answer or from the message's fate."""

    dependencies = [
        ("accounts", "0006_dpo_and_looks"),
    ]

    operations = [
        migrations.AddField(
            model_name="workspace",
            name="late_refusal",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
