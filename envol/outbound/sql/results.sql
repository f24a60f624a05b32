-- How sendings ended, one row each: people accepted, delivered, bounced.
SELECT x.id,
       (SELECT count(*) FROM outbound_send AS s WHERE s.sending_id = x.id),
       (SELECT count(*) FROM outbound_outcome AS o WHERE o.sending_id = x.id AND o.state = 'delivered'),
       (SELECT count(*) FROM outbound_outcome AS o WHERE o.sending_id = x.id AND o.state = 'bounced')
  FROM unnest(%(sendings)s::bigint[]) AS x(id);
