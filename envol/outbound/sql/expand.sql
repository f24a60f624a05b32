-- Write ledger rows and the chunks that lease them, in one statement. With each goes the number of the answer in force,
-- on the ground of which it leaves.
-- A person who is in this sending already is left alone: whoever repeats a batch after a crash queues nobody twice.
WITH given AS (
    SELECT * FROM unnest(%(no)s::bigint[], %(contact)s::bigint[], %(message)s::bigint[], %(address)s::text[],
                         %(site)s::text[], %(part)s::int[], %(early)s::int[])
        AS g (no, contact_id, message_id, address, site, part, early)
), numbered AS (
    -- Chunks are leased by priority, then by time: who is likely to be glad of it is due some hours earlier, so a new
    -- address meets them first, and nobody waits for ever.
    SELECT part, early, nextval('outbound_chunk_no') AS chunk FROM (SELECT part, min(early) AS early FROM given GROUP BY 1) p
), fresh AS (
    INSERT INTO outbound_send (sending_id, no, contact_id, message_id, address, site, chunk, permission_id)
    SELECT %(sending)s, g.no, g.contact_id, g.message_id, g.address, g.site, n.chunk, p.id
      FROM given g JOIN numbered n USING (part)
      LEFT JOIN consent_permission p ON p.contact_id = g.contact_id AND p.purpose_id = %(purpose)s
                                    AND p.until IS NULL AND p.state = 'granted'
    ON CONFLICT (sending_id, no) DO NOTHING
    RETURNING no, site, chunk
), made AS (
    INSERT INTO outbound_chunk (sending_id, no, lo, hi, site, size, priority, due)
    SELECT %(sending)s, chunk, min(no), max(no), CASE WHEN min(site) = max(site) THEN min(site) ELSE '*' END,
           count(*), %(priority)s, coalesce(%(due)s::timestamptz, now()) - make_interval(hours => min(n.early))
      FROM fresh JOIN numbered n USING (chunk) GROUP BY chunk
    RETURNING size
)
SELECT coalesce(sum(size), 0)::int FROM made
