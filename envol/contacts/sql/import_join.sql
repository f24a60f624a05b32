-- import_join --
-- Put known people on the list. Who left it stays off: an import resubscribes nobody. A stay that an
-- undone import ended is not a leaving.
INSERT INTO contacts_membership (workspace_id, list_id, contact_id, source_id)
SELECT %(workspace)s, %(list)s, m.id, %(source)s
  FROM import_match m
 WHERE NOT EXISTS (
       SELECT FROM contacts_membership s
         LEFT JOIN contacts_source o ON o.id = s.source_id
         LEFT JOIN contacts_import i ON i.id = o.import_id
        WHERE s.list_id = %(list)s AND s.contact_id = m.id
          AND (s.until IS NULL OR i.state IS DISTINCT FROM 'undone'))
    ON CONFLICT DO NOTHING
