from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("audience", "0003_scores"),
    ]

    operations = [
        migrations.AddField(
            model_name="scoring",
            name="figures",
            field=models.JSONField(default=dict),
        ),
    ]
