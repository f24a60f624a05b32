-- What people (no machines) did, by hour (or another step in seconds) since each sending began: events, and the people behind them.
SELECT floor(extract(epoch FROM e.at - s.start) / %(step)s)::int AS hour, e.kind, count(*), count(DISTINCT e.contact_id)
  FROM unnest(%(sendings)s::bigint[], %(starts)s::timestamptz[]) AS s(id, start)
  JOIN events_event AS e ON e.sending_id = s.id
 WHERE e.machine IS NULL AND e.kind = ANY(%(kinds)s)
   AND e.at >= s.start AND e.at < s.start + %(steps)s * %(step)s * interval '1 second'
 GROUP BY 1, 2;
