-- import_update --
-- Change one piece of the known people, with what they were kept for undo and each replaced value in the history.
-- Everything is computed again from the locked row: what changed since the plan was made is not lost.
WITH piece AS MATERIALIZED (
    SELECT c.id, c.language, c.time_zone, c.props, c.sources, c.tags,
           n.language AS n_language, n.time_zone AS n_time_zone,
           n.props AS n_props, n.sources AS n_sources, n.tags AS n_tags
      FROM (SELECT * FROM import_match WHERE changed ORDER BY id) n
     CROSS JOIN LATERAL (SELECT * FROM contacts_contact k WHERE k.id = n.id OFFSET 0 FOR UPDATE) c
), planned AS MATERIALIZED (
    SELECT p.*,
           CASE %(policy)s
               WHEN 'keep' THEN n_props || props
               WHEN 'replace' THEN (props - %(mapped)s::text[]) || n_props
               ELSE props || n_props
           END AS props_after,
           CASE %(policy)s
               WHEN 'keep' THEN n_sources || sources
               -- A value that stays the same keeps the source it had.
               ELSE (sources - CASE WHEN %(policy)s = 'replace'
                                    THEN ARRAY(SELECT k FROM unnest(%(mapped)s::text[]) k WHERE NOT n_props ? k)
                                    ELSE '{}' END)
                    || (n_sources - ARRAY(SELECT e.key FROM jsonb_each(n_props) e WHERE props -> e.key = e.value))
           END AS sources_after,
           CASE WHEN tags @> n_tags THEN tags
                ELSE (SELECT jsonb_agg(t ORDER BY t COLLATE "C")
                        FROM (SELECT jsonb_array_elements_text(tags)
                              UNION SELECT jsonb_array_elements_text(n_tags)) u (t))
           END AS tags_after,
           CASE %(policy)s
               WHEN 'keep' THEN coalesce(language, n_language)
               WHEN 'replace' THEN CASE WHEN %(language)s THEN n_language ELSE language END
               ELSE coalesce(n_language, language)
           END AS language_after,
           CASE %(policy)s
               WHEN 'keep' THEN coalesce(time_zone, n_time_zone)
               WHEN 'replace' THEN CASE WHEN %(time_zone)s THEN n_time_zone ELSE time_zone END
               ELSE coalesce(n_time_zone, time_zone)
           END AS time_zone_after
      FROM piece p
), kept AS (
    INSERT INTO contacts_import_change (import_id, contact_id, created, before)
    SELECT %(import)s, id, false, jsonb_strip_nulls(jsonb_build_object(
               'language', language, 'time_zone', time_zone, 'language_after', language_after,
               'time_zone_after', time_zone_after, 'tags_after', nullif(tags_after, tags)))
           || jsonb_build_object('props', props, 'sources', sources, 'tags', tags)
      FROM planned
        ON CONFLICT DO NOTHING
), past AS (
    INSERT INTO contacts_property_history (workspace_id, contact_id, key, value, source_id)
    SELECT %(workspace)s, p.id, e.key, e.value, (p.sources ->> e.key)::bigint
      FROM planned p CROSS JOIN jsonb_each(p.props) e
     WHERE p.props_after -> e.key IS DISTINCT FROM e.value
)
UPDATE contacts_contact c
   SET props = p.props_after,
       sources = p.sources_after,
       tags = p.tags_after,
       language = p.language_after,
       time_zone = p.time_zone_after
  FROM planned p
 WHERE c.id = p.id
