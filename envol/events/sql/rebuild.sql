-- Counters of one sending from its events: the definition that add_counts.sql must agree with.
INSERT INTO events_counter (workspace_id, sending_id, kind, link, machine, events, people, nameless)
SELECT workspace_id, sending_id, kind, coalesce(link, 0), machine IS NOT NULL,
       count(*), count(DISTINCT contact_id), count(*) FILTER (WHERE contact_id IS NULL)
  FROM events_event
 WHERE sending_id = %(sending)s AND kind = ANY(%(kinds)s)
 GROUP BY GROUPING SETS ((workspace_id, sending_id, kind, machine IS NOT NULL, link),
                         (workspace_id, sending_id, kind, machine IS NOT NULL))
HAVING grouping(link) = 1 OR link > 0;
