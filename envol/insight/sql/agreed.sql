-- Of those who got these sendings: who agrees now to being measured, and who of them reacted as a person.
-- Numerator and denominator are of the same people, so a rate never exceeds one.
-- A recipient of a campaign is known by her contact's number (see `envol.outbound.accept.expand_batch`). Those who
-- agreed are looked for among the outcomes, once: nothing of a million rows is put in order.
WITH reacted AS (
    SELECT contact_id, bool_or(kind = 5) AS opened, bool_or(kind = 6) AS clicked
      FROM events_event AS e
     WHERE sending_id = ANY(%(sendings)s) AND kind IN (5, 6) AND machine IS NULL AND contact_id IS NOT NULL
     GROUP BY 1
), reader AS (
    SELECT c.id, (c.allowed & 1) <> 0 AND (c.refused & 1) = 0 AS opens,
           (c.allowed & 2) <> 0 AND (c.refused & 2) = 0 AS clicks
      FROM contacts_contact AS c
     WHERE (c.allowed & 3) <> 0
       AND c.id IN (SELECT o.no FROM outbound_outcome AS o
                     WHERE o.sending_id = ANY(%(sendings)s) AND o.state = 'delivered')
)
SELECT count(*) FILTER (WHERE opens), count(*) FILTER (WHERE opens AND r.opened),
       count(*) FILTER (WHERE clicks), count(*) FILTER (WHERE clicks AND r.clicked)
  FROM reader LEFT JOIN reacted AS r ON r.contact_id = reader.id;
