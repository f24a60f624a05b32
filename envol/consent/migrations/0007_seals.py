from django.db import migrations, models


class Migration(migrations.Migration):
    """Evidence is committed to with the answers that cite it, and what a suppression was stays known when it ends.

    The trigger keeps the past of the list whoever ends a line: a person, a member, time. Of all that there was, the
    keyed digest alone is kept, as in the list.
    """

    dependencies = [("consent", "0006_organisation")]

    operations = [
        migrations.AddField("evidence", "seal", models.BinaryField(null=True)),
        migrations.RunSQL(
            "CREATE TABLE consent_suppression_past ("
            " workspace_id int NOT NULL, digest bytea NOT NULL CHECK (length(digest) = 32), scope text NOT NULL,"
            " reason text NOT NULL, cause text NOT NULL, at timestamptz NOT NULL,"
            " ended timestamptz NOT NULL DEFAULT now())",
            "DROP TABLE consent_suppression_past",
        ),
        migrations.RunSQL(
            "CREATE INDEX consent_suppression_past_who ON consent_suppression_past (workspace_id, digest)",
            migrations.RunSQL.noop,
        ),
        migrations.RunSQL(
            """
            CREATE FUNCTION consent_suppression_keep_past() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO consent_suppression_past (workspace_id, digest, scope, reason, cause, at)
                VALUES (OLD.workspace_id, OLD.digest, OLD.scope, OLD.reason, OLD.cause, OLD.at);
                RETURN NULL;
            END $$;
            CREATE TRIGGER consent_suppression_past AFTER DELETE ON consent_suppression
                FOR EACH ROW EXECUTE FUNCTION consent_suppression_keep_past();
            """,
            "DROP TRIGGER consent_suppression_past ON consent_suppression;"
            " DROP FUNCTION consent_suppression_keep_past();",
        ),
    ]
