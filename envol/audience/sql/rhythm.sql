-- Everybody's own rhythm in one statement, so that readers see the old ones or the new ones. Of whom it is no longer than
-- the least there is no row. Nobody who gets no mail can fall silent by it: then the rhythm is the longest.
WITH taken AS (
    SELECT d.contact_id, count(*) AS n FROM (
/* delivered */
    ) d WHERE d.workspace_id = %(workspace)s AND d.at > now() - interval '365 days' GROUP BY 1
), day AS (
    SELECT DISTINCT o.contact_id, (o.at AT TIME ZONE %(zone)s)::date AS day
      FROM contacts_order o WHERE o.workspace_id = %(workspace)s AND o.amount >= 0
), gap AS (
    SELECT contact_id, day - lag(day) OVER (PARTITION BY contact_id ORDER BY day) AS gap FROM day
), buys AS (
    SELECT contact_id, percentile_disc(0.9) WITHIN GROUP (ORDER BY gap) AS days
      FROM gap WHERE gap IS NOT NULL GROUP BY 1 HAVING count(*) >= %(order_days)s - 1
), own AS (
    SELECT c.id AS contact_id,
           least(%(longest)s, greatest(
               CASE WHEN t.n IS NULL THEN %(longest)s
                    ELSE ceil(%(sends)s * greatest(1, least(365, %(today)s - c.created_at::date))::numeric / t.n)::int END,
               coalesce(b.days, 0))) AS days
      FROM contacts_contact c
      LEFT JOIN taken t ON t.contact_id = c.id
      LEFT JOIN buys b ON b.contact_id = c.id
     WHERE c.workspace_id = %(workspace)s
), longer AS (
    SELECT * FROM own WHERE days > %(least)s
), gone AS (
    DELETE FROM audience_rhythm r WHERE r.workspace_id = %(workspace)s
       AND NOT EXISTS (SELECT FROM longer l WHERE l.contact_id = r.contact_id)
), written AS (
    INSERT INTO audience_rhythm AS r (workspace_id, contact_id, days)
    SELECT %(workspace)s, contact_id, days FROM longer
        ON CONFLICT (workspace_id, contact_id) DO UPDATE SET days = excluded.days WHERE r.days <> excluded.days
)
SELECT count(*) FROM longer
