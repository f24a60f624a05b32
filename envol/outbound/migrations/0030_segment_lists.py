from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    """A mailing list reaches those on a list, or those whom a segment chooses when a post is sent."""

    dependencies = [("outbound", "0029_joins")]

    operations = [
        migrations.AlterField("mailinglist", "list_id", models.BigIntegerField(null=True)),
        migrations.AddField("mailinglist", "segment_id", models.BigIntegerField(null=True)),
        migrations.AddConstraint(
            "mailinglist",
            models.CheckConstraint(
                name="mailing_list_people",
                condition=Q(list_id__isnull=False, segment_id=None)
                | Q(list_id=None, segment_id__isnull=False, discussion=False, joins=False),
            ),
        ),
    ]
