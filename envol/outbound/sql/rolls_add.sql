-- Counts of one process since it last wrote; always in one order, so that two processes never wait for each other in a ring.
WITH given AS (
    SELECT * FROM unnest(%(series)s::text[], %(workspaces)s::int[], %(hours)s::timestamptz[], %(subjects)s::text[],
                         %(outcomes)s::text[], %(n)s::bigint[], %(octets)s::bigint[], %(labels)s::text[])
        AS g (series, workspace_id, hour, subject, outcome, n, octets, label)
), rolls AS (
    INSERT INTO outbound_roll AS r (series, workspace_id, hour, subject, outcome, n, octets)
    SELECT series, workspace_id, hour, subject, outcome, n, octets FROM given ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (series, workspace_id, hour, subject, outcome)
        DO UPDATE SET n = r.n + excluded.n, octets = r.octets + excluded.octets
)
INSERT INTO outbound_total AS t (series, label, outcome, n, octets)
SELECT series, label, outcome, sum(n), sum(octets) FROM given GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (series, label, outcome) DO UPDATE SET n = t.n + excluded.n, octets = t.octets + excluded.octets
