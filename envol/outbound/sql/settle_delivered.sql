-- What settle.sql does, for the batch that is the rule: everybody was delivered, and everybody comes from a chunk.
-- Prepared: settle.sql spends most of its time being planned.
-- Answers (sending_id, no) of what was written; what is missing belongs to somebody else now.
WITH kept AS (
    INSERT INTO outbound_dialogue (pack) SELECT $12::bytea WHERE $12 IS NOT NULL
), held AS (
    SELECT c.sending_id, c.no FROM outbound_chunk c
     WHERE c.lease_id = ANY ($2::uuid[]) FOR SHARE
)
INSERT INTO outbound_outcome (sending_id, no, state, at, attempts, code, enhanced, reply, host, tls)
SELECT g.sending_id, g.no, 'delivered', now(), g.attempts, g.code, g.enhanced, g.reply, g.host, g.tls
  FROM set_config('synchronous_commit', coalesce($1, current_setting('synchronous_commit')), true),
       unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::smallint[],
              $7::smallint[], $8::text[], $9::text[], $10::text[], $11::text[])
           AS g (sending_id, no, chunk, attempts, code, enhanced, reply, host, tls)
 WHERE EXISTS (SELECT FROM held h WHERE h.sending_id = g.sending_id AND h.no = g.chunk)
ON CONFLICT DO NOTHING
RETURNING sending_id, no
