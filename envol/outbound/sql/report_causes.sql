-- Why messages of these sendings were not delivered: final state, cause, an example of the other side's words.
SELECT t.state, t.cause, sum(t.n)::bigint AS people, coalesce((
           SELECT o.reply FROM outbound_outcome o
            WHERE o.sending_id = ANY(%(sendings)s) AND o.state = t.state AND o.cause = t.cause AND o.state <> 'delivered'
            ORDER BY o.sending_id, o.no LIMIT 1), '')
  FROM outbound_tally t
 WHERE t.sending_id = ANY(%(sendings)s) AND t.state NOT IN ('accepted', 'delivered')
 GROUP BY t.state, t.cause HAVING sum(t.n) > 0
 ORDER BY 3 DESC, 1, 2;
