-- End everybody of a stopped sending who is in nobody's hands, and close the chunks.
WITH free AS (
    SELECT sending_id, no, lo, hi, attempts FROM outbound_chunk
     WHERE sending_id = %(sending)s AND NOT done AND lease_id IS NULL FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM outbound_retry WHERE sending_id = %(sending)s AND lease_id IS NULL
    RETURNING sending_id, no, attempts, code, enhanced, reply
), ended AS (
    INSERT INTO outbound_outcome (sending_id, no, state, attempts, cause, code, enhanced, reply)
    SELECT s.sending_id, s.no, 'cancelled', f.attempts, %(cause)s, NULL, NULL, ''
      FROM free f JOIN outbound_send s
        ON s.sending_id = f.sending_id AND s.no BETWEEN f.lo AND f.hi AND s.chunk = f.no
     WHERE NOT EXISTS (SELECT FROM outbound_retry r WHERE r.sending_id = s.sending_id AND r.no = s.no)
    UNION ALL
    SELECT sending_id, no, 'cancelled', attempts, %(cause)s, code, enhanced, reply FROM gone
    ON CONFLICT DO NOTHING
    RETURNING 1
), closed AS (
    UPDATE outbound_chunk c SET done = true FROM free f WHERE c.sending_id = f.sending_id AND c.no = f.no
    RETURNING 1
)
SELECT (SELECT count(*) FROM ended) + 0 * (SELECT count(*) FROM closed)
