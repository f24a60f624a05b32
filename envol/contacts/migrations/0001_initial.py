import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from envol.db import sql


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Contact",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("workspace_id", models.IntegerField()),
                ("email", models.CharField(max_length=254)),
                ("email_key", models.CharField(max_length=254)),
                ("language", models.CharField(max_length=8, null=True)),
                ("time_zone", models.CharField(max_length=64, null=True)),
                ("props", models.JSONField(default=dict)),
                ("sources", models.JSONField(default=dict)),
                ("tags", models.JSONField(default=list)),
                ("allowed", models.BigIntegerField(default=0)),
                ("refused", models.BigIntegerField(default=0)),
                ("suppressed", models.BooleanField(default=False)),
                ("objected", models.BooleanField(default=False)),
                ("last_open_day", models.DateField(null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("updated_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "contacts_contact",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="ImportChange",
            fields=[
                ("import_id", models.BigIntegerField()),
                ("contact_id", models.BigIntegerField()),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "import_id",
                        "contact_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("created", models.BooleanField()),
                ("before", models.JSONField(null=True)),
            ],
            options={
                "db_table": "contacts_import_change",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="ImportRefusal",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("import_id", models.BigIntegerField()),
                ("line", models.BigIntegerField()),
                ("cause", models.CharField(max_length=30)),
                ("value", models.TextField()),
                ("row", models.TextField()),
            ],
            options={
                "db_table": "contacts_import_refusal",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("workspace_id", models.IntegerField()),
                ("list_id", models.BigIntegerField()),
                ("contact_id", models.BigIntegerField()),
                ("since", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("until", models.DateTimeField(null=True)),
                ("source_id", models.BigIntegerField(null=True)),
            ],
            options={
                "db_table": "contacts_membership",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("workspace_id", models.IntegerField()),
                ("contact_id", models.BigIntegerField()),
                ("external_id", models.CharField(max_length=100)),
                ("at", models.DateTimeField()),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
            ],
            options={
                "db_table": "contacts_order",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="OrderLine",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("order_id", models.BigIntegerField()),
                ("product", models.CharField(max_length=200)),
                ("category", models.CharField(blank=True, max_length=100)),
                ("quantity", models.IntegerField()),
                ("amount", models.BigIntegerField()),
            ],
            options={
                "db_table": "contacts_order_line",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="PropertyHistory",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("workspace_id", models.IntegerField()),
                ("contact_id", models.BigIntegerField()),
                ("key", models.CharField(max_length=60)),
                ("value", models.JSONField(null=True)),
                ("source_id", models.BigIntegerField(null=True)),
                ("until", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "contacts_property_history",
                "managed": False,
            },
        ),
        migrations.CreateModel(
            name="Note",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("workspace_id", models.IntegerField()),
                ("contact_id", models.BigIntegerField(db_index=True)),
                ("author_id", models.BigIntegerField(null=True)),
                ("text", models.TextField()),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "contacts_note",
            },
        ),
        migrations.CreateModel(
            name="Identifier",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("workspace_id", models.IntegerField()),
                ("contact_id", models.BigIntegerField(db_index=True)),
                ("kind", models.CharField(max_length=40)),
                ("value", models.CharField(max_length=200)),
            ],
            options={
                "db_table": "contacts_identifier",
                "constraints": [
                    models.UniqueConstraint(fields=("workspace_id", "kind", "value"), name="identifier_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Import",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("file_name", models.CharField(max_length=255)),
                ("file_sha256", models.BinaryField(null=True)),
                ("path", models.CharField(max_length=500)),
                ("state", models.CharField(default="uploaded", max_length=10)),
                ("format", models.JSONField(default=dict)),
                ("mapping", models.JSONField(default=dict)),
                ("permission", models.JSONField(default=dict)),
                ("list_id", models.BigIntegerField(null=True)),
                ("policy", models.CharField(default="merge", max_length=8)),
                ("counts", models.JSONField(default=dict)),
                ("source_id", models.BigIntegerField(null=True)),
                ("job_id", models.BigIntegerField(null=True)),
                ("member_id", models.BigIntegerField(null=True)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "workspace",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.workspace"),
                ),
            ],
            options={
                "db_table": "contacts_import",
            },
        ),
        migrations.CreateModel(
            name="Source",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("kind", models.CharField(max_length=12)),
                ("label", models.CharField(max_length=200)),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("declared", models.BooleanField(default=True)),
                ("purpose_id", models.BigIntegerField(null=True)),
                ("actor", models.CharField(blank=True, max_length=60)),
                ("import_id", models.BigIntegerField(null=True)),
                (
                    "workspace",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="accounts.workspace"),
                ),
            ],
            options={
                "db_table": "contacts_source",
            },
        ),
        migrations.CreateModel(
            name="List",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="lists",
                        to="accounts.workspace",
                    ),
                ),
            ],
            options={
                "db_table": "contacts_list",
                "constraints": [models.UniqueConstraint(fields=("workspace", "name"), name="list_name_once")],
            },
        ),
        migrations.CreateModel(
            name="Property",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("key", models.SlugField(max_length=60)),
                ("label_fr", models.CharField(max_length=200)),
                ("label_en", models.CharField(max_length=200)),
                (
                    "type",
                    models.CharField(
                        choices=[
                            ("text", "Text"),
                            ("number", "Number"),
                            ("boolean", "Yes or no"),
                            ("date", "Date"),
                            ("choice", "Choice"),
                            ("list", "Several choices"),
                            ("place", "Place"),
                            ("money", "Money"),
                        ],
                        max_length=10,
                    ),
                ),
                ("choices", models.JSONField(default=list)),
                ("purposes", models.BigIntegerField(default=0)),
                ("personal", models.BooleanField(default=True)),
                ("sensitive", models.BooleanField(default=False)),
                ("inferred", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "workspace",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="properties",
                        to="accounts.workspace",
                    ),
                ),
            ],
            options={
                "db_table": "contacts_property",
                "constraints": [models.UniqueConstraint(fields=("workspace", "key"), name="property_key_once")],
            },
        ),
        migrations.RunSQL(sql("contacts", "schema")),
    ]
