-- Stays that end: of who rises, of who no longer is a buyer and, only at a review, of who spent too little.
WITH stays AS (
    SELECT t.id, array_position(ARRAY['bronze', 'gold', 'premium'], t.tier) AS rank, s.contact_id IS NULL AS gone,
           CASE WHEN s.lately >= %(premium)s THEN 3 WHEN s.lately >= %(gold)s THEN 2
                WHEN s.lately >= %(bronze)s THEN 1 ELSE 0 END AS deserved
      FROM audience_tier t
      LEFT JOIN audience_score s ON s.workspace_id = t.workspace_id AND s.contact_id = t.contact_id
     WHERE t.workspace_id = %(workspace)s AND t.until IS NULL
)
UPDATE audience_tier t SET until = greatest(%(today)s, t.since)
  FROM stays x
 WHERE x.id = t.id AND (x.gone OR x.deserved > x.rank OR (%(review)s AND x.deserved < x.rank))
