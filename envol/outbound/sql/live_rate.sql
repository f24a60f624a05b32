-- Deliveries of a sending by step of some seconds since 1970.
SELECT (floor(extract(epoch FROM at) / %(step)s) * %(step)s)::bigint, count(*)
  FROM outbound_outcome
 WHERE sending_id = %(sending)s AND state = 'delivered' AND at >= %(since)s
 GROUP BY 1;
