-- What became of rows of an endpoint. A mail is kept no longer than until it is told.
UPDATE events_outbox o
   SET state = g.state, status = g.status, ms = g.ms, said = g.said, attempts = o.attempts + g.tried::int,
       due = CASE WHEN g.state = 'waiting' THEN now() + make_interval(secs => g.delay) ELSE o.due END,
       ended_at = CASE WHEN g.state = 'waiting' THEN NULL ELSE now() END,
       raw = CASE WHEN g.state IN ('told', 'dropped') THEN NULL ELSE o.raw END
  FROM unnest(%(ids)s::bigint[], %(states)s::text[], %(statuses)s::smallint[], %(ms)s::int[], %(said)s::text[],
              %(delays)s::float8[], %(tried)s::boolean[]) AS g (id, state, status, ms, said, delay, tried)
 WHERE o.id = g.id AND o.state = 'waiting'
