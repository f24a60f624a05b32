-- The queue by site, state and last reply; most people first, a page of it.
-- From what is due (retries, chunks that are not done), never from the ledger of everybody who was ever accepted.
-- Sendings are counted person by person, the smallest first, up to %(exact)s people together; of the others a chunk
-- counts whole until it is done, and chunks that small sites share stand under '*'.
WITH mine AS (
    SELECT id, state FROM outbound_sending WHERE workspace_id = %(workspace)s AND state NOT IN ('sent', 'failed')
), sized AS (
    SELECT c.sending_id, c.no, c.lo, c.hi, c.site, c.size, c.due, c.lease_id IS NOT NULL AS leased,
           m.state = 'held' AS held, sum(c.size) OVER (PARTITION BY c.sending_id) AS people
      FROM outbound_chunk c JOIN mine m ON m.id = c.sending_id
     WHERE NOT c.done AND (%(site)s = '' OR c.site IN (%(site)s, '*'))
), open AS (
    SELECT *, sum(size) OVER (ORDER BY people, sending_id) <= %(exact)s AS few FROM sized
), untried AS (
    SELECT s.site, o.leased, o.held, 1 AS n, o.due
      FROM open o CROSS JOIN LATERAL (  -- by the key, however old the statistics are (see lease.py)
           SELECT * FROM outbound_send s
            WHERE s.sending_id = o.sending_id AND s.no BETWEEN o.lo AND o.hi AND s.chunk = o.no OFFSET 0) AS s
     WHERE o.few
       AND (SELECT true FROM outbound_outcome x WHERE x.sending_id = s.sending_id AND x.no = s.no) IS NULL
       AND (SELECT true FROM outbound_retry r WHERE r.sending_id = s.sending_id AND r.no = s.no) IS NULL
    UNION ALL
    SELECT site, leased, held, size, due FROM open WHERE NOT few
), lines AS (
    SELECT site, CASE WHEN leased THEN 'leased' WHEN held THEN 'held' ELSE 'queued' END AS state, n, due, '' AS reply
      FROM untried
    UNION ALL
    SELECT r.site, CASE WHEN r.lease_id IS NULL THEN 'deferred' ELSE 'leased' END, 1, r.due,
           concat_ws(' ', r.code, r.enhanced, nullif(r.reply, ''))
      FROM outbound_retry r JOIN outbound_sending x ON x.id = r.sending_id AND x.workspace_id = %(workspace)s
)
SELECT site, state, sum(n)::bigint AS count, min(due) AS due, coalesce(reply, '') AS reply
  FROM lines WHERE %(site)s = '' OR site = %(site)s
 GROUP BY 1, 2, 5 ORDER BY 3 DESC, 1, 2, 5 LIMIT %(most)s OFFSET %(skip)s
