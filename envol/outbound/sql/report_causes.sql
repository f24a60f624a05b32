-- Why messages of these sendings were not delivered: final state, cause, an example of the other side's words.
SELECT state, cause, count(*), min(reply)
  FROM outbound_outcome
 WHERE sending_id = ANY(%(sendings)s) AND state <> 'delivered'
 GROUP BY state, cause
 ORDER BY 3 DESC, 1, 2;
