-- Hits, each act of a person once: mail clients and impatient fingers ask two or three times within two seconds.
-- `from` and `to` are constants around the batch, so that only their months are planned for and looked at.
-- A machine's request never hides a person's. Of hits that name nobody, every one counts.
WITH hit AS (
    SELECT h.*, lag(at) OVER (PARTITION BY kind, sending_id, contact_id, no, link, machine IS NULL ORDER BY at, n) AS before
      FROM unnest(%(at)s::timestamptz[], %(workspaces)s::int[], %(kinds)s::smallint[], %(contacts)s::bigint[],
                  %(sendings)s::bigint[], %(links)s::smallint[], %(machines)s::text[], %(nos)s::bigint[])
           WITH ORDINALITY AS h(at, workspace_id, kind, contact_id, sending_id, link, machine, no, n)
)
INSERT INTO events_event (at, workspace_id, kind, contact_id, sending_id, link, machine, facts)
SELECT at, workspace_id, kind, contact_id, sending_id, link, machine,
       CASE WHEN no IS NOT NULL THEN jsonb_build_object('no', no) END
  FROM hit
 WHERE contact_id IS NULL
    OR (before IS NULL OR before <= at - %(repeat)s::interval)
   AND NOT EXISTS (
       SELECT FROM events_event AS e
        WHERE e.contact_id = hit.contact_id AND e.sending_id = hit.sending_id AND e.kind = hit.kind
          AND (e.facts ->> 'no')::bigint IS NOT DISTINCT FROM hit.no
          AND e.link IS NOT DISTINCT FROM hit.link AND (e.machine IS NULL) = (hit.machine IS NULL)
          AND e.at > hit.at - %(repeat)s::interval AND e.at < hit.at + %(repeat)s::interval
          AND e.at > %(from)s AND e.at < %(to)s)
RETURNING contact_id, workspace_id, sending_id, kind, coalesce(link, 0), machine IS NOT NULL;
