-- Take due chunks: most urgent first, then oldest. SKIP LOCKED: couriers never wait for one another.
-- Only of sendings that are on their way: paused and stopped ones are left alone. Chunks are taken until
-- their rows fill the slots, at least one. A chunk of some size has a lease of its own, so that it ends when its
-- own people are done; small ones share a lease, so that ending them costs one statement.
WITH due AS (
    SELECT c.sending_id, c.no, c.size, c.priority, c.due
      FROM outbound_chunk c JOIN outbound_sending s ON s.id = c.sending_id
     WHERE NOT c.done AND c.lease_id IS NULL AND c.due <= now() AND c.priority <= %(priority)s
       AND s.state = 'sending' AND s.not_before <= now() AND c.site <> ALL (%(full)s)
       AND c.site <> ALL (ARRAY(SELECT site FROM outbound_site WHERE grp = ANY (%(shut)s)))
       AND (c.priority < 5 OR c.site <> ALL (ARRAY(SELECT site FROM outbound_site WHERE grp = ANY (%(spent)s))))
       AND (c.priority < 5 OR s.workspace_id <> ALL (%(over)s))
     ORDER BY c.priority, c.due, c.sending_id, c.no
     LIMIT 64 FOR UPDATE OF c SKIP LOCKED
), taken AS (
    SELECT sending_id, no FROM (
        SELECT sending_id, no, size,
               sum(size) OVER (ORDER BY priority, due, sending_id, no) AS filled
          FROM due
    ) AS d WHERE d.filled - d.size < %(slots)s
)
UPDATE outbound_chunk AS c
   SET lease_id = CASE WHEN c.size >= 50 THEN gen_random_uuid() ELSE %(lease)s END, leased_by = %(courier)s, lease_until = now() + make_interval(secs => %(seconds)s)
  FROM taken WHERE c.sending_id = taken.sending_id AND c.no = taken.no
RETURNING c.sending_id, c.no, c.lo, c.hi, c.attempts, c.priority, c.lease_id
