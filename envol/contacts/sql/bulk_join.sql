-- bulk_join --
-- Open a stay on a list for those of one batch who have none; being on a list permits nothing.
WITH done AS (
    INSERT INTO contacts_membership (workspace_id, list_id, contact_id, source_id)
    SELECT c.workspace_id, %(list)s, c.id, %(source)s
      FROM contacts_bulk_person p JOIN contacts_contact c ON c.id = p.contact_id
     WHERE p.bulk_id = %(bulk)s AND p.contact_id > %(after)s AND p.contact_id <= %(last)s
     ORDER BY c.id
        ON CONFLICT (list_id, contact_id) WHERE until IS NULL DO NOTHING
    RETURNING id, contact_id
)
UPDATE contacts_bulk_person p SET changed = true, before = jsonb_build_object('stay', d.id)
  FROM done d WHERE p.bulk_id = %(bulk)s AND p.contact_id = d.contact_id
RETURNING p.contact_id
