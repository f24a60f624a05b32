-- The categories people buy of, and after how many days the same person bought of the same one again (the median).
WITH days AS (
    SELECT DISTINCT lower(l.category) AS category, o.contact_id, o.at::date AS day
      FROM contacts_order o JOIN contacts_order_line l ON l.order_id = o.id
     WHERE o.workspace_id = %(workspace)s AND o.amount >= 0 AND l.quantity > 0 AND l.category <> ''
), gaps AS (
    SELECT category, contact_id, day - lag(day) OVER (PARTITION BY category, contact_id ORDER BY day) AS gap FROM days
)
SELECT category, count(DISTINCT contact_id) AS buyers,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY gap) AS gap,
       count(DISTINCT contact_id) FILTER (WHERE gap IS NOT NULL) AS people
  FROM gaps GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(limit)s
