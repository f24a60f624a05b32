-- Of those who got these sendings: who agrees now to being measured, and who of them reacted as a person.
-- Numerator and denominator are of the same people, so a rate never exceeds one.
-- A recipient of a campaign is known by her contact's number (see `envol.outbound.accept.expand_batch`).
WITH reacted AS (
    SELECT sending_id, contact_id, bool_or(kind = 5) AS opened, bool_or(kind = 6) AS clicked
      FROM events_event
     WHERE sending_id = ANY(%(sendings)s) AND kind IN (5, 6) AND machine IS NULL AND contact_id IS NOT NULL
     GROUP BY 1, 2
), reader AS (
    SELECT o.no, bool_or((c.allowed & 1) <> 0 AND (c.refused & 1) = 0) AS opens,
           bool_or((c.allowed & 2) <> 0 AND (c.refused & 2) = 0) AS clicks,
           bool_or(r.opened) AS opened, bool_or(r.clicked) AS clicked
      FROM outbound_outcome AS o
      JOIN contacts_contact AS c ON c.id = o.no
      LEFT JOIN reacted AS r ON r.sending_id = o.sending_id AND r.contact_id = o.no
     WHERE o.sending_id = ANY(%(sendings)s) AND o.state = 'delivered' AND (c.allowed & 3) <> 0
     GROUP BY o.no
)
SELECT count(*) FILTER (WHERE opens), count(*) FILTER (WHERE opens AND opened),
       count(*) FILTER (WHERE clicks), count(*) FILTER (WHERE clicks AND clicked)
  FROM reader;
