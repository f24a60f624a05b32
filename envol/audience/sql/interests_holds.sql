-- Who holds a value of a field that says an interest: since when, and where the value came from.
WITH said (topic_id, key, value) AS (
    SELECT * FROM unnest(%(topics)s::bigint[], %(keys)s::text[], %(values)s::text[])
), holds AS (
    SELECT DISTINCT ON (s.topic_id, c.id) s.topic_id, c.id AS contact_id,
           'field ' || coalesce(o.kind, 'member') AS source, least(coalesce(o.at, c.created_at), %(now)s) AS since
      FROM contacts_contact c
      JOIN said s ON c.props -> s.key = to_jsonb(s.value)
           OR (jsonb_typeof(c.props -> s.key) = 'array' AND jsonb_exists(c.props -> s.key, s.value))
      LEFT JOIN contacts_source o ON o.id = (c.sources ->> s.key)::bigint
     WHERE c.workspace_id = %(workspace)s
     ORDER BY s.topic_id, c.id, 4
)
