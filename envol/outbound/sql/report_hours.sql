-- Deliveries by hour since each sending began; the tally knows the minute.
SELECT greatest(0, floor(extract(epoch FROM t.minute - s.start) / 3600))::int AS hour, sum(t.n)::bigint
  FROM unnest(%(sendings)s::bigint[], %(starts)s::timestamptz[]) AS s(id, start)
  JOIN outbound_tally AS t ON t.sending_id = s.id
 WHERE t.state = 'delivered' AND t.minute > s.start - interval '1 minute'
   AND t.minute < s.start + %(hours)s * interval '1 hour'
 GROUP BY 1;
