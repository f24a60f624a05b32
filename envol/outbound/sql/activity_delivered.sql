-- Who received what, and when her server took it.
SELECT x.workspace_id, s.contact_id, o.at, s.sending_id
  FROM outbound_outcome o
  JOIN outbound_send s ON s.sending_id = o.sending_id AND s.no = o.no
  JOIN outbound_sending x ON x.id = o.sending_id
 WHERE o.state = 'delivered' AND x.kind NOT IN ('test', 'system') AND s.contact_id IS NOT NULL
