-- People (no machines) who opened, clicked, left or complained, by site. A recipient of a campaign is known by her
-- contact's number; each counts once for what she did, at the site where she got the first of these sendings.
SELECT s.site, e.kind, count(*)
  FROM (SELECT kind, contact_id, min(sending_id) AS sending_id FROM events_event
         WHERE sending_id = ANY(%(sendings)s) AND kind = ANY(%(kinds)s) AND machine IS NULL
           AND contact_id IS NOT NULL GROUP BY 1, 2) AS e
  JOIN outbound_send AS s ON s.sending_id = e.sending_id AND s.no = e.contact_id
 WHERE s.sending_id = ANY(%(sendings)s)
 GROUP BY 1, 2;
