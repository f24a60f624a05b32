-- Who of these followed so many links around the time of the batch that a burst is possible: usually nobody.
SELECT e.sending_id, e.contact_id
  FROM unnest(%(sendings)s::bigint[], %(contacts)s::bigint[]) AS p(sending_id, contact_id)
  JOIN events_event AS e ON e.contact_id = p.contact_id AND e.sending_id = p.sending_id
 WHERE e.kind = %(clicked)s AND e.at > %(from)s AND e.at < %(to)s
 GROUP BY e.sending_id, e.contact_id
HAVING count(DISTINCT e.link) >= %(links)s
 ORDER BY 1, 2;
