-- Who is behind these (sending, number) pairs and when it ended for them; a number of NULL names nobody.
SELECT t.n, x.workspace_id, x.created_at, s.no IS NOT NULL AS known, s.contact_id, o.at
  FROM unnest(%(sendings)s::bigint[], %(nos)s::bigint[]) WITH ORDINALITY AS t(sending_id, no, n)
  JOIN outbound_sending AS x ON x.id = t.sending_id
  LEFT JOIN outbound_send AS s ON s.sending_id = t.sending_id AND s.no = t.no
  LEFT JOIN outbound_outcome AS o ON o.sending_id = t.sending_id AND o.no = t.no;
