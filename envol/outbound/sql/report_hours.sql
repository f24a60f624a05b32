-- Deliveries by hour (or another step in whole minutes) since each sending began; the tally knows the minute.
SELECT greatest(0, floor(extract(epoch FROM t.minute - s.start) / %(step)s))::int AS hour, sum(t.n)::bigint
  FROM unnest(%(sendings)s::bigint[], %(starts)s::timestamptz[]) AS s(id, start)
  JOIN outbound_tally AS t ON t.sending_id = s.id
 WHERE t.state = 'delivered' AND t.minute > s.start - interval '1 minute'
   AND t.minute < s.start + %(steps)s * %(step)s * interval '1 second'
 GROUP BY 1;
