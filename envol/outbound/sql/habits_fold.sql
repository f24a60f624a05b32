-- Fold what processes added by the batch; the hour that still runs is left alone.
WITH many AS (
    SELECT key_id, hour, what, name FROM outbound_habit WHERE hour < date_trunc('hour', now())
     GROUP BY 1, 2, 3, 4 HAVING count(*) > 1 LIMIT 1000
), gone AS (
    DELETE FROM outbound_habit h USING many m
     WHERE (h.key_id, h.hour, h.what, h.name) = (m.key_id, m.hour, m.what, m.name)
    RETURNING h.*
)
INSERT INTO outbound_habit (key_id, hour, what, name, n)
SELECT key_id, hour, what, name, sum(n) FROM gone GROUP BY 1, 2, 3, 4
