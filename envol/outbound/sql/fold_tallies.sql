-- Fold equal rows of the tally into one, for sendings that have many and still move: what ended before `within` is not read. Rows that others add meanwhile are not touched.
WITH many AS (
    SELECT sending_id FROM outbound_tally
     WHERE sending_id IN (SELECT id FROM outbound_sending
                           WHERE state NOT IN ('sent', 'stopped', 'failed') OR ended_at > now() - %(within)s::interval)
     GROUP BY sending_id
    HAVING count(*) > %(most)s AND count(*) > 2 * count(DISTINCT (site, state, cause, minute))
), gone AS (
    DELETE FROM outbound_tally t USING many m WHERE t.sending_id = m.sending_id
    RETURNING t.sending_id, t.site, t.state, t.cause, t.minute, t.n
)
INSERT INTO outbound_tally (sending_id, site, state, cause, minute, n)
SELECT sending_id, site, state, cause, minute, sum(n) FROM gone GROUP BY 1, 2, 3, 4, 5 HAVING sum(n) <> 0;
