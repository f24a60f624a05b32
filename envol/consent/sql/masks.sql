-- The present answers of people as masks of purpose bits; who has no answer is absent.
-- Params: workspace; contacts (bigint[], NULL for everybody).
SELECT p.contact_id,
       bit_or(CASE WHEN p.state = 'granted' THEN 1::bigint << u.bit ELSE 0 END) AS allowed,
       bit_or(CASE WHEN p.state IN ('withdrawn', 'refused', 'objected') THEN 1::bigint << u.bit ELSE 0 END) AS refused
  FROM consent_permission p
  JOIN consent_purpose u ON u.id = p.purpose_id AND u.workspace_id = p.workspace_id
 WHERE p.workspace_id = %(workspace)s
   AND p.until IS NULL
   AND (%(contacts)s::bigint[] IS NULL OR p.contact_id = ANY(%(contacts)s))
 GROUP BY p.contact_id
