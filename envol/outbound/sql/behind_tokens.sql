-- Who is behind these (sending, number) pairs and when it ended for them; a number of NULL names nobody.
-- Of a campaign that retention emptied (`emptying.py`) the number is that of the contact, while she is one.
SELECT t.n, x.workspace_id, x.created_at, s.no IS NOT NULL OR late.id IS NOT NULL AS known,
       coalesce(s.contact_id, late.id), o.at, s.message_id IS NOT NULL AS single
  FROM unnest(%(sendings)s::bigint[], %(nos)s::bigint[]) WITH ORDINALITY AS t(sending_id, no, n)
  JOIN outbound_sending AS x ON x.id = t.sending_id
  LEFT JOIN outbound_send AS s ON s.sending_id = t.sending_id AND s.no = t.no
  LEFT JOIN outbound_outcome AS o ON o.sending_id = t.sending_id AND o.no = t.no
  LEFT JOIN LATERAL (
      SELECT c.id FROM contacts_contact AS c
       WHERE s.no IS NULL AND x.kind IN ('campaign', 'resend') AND c.id = t.no AND c.workspace_id = x.workspace_id
         AND EXISTS (SELECT FROM outbound_emptied AS e WHERE e.sending_id = x.id)
  ) AS late ON true;
