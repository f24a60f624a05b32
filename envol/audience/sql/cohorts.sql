-- Whoever bought for the first time in a month: how many bought again in each later month, and for how much.
WITH days AS (
    SELECT o.contact_id, (o.at AT TIME ZONE %(zone)s)::date AS day, o.amount
      FROM contacts_order o JOIN audience_score s ON s.workspace_id = o.workspace_id AND s.contact_id = o.contact_id
     WHERE o.workspace_id = %(workspace)s AND o.currency = %(currency)s AND o.at < %(end)s
), first AS (
    SELECT contact_id, date_trunc('month', min(day))::date AS month FROM days WHERE amount >= 0 GROUP BY 1
)
SELECT f.month,
       (extract(year FROM d.day) * 12 + extract(month FROM d.day)
        - extract(year FROM f.month) * 12 - extract(month FROM f.month))::int AS later,
       count(DISTINCT d.contact_id) FILTER (WHERE d.amount >= 0) AS people,
       sum(d.amount)::bigint AS amount
  FROM first f JOIN days d USING (contact_id)
 WHERE f.month >= %(from_month)s
 GROUP BY 1, 2 HAVING count(*) FILTER (WHERE d.amount >= 0) > 0
 ORDER BY 1, 2
