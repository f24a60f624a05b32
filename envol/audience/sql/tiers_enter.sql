-- Stays that begin: of whoever reaches a threshold and is in no tier, or was just taken out of a lower one.
INSERT INTO audience_tier (workspace_id, contact_id, tier, since)
SELECT s.workspace_id, s.contact_id,
       CASE WHEN s.lately >= %(premium)s THEN 'premium' WHEN s.lately >= %(gold)s THEN 'gold' ELSE 'bronze' END,
       %(today)s
  FROM audience_score s
 WHERE s.workspace_id = %(workspace)s
   AND (s.lately >= %(premium)s OR s.lately >= %(gold)s OR s.lately >= %(bronze)s)
   AND NOT EXISTS (SELECT FROM audience_tier t
                    WHERE t.workspace_id = s.workspace_id AND t.contact_id = s.contact_id AND t.until IS NULL)
