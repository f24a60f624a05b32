import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from envol.db import sql

NOW = django.db.models.functions.datetime.Now()


def _id() -> tuple[str, models.BigAutoField]:
    return "id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    dependencies = [("audience", "0005_segment_versions"), ("accounts", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Topic",
            fields=[
                _id(),
                ("key", models.CharField(max_length=60)),
                ("label_fr", models.CharField(max_length=80)),
                ("label_en", models.CharField(max_length=80)),
                ("categories", models.JSONField(default=list)),
                ("addresses", models.JSONField(default=list)),
                ("created_at", models.DateTimeField(db_default=NOW)),
                ("removed_at", models.DateTimeField(null=True)),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="topics", to="accounts.workspace"
                    ),
                ),
            ],
            options={
                "db_table": "audience_topic",
                "constraints": [models.UniqueConstraint(fields=("workspace", "key"), name="topic_key_once")],
            },
        ),
        migrations.CreateModel(
            name="TopicArticle",
            fields=[
                _id(),
                ("article", models.CharField(max_length=500)),
                (
                    "topic",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="articles", to="audience.topic"
                    ),
                ),
            ],
            options={
                "db_table": "audience_topic_article",
                "constraints": [models.UniqueConstraint(fields=("topic", "article"), name="topic_article_once")],
            },
        ),
        migrations.CreateModel(
            name="Inference",
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
                ("computed_at", models.DateTimeField(db_default=NOW)),
                ("reference", models.DateField()),
                ("people", models.IntegerField()),
                ("gained", models.IntegerField()),
                ("lost", models.IntegerField()),
                ("minors", models.IntegerField(default=0)),
            ],
            options={"db_table": "audience_inference"},
        ),
        migrations.RunSQL(sql("audience", "interests_schema")),
    ]
