-- bulk_undo_merge --
-- The two properties apart again. A value that was moved leaves the other property only while it is still the one
-- that was moved.
WITH batch AS MATERIALIZED (
    SELECT c.id, c.props, c.sources, p.before,
           (p.before -> 'moved')::boolean AND c.props -> %(into)s = p.before -> 'value' AS back
      FROM contacts_bulk_person p JOIN contacts_contact c ON c.id = p.contact_id
     WHERE p.bulk_id = %(bulk)s AND p.changed AND p.contact_id > %(after)s AND p.contact_id <= %(last)s
       AND NOT c.props ? %(from)s
     ORDER BY c.id FOR UPDATE OF c
), past AS (
    DELETE FROM contacts_property_history h USING batch b
     WHERE h.id = (b.before ->> 'past')::bigint AND h.contact_id = b.id
)
UPDATE contacts_contact c
   SET props = (CASE WHEN b.back THEN b.props - %(into)s::text ELSE b.props END)
               || jsonb_build_object(%(from)s::text, b.before -> 'value'),
       sources = (CASE WHEN b.back THEN b.sources - %(into)s::text ELSE b.sources END)
               || CASE WHEN b.before ? 'source' THEN jsonb_build_object(%(from)s::text, b.before -> 'source')
                       ELSE '{}' END
  FROM batch b WHERE c.id = b.id RETURNING c.id
