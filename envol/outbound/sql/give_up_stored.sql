-- End what has waited too long for the server of a listed domain, and is in nobody's hands.
WITH old AS (
    SELECT c.sending_id, c.no, c.lo, c.hi, c.attempts FROM outbound_chunk c
      JOIN outbound_sending x ON x.id = c.sending_id
     WHERE x.kind = 'stored' AND NOT c.done AND c.lease_id IS NULL AND c.due < now() - %(kept)s
       FOR UPDATE OF c SKIP LOCKED
), gone AS (
    DELETE FROM outbound_retry r USING outbound_sending x
     WHERE x.id = r.sending_id AND x.kind = 'stored' AND r.lease_id IS NULL AND r.first_at < now() - %(kept)s
    RETURNING r.sending_id, r.no, r.attempts, r.code, r.enhanced, r.reply
), ended AS (
    INSERT INTO outbound_outcome (sending_id, no, state, attempts, cause, code, enhanced, reply)
    SELECT s.sending_id, s.no, 'expired', o.attempts, 'not_fetched', NULL, NULL, ''
      FROM old o JOIN outbound_send s
        ON s.sending_id = o.sending_id AND s.no BETWEEN o.lo AND o.hi AND s.chunk = o.no
     WHERE NOT EXISTS (SELECT FROM outbound_retry r WHERE r.sending_id = s.sending_id AND r.no = s.no)
    UNION ALL
    SELECT sending_id, no, 'expired', attempts, 'not_fetched', code, enhanced, reply FROM gone
    ON CONFLICT DO NOTHING
)
UPDATE outbound_chunk c SET done = true FROM old o WHERE c.sending_id = o.sending_id AND c.no = o.no
