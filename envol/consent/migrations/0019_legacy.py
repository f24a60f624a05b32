from django.db import migrations, models


class Migration(migrations.Migration):
    """Permissions taken over from a former system are told apart, and may have a term of their own."""

    dependencies = [("consent", "0018_partners")]

    operations = [
        migrations.AddField(
            model_name="purpose", name="legacy_months", field=models.PositiveSmallIntegerField(null=True)
        ),
        migrations.AddField(model_name="purpose", name="legacy_from", field=models.DateField(null=True)),
        migrations.AlterField(
            model_name="evidence",
            name="strength",
            field=models.CharField(
                choices=[
                    ("line", "Proof for each person"),
                    ("document", "One document for the file"),
                    ("statement", "Statement of a named member"),
                    ("legacy", "Taken over from a former system"),
                    ("none", "No proof"),
                ],
                max_length=10,
            ),
        ),
    ]
