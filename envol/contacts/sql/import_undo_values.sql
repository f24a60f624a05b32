-- import_undo_values --
-- Give people back what an import replaced, unless somebody changed it since: a value goes back only while the
-- import is still its source. People whom the import created and who stay lose only its values.
WITH touched AS (
    SELECT x.contact_id, coalesce(x.before, '{}') AS before
      FROM contacts_import_change x WHERE x.import_id = %(import)s AND NOT x.created
    UNION ALL
    SELECT c.id, '{}'::jsonb
      FROM contacts_import_change x
      JOIN contacts_contact c ON c.workspace_id = %(workspace)s
                             AND c.id BETWEEN x.contact_id AND (x.before ->> 'last')::bigint
     WHERE x.import_id = %(import)s AND x.created
       AND NOT EXISTS (SELECT FROM import_gone g WHERE g.id = c.id)
), planned AS MATERIALIZED (
    SELECT c.id, c.props, c.sources, t.before,
           -- the keys this import still answers for, and those its empty cells emptied
           ARRAY(SELECT e.key FROM jsonb_each(c.sources) e WHERE e.value = to_jsonb(%(source)s::bigint)
                  UNION
                 SELECT k FROM unnest(%(emptied)s::text[]) k
                  WHERE NOT c.props ? k AND coalesce(t.before -> 'props', '{}') ? k) AS keys
      FROM touched t JOIN contacts_contact c ON c.id = t.contact_id
       FOR UPDATE OF c
), past AS (
    INSERT INTO contacts_property_history (workspace_id, contact_id, key, value, source_id)
    SELECT %(workspace)s, p.id, k, p.props -> k, %(source)s
      FROM planned p CROSS JOIN unnest(p.keys) k WHERE p.props ? k
)
UPDATE contacts_contact c
   SET props = (c.props - p.keys) || coalesce(
           (SELECT jsonb_object_agg(k, p.before -> 'props' -> k) FROM unnest(p.keys) k
             WHERE p.before -> 'props' ? k), '{}'),
       sources = (c.sources - p.keys) || coalesce(
           (SELECT jsonb_object_agg(k, p.before -> 'sources' -> k) FROM unnest(p.keys) k
             WHERE p.before -> 'sources' ? k), '{}'),
       tags = CASE WHEN p.before ? 'tags_after'
                   THEN c.tags - ARRAY(SELECT jsonb_array_elements_text(p.before -> 'tags_after')
                                       EXCEPT SELECT jsonb_array_elements_text(p.before -> 'tags'))
                   ELSE c.tags END,
       language = CASE WHEN p.before ? 'props' AND c.language IS NOT DISTINCT FROM p.before ->> 'language_after'
                       THEN p.before ->> 'language' ELSE c.language END,
       time_zone = CASE WHEN p.before ? 'props' AND c.time_zone IS NOT DISTINCT FROM p.before ->> 'time_zone_after'
                        THEN p.before ->> 'time_zone' ELSE c.time_zone END
  FROM planned p
 WHERE c.id = p.id
