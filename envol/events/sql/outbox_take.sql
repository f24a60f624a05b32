-- What is due for one endpoint, in the order in which it happened; of a person only what nothing before it waits for.
SELECT o.id, o.kind, o.at, o.contact_id, o.sending_id, o.no, o.link, o.facts, o.raw, o.person, o.attempts, o.queued_at,
       o.kind IN (5, 6) AND EXISTS (SELECT FROM events_event v
                                     WHERE v.at = o.at AND v.contact_id = o.contact_id AND v.kind = o.kind
                                       AND v.machine IS NOT NULL) AS machine
  FROM events_outbox o
 WHERE o.endpoint_id = %(endpoint)s AND o.state = 'waiting' AND o.due <= now()
   AND NOT EXISTS (SELECT FROM events_outbox p
                    WHERE p.endpoint_id = o.endpoint_id AND p.state = 'waiting' AND p.person = o.person
                      AND o.person <> 0 AND p.id < o.id AND p.due > now())
 ORDER BY o.id
 LIMIT %(most)s
