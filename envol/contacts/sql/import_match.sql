-- import_match --
-- What each line would change, before anything is written: the known half of the dry run. The masks on the
-- contact say what she answered; a refusal of any kind, or an answer there is already, gives no new line.
CREATE TEMP TABLE import_match ON COMMIT DROP AS
WITH made AS MATERIALIZED (
    SELECT x.contact_id AS first, (x.before ->> 'last')::bigint AS last
      FROM contacts_import_change x
     WHERE %(again)s AND x.import_id = %(import)s AND x.created
)
SELECT n.no, c.id, n.language, n.time_zone, n.props, n.sources, n.tags, n.ids, n.since, n.proof,
       n.grants AND (c.allowed | c.refused) & %(bit)s = 0 AND NOT c.suppressed
           AND NOT (c.objected AND %(marketing)s) AS grants,
       c.refused & %(bit)s <> 0 AS refused,
       c.allowed & %(bit)s <> 0 AND NOT c.suppressed AND NOT ((c.objected OR c.silenced) AND %(marketing)s) AS allowed,
       CASE %(policy)s
           WHEN 'keep' THEN n.props || c.props
           WHEN 'replace' THEN (c.props - %(mapped)s::text[]) || n.props
           ELSE c.props || n.props
       END <> c.props
       OR NOT c.tags @> n.tags
       OR CASE %(policy)s
              WHEN 'keep' THEN c.language IS NULL AND n.language IS NOT NULL
                  OR c.time_zone IS NULL AND n.time_zone IS NOT NULL
              WHEN 'replace' THEN %(language)s AND c.language IS DISTINCT FROM n.language
                  OR %(time_zone)s AND c.time_zone IS DISTINCT FROM n.time_zone
              ELSE n.language <> c.language OR n.time_zone <> c.time_zone
                  OR c.language IS NULL AND n.language IS NOT NULL
                  OR c.time_zone IS NULL AND n.time_zone IS NOT NULL
          END IS TRUE AS changed,
       -- A run that is taken up again meets its own work of before.
       CASE WHEN NOT %(again)s THEN NULL
            WHEN EXISTS (SELECT FROM made WHERE c.id BETWEEN made.first AND made.last) THEN 'new'
            WHEN EXISTS (SELECT FROM contacts_import_change x
                          WHERE x.import_id = %(import)s AND NOT x.created AND x.contact_id = c.id) THEN 'updated'
       END AS was
  FROM import_line n
       -- OFFSET 0: each line fetches its contact by id, whatever the statistics say of tables that are growing.
  CROSS JOIN LATERAL (SELECT * FROM contacts_contact k WHERE k.id = n.id OFFSET 0) c
 WHERE c.workspace_id = %(workspace)s AND c.email_key = n.key
