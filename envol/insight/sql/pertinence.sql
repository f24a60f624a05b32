-- Of those who got these sendings, by the segments that they were in (``membership``: id, mask): what they did.
-- Who was sent both (a resend) is one person. Orders of the days after her own message arrived.
reader AS (
    SELECT s.contact_id, min(o.at) AS at
      FROM outbound_send AS s
      JOIN outbound_outcome AS o ON o.sending_id = s.sending_id AND o.no = s.no AND o.state = 'delivered'
     WHERE s.sending_id = ANY(%(sendings)s) AND s.contact_id IS NOT NULL
     GROUP BY s.contact_id
), did AS (
    SELECT contact_id, bool_or(kind = 6) AS clicked, bool_or(kind = 8) AS unsubscribed, bool_or(kind = 7) AS complained
      FROM events_event
     WHERE sending_id = ANY(%(sendings)s) AND kind IN (6, 7, 8) AND machine IS NULL AND contact_id IS NOT NULL
     GROUP BY contact_id
), bought AS (
    SELECT DISTINCT r.contact_id
      FROM reader AS r
      JOIN contacts_order AS o ON o.contact_id = r.contact_id AND o.workspace_id = %(workspace)s AND o.amount > 0
       AND o.at >= r.at AND o.at < r.at + %(days)s * interval '1 day'
), person AS (
    SELECT coalesce(m.mask, 0) AS mask, coalesce((c.allowed & 2) <> 0 AND (c.refused & 2) = 0, FALSE) AS measured,
           c.id IS NULL AS erased, b.contact_id IS NOT NULL AS bought, d.clicked, d.unsubscribed, d.complained
      FROM reader AS r
      LEFT JOIN contacts_contact AS c ON c.id = r.contact_id
      LEFT JOIN membership AS m ON m.id = r.contact_id
      LEFT JOIN did AS d ON d.contact_id = r.contact_id
      LEFT JOIN bought AS b ON b.contact_id = r.contact_id
)
SELECT mask, measured, erased, count(*), count(*) FILTER (WHERE clicked), count(*) FILTER (WHERE bought),
       count(*) FILTER (WHERE unsubscribed), count(*) FILTER (WHERE complained)
  FROM person
 GROUP BY mask, measured, erased
