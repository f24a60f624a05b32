-- Nobody follows three different links of a message within two seconds, but gateways that look behind every link
-- do. Earlier clicks of the same burst are marked too; what they are is known only when the third arrives.
-- The bounds come as constants, so that PostgreSQL plans for the months concerned and not for all of them.
WITH clicked AS MATERIALIZED (
    SELECT e.at, e.id, e.sending_id, e.contact_id, e.link, e.machine
      FROM unnest(%(sendings)s::bigint[], %(contacts)s::bigint[]) AS p(sending_id, contact_id)
      JOIN events_event AS e ON e.contact_id = p.contact_id AND e.sending_id = p.sending_id
     WHERE e.kind = %(clicked)s AND e.at > %(from)s AND e.at < %(to)s
), burst AS (
    SELECT first.sending_id, first.contact_id, first.at
      FROM clicked AS first JOIN clicked AS other USING (sending_id, contact_id)
     WHERE other.at >= first.at AND other.at < first.at + %(burst)s::interval
     GROUP BY first.sending_id, first.contact_id, first.at
    HAVING count(DISTINCT other.link) >= %(links)s
)
UPDATE events_event AS e
   SET machine = 'many_links'
  FROM clicked AS c JOIN burst AS b USING (sending_id, contact_id)
 WHERE e.at = c.at AND e.id = c.id AND e.at > %(from)s AND e.at < %(to)s
   AND c.machine IS NULL AND c.at >= b.at AND c.at < b.at + %(burst)s::interval;
