-- import_identifiers --
-- Give identifiers that nobody has yet; answer those that belong to somebody else.
WITH given AS (
    SELECT i.contact_id, e.key AS kind, e.value
      FROM import_ids i CROSS JOIN jsonb_each_text(i.ids) e
), added AS (
    INSERT INTO contacts_identifier (workspace_id, contact_id, kind, value)
    SELECT DISTINCT ON (kind, value) %(workspace)s, contact_id, kind, value FROM given ORDER BY kind, value, contact_id
        ON CONFLICT DO NOTHING
    RETURNING contact_id, kind, value
)
SELECT g.contact_id, g.kind, g.value
  FROM given g
 WHERE NOT EXISTS (SELECT FROM added a WHERE (a.contact_id, a.kind, a.value) = (g.contact_id, g.kind, g.value))
   AND NOT EXISTS (SELECT FROM contacts_identifier x
                    WHERE x.workspace_id = %(workspace)s AND x.kind = g.kind AND x.value = g.value
                      AND x.contact_id = g.contact_id)
