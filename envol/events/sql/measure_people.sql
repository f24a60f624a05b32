-- What these people did in these sendings, as it counts: taken before and after a batch, the difference is what
-- the batch adds to the counters. `since` and `until` only let PostgreSQL skip months in which there is nothing.
SELECT e.sending_id, e.kind, coalesce(e.link, 0) AS link, e.machine IS NOT NULL AS machine,
       grouping(e.link) = 1 AS every_link, count(*) AS events, count(DISTINCT e.contact_id) AS people
  FROM unnest(%(sendings)s::bigint[], %(contacts)s::bigint[]) AS p(sending_id, contact_id)
  JOIN events_event AS e ON e.sending_id = p.sending_id AND e.contact_id = p.contact_id
 WHERE e.kind = ANY(%(kinds)s) AND e.at >= %(since)s AND e.at < %(until)s
 GROUP BY GROUPING SETS ((e.sending_id, e.kind, e.machine IS NOT NULL, e.link),
                         (e.sending_id, e.kind, e.machine IS NOT NULL));
