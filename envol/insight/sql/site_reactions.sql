-- People (no machines) who opened, clicked, left or complained, by site. A recipient of a campaign is known by her
-- contact's number; each is looked up once, whatever she did how often.
SELECT s.site, e.kind, count(DISTINCT e.contact_id)
  FROM (SELECT DISTINCT sending_id, kind, contact_id FROM events_event
         WHERE sending_id = ANY(%(sendings)s) AND kind = ANY(%(kinds)s) AND machine IS NULL
           AND contact_id IS NOT NULL) AS e
  JOIN outbound_send AS s ON s.sending_id = e.sending_id AND s.no = e.contact_id
 WHERE s.sending_id = ANY(%(sendings)s)
 GROUP BY 1, 2;
