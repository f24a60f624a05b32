-- Deliveries of a sending by minute, from the tally; a step is a minute whatever is asked.
SELECT extract(epoch FROM minute)::bigint, sum(n)::bigint
  FROM outbound_tally
 WHERE sending_id = %(sending)s AND state = 'delivered' AND minute >= %(since)s AND %(step)s = 60
 GROUP BY 1;
