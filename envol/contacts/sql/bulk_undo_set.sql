-- bulk_undo_set --
-- Put back value and source as they were, and the history line goes; only while this act is still the value's
-- source (or, where it took the value away, nobody gave another).
WITH batch AS MATERIALIZED (
    SELECT c.id, c.props, c.sources, p.before
      FROM contacts_bulk_person p JOIN contacts_contact c ON c.id = p.contact_id
     WHERE p.bulk_id = %(bulk)s AND p.changed AND p.contact_id > %(after)s AND p.contact_id <= %(last)s
       AND CASE WHEN %(value)s::jsonb IS NULL THEN NOT c.props ? %(key)s
                ELSE c.sources -> %(key)s = to_jsonb(%(source)s::bigint) END
     ORDER BY c.id FOR UPDATE OF c
), past AS (
    DELETE FROM contacts_property_history h USING batch b
     WHERE h.id = (b.before ->> 'past')::bigint AND h.contact_id = b.id
)
UPDATE contacts_contact c
   SET props = CASE WHEN b.before ? 'value'
                    THEN b.props || jsonb_build_object(%(key)s::text, b.before -> 'value')
                    ELSE b.props - %(key)s::text END,
       sources = CASE WHEN b.before ? 'source'
                      THEN b.sources || jsonb_build_object(%(key)s::text, b.before -> 'source')
                      ELSE b.sources - %(key)s::text END
  FROM batch b WHERE c.id = b.id RETURNING c.id
