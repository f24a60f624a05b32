-- bulk_merge --
-- Move the values of one property into another. Where both are known the other's stays, and what it was beside
-- goes into its history with its source: nothing that somebody told us is lost.
WITH batch AS MATERIALIZED (
    SELECT c.id, c.workspace_id, c.props, c.sources
      FROM contacts_bulk_person p JOIN contacts_contact c ON c.id = p.contact_id
     WHERE p.bulk_id = %(bulk)s AND p.contact_id > %(after)s AND p.contact_id <= %(last)s
       AND c.props ? %(from)s
     ORDER BY c.id
       FOR UPDATE OF c
), past AS (
    INSERT INTO contacts_property_history (workspace_id, contact_id, key, value, source_id)
    SELECT workspace_id, id, %(into)s, props -> %(from)s, (sources ->> %(from)s)::bigint
      FROM batch WHERE props ? %(into)s AND props -> %(from)s <> props -> %(into)s
    RETURNING id, contact_id
), done AS (
    UPDATE contacts_contact c
       SET props = jsonb_build_object(%(into)s::text, b.props -> %(from)s) || (b.props - %(from)s::text),
           sources = CASE WHEN b.props ? %(into)s OR NOT b.sources ? %(from)s THEN '{}'
                          ELSE jsonb_build_object(%(into)s::text, b.sources -> %(from)s) END
                     || (b.sources - %(from)s::text)
      FROM batch b WHERE c.id = b.id
    RETURNING c.id
)
UPDATE contacts_bulk_person p
   SET changed = true,
       before = jsonb_strip_nulls(jsonb_build_object(
           'value', b.props -> %(from)s, 'source', b.sources -> %(from)s, 'past', h.id,
           'moved', NOT b.props ? %(into)s))
  FROM done d JOIN batch b ON b.id = d.id LEFT JOIN past h ON h.contact_id = d.id
 WHERE p.bulk_id = %(bulk)s AND p.contact_id = d.id
RETURNING p.contact_id
