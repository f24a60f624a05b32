-- How sendings ended, one row each: people accepted, delivered, bounced.
SELECT x.id,
       (SELECT coalesce(sum(t.n), 0)::bigint FROM outbound_tally AS t WHERE t.sending_id = x.id AND t.state = 'accepted'),
       (SELECT coalesce(sum(t.n), 0)::bigint FROM outbound_tally AS t WHERE t.sending_id = x.id AND t.state = 'delivered'),
       (SELECT coalesce(sum(t.n), 0)::bigint FROM outbound_tally AS t WHERE t.sending_id = x.id AND t.state = 'bounced')
  FROM unnest(%(sendings)s::bigint[]) AS x(id);
