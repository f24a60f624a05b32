from django.db import migrations


class Migration(migrations.Migration):
    """Who rests on the ground of existing customers, and the evidence of sales: each has an index that holds nothing else,
    so that other permissions and evidence cost nothing more."""

    dependencies = [("consent", "0020_demands")]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX consent_permission_customer ON consent_permission (purpose_id, contact_id) INCLUDE (evidence_id)"
            " WHERE until IS NULL AND basis = 'customer' AND state = 'granted'",
            "DROP INDEX consent_permission_customer",
        ),
        migrations.RunSQL(
            "CREATE INDEX consent_evidence_sale ON consent_evidence (workspace_id)"
            " WHERE jsonb_exists(facts, 'product_family')",
            "DROP INDEX consent_evidence_sale",
        ),
    ]
