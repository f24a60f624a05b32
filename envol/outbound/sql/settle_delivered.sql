-- What settle.sql does, for the batch that is the rule: everybody was delivered, and everybody comes from a chunk.
-- A short statement, because it is planned anew for each batch: settle.sql spends most of its time there.
-- Answers (sending_id, no) of what was written; what is missing belongs to somebody else now.
WITH held AS (
    SELECT c.sending_id, c.no FROM outbound_chunk c
     WHERE c.lease_id = ANY (%(leases)s::uuid[]) FOR SHARE
)
INSERT INTO outbound_outcome (sending_id, no, state, at, attempts, code, enhanced, reply, host, tls)
SELECT g.sending_id, g.no, 'delivered', now(), g.attempts, g.code, g.enhanced, g.reply, g.host, g.tls
  FROM set_config('synchronous_commit', coalesce(%(commit)s, current_setting('synchronous_commit')), true),
       unnest(%(sendings)s::bigint[], %(nos)s::bigint[], %(chunks)s::bigint[], %(attempts)s::smallint[],
              %(codes)s::smallint[], %(enhanced)s::text[], %(replies)s::text[], %(hosts)s::text[], %(tls)s::text[])
           AS g (sending_id, no, chunk, attempts, code, enhanced, reply, host, tls)
 WHERE EXISTS (SELECT FROM held h WHERE h.sending_id = g.sending_id AND h.no = g.chunk)
ON CONFLICT DO NOTHING
RETURNING sending_id, no
