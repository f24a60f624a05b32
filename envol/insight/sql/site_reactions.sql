-- People (no machines) who opened, clicked, left or complained, by site.
SELECT s.site, e.kind, count(DISTINCT e.contact_id)
  FROM events_event AS e
  JOIN outbound_send AS s ON s.sending_id = e.sending_id AND s.contact_id = e.contact_id
 WHERE e.sending_id = ANY(%(sendings)s) AND e.kind = ANY(%(kinds)s) AND e.machine IS NULL
 GROUP BY 1, 2;
