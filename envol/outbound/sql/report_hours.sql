-- Deliveries by hour since each sending began.
SELECT floor(extract(epoch FROM o.at - s.start) / 3600)::int AS hour, count(*)
  FROM unnest(%(sendings)s::bigint[], %(starts)s::timestamptz[]) AS s(id, start)
  JOIN outbound_outcome AS o ON o.sending_id = s.id
 WHERE o.state = 'delivered' AND o.at >= s.start AND o.at < s.start + %(hours)s * interval '1 hour'
 GROUP BY 1;
