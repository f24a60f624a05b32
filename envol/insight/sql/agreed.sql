-- Of those who got these sendings: who agrees now to being measured, and who of them reacted as a person.
-- Numerator and denominator are of the same people, so a rate never exceeds one.
WITH reacted AS (
    SELECT DISTINCT sending_id, contact_id, kind
      FROM events_event
     WHERE sending_id = ANY(%(sendings)s) AND kind IN (5, 6) AND machine IS NULL AND contact_id IS NOT NULL
), reader AS (
    SELECT s.sending_id, s.contact_id, (c.allowed & 1) <> 0 AND (c.refused & 1) = 0 AS opens,
           (c.allowed & 2) <> 0 AND (c.refused & 2) = 0 AS clicks
      FROM outbound_send AS s
      JOIN outbound_outcome AS o ON o.sending_id = s.sending_id AND o.no = s.no AND o.state = 'delivered'
      JOIN contacts_contact AS c ON c.id = s.contact_id
     WHERE s.sending_id = ANY(%(sendings)s)
)
SELECT count(DISTINCT r.contact_id) FILTER (WHERE r.opens), count(DISTINCT o.contact_id) FILTER (WHERE r.opens),
       count(DISTINCT r.contact_id) FILTER (WHERE r.clicks), count(DISTINCT k.contact_id) FILTER (WHERE r.clicks)
  FROM reader AS r
  LEFT JOIN reacted AS o ON o.sending_id = r.sending_id AND o.contact_id = r.contact_id AND o.kind = 5
  LEFT JOIN reacted AS k ON k.sending_id = r.sending_id AND k.contact_id = r.contact_id AND k.kind = 6;
