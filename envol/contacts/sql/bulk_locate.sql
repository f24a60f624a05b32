-- bulk_locate --
-- Give the places of one batch their coordinates, each replaced value into the history with its source.
WITH told AS (
    SELECT o.place::jsonb AS old, n.place::jsonb AS new
      FROM unnest(%(before)s::text[]) WITH ORDINALITY AS o (place, no)
      JOIN unnest(%(filled)s::text[]) WITH ORDINALITY AS n (place, no) USING (no)
), batch AS MATERIALIZED (
    SELECT c.id, c.workspace_id, c.props, c.sources, t.new
      FROM contacts_bulk_person p JOIN contacts_contact c ON c.id = p.contact_id
      JOIN told t ON t.old = c.props -> %(key)s
     WHERE p.bulk_id = %(bulk)s AND p.contact_id > %(after)s AND p.contact_id <= %(last)s
     ORDER BY c.id
       FOR UPDATE OF c
), past AS (
    INSERT INTO contacts_property_history (workspace_id, contact_id, key, value, source_id)
    SELECT workspace_id, id, %(key)s, props -> %(key)s, (sources ->> %(key)s)::bigint FROM batch
    RETURNING id, contact_id
), done AS (
    UPDATE contacts_contact c
       SET props = b.props || jsonb_build_object(%(key)s::text, b.new),
           sources = b.sources || jsonb_build_object(%(key)s::text, %(source)s::bigint)
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
