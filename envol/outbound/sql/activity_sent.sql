-- Who was written to, and when it was decided: one row per message that was neither called off nor held back.
SELECT x.workspace_id, s.contact_id, s.created_at AS at, s.sending_id
  FROM outbound_send s
  JOIN outbound_sending x ON x.id = s.sending_id
  LEFT JOIN outbound_outcome o ON o.sending_id = s.sending_id AND o.no = s.no
 WHERE x.kind NOT IN ('test', 'system') AND s.contact_id IS NOT NULL
   AND COALESCE(o.state, '') NOT IN ('cancelled', 'suppressed')
