-- Sendings of a workspace that are not among the known ones, and whether their rows say all they ever will: they ended,
-- and nothing of them is leased or waits for another try. Outcomes are final, so these rows never change again.
SELECT x.id,
       x.state IN ('sent', 'stopped')
       AND NOT EXISTS (SELECT FROM outbound_chunk k WHERE k.sending_id = x.id AND NOT k.done)
       AND NOT EXISTS (SELECT FROM outbound_retry r WHERE r.sending_id = x.id) AS finished
  FROM outbound_sending x
 WHERE x.workspace_id = %(workspace)s AND x.kind NOT IN ('test', 'system')
   AND x.id <> ALL(%(known)s::bigint[])
