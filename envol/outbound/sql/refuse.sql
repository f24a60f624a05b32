-- End copies that were entered in this transaction, so nobody has leased them: none of them ever leaves. Their chunks
-- hold nothing else.
WITH copy AS MATERIALIZED (
    SELECT s.sending_id, s.no, s.chunk
      FROM unnest(%(sendings)s::bigint[], %(numbers)s::bigint[]) AS k (sending_id, no)
      JOIN outbound_send s ON s.sending_id = k.sending_id AND s.no = k.no
), closed AS (
    UPDATE outbound_chunk c SET done = true
      FROM (SELECT DISTINCT sending_id, chunk FROM copy) k WHERE c.sending_id = k.sending_id AND c.no = k.chunk
)
INSERT INTO outbound_outcome (sending_id, no, state, attempts, cause, code, enhanced, reply)
SELECT sending_id, no, 'suppressed', 0, %(cause)s, NULL, NULL, '' FROM copy
