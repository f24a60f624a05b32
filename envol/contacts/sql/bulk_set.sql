-- bulk_set --
-- Give one batch a value (NULL: take it away), each replaced value into the history with its source.
WITH batch AS MATERIALIZED (
    SELECT c.id, c.workspace_id, c.props, c.sources
      FROM contacts_bulk_person p JOIN contacts_contact c ON c.id = p.contact_id
     WHERE p.bulk_id = %(bulk)s AND p.contact_id > %(after)s AND p.contact_id <= %(last)s
       AND c.props -> %(key)s IS DISTINCT FROM %(value)s::jsonb
     ORDER BY c.id
       FOR UPDATE OF c
), past AS (
    INSERT INTO contacts_property_history (workspace_id, contact_id, key, value, source_id)
    SELECT workspace_id, id, %(key)s, props -> %(key)s, (sources ->> %(key)s)::bigint
      FROM batch WHERE props ? %(key)s
    RETURNING id, contact_id
), done AS (
    UPDATE contacts_contact c
       SET props = CASE WHEN %(value)s::jsonb IS NULL THEN b.props - %(key)s::text
                        ELSE b.props || jsonb_build_object(%(key)s::text, %(value)s::jsonb) END,
           sources = CASE WHEN %(value)s::jsonb IS NULL THEN b.sources - %(key)s::text
                          ELSE b.sources || jsonb_build_object(%(key)s::text, %(source)s::bigint) END
      FROM batch b WHERE c.id = b.id
    RETURNING c.id
)
UPDATE contacts_bulk_person p
   SET changed = true,
       before = jsonb_strip_nulls(jsonb_build_object(
           'value', b.props -> %(key)s, 'source', b.sources -> %(key)s, 'past', h.id))
  FROM done d JOIN batch b ON b.id = d.id LEFT JOIN past h ON h.contact_id = d.id
 WHERE p.bulk_id = %(bulk)s AND p.contact_id = d.id
RETURNING p.contact_id
