-- How long ago each of these people last did something with our mail, or joined: 0 within 30 days, 1 within 60,
-- 2 within 90, 3 longer. Only who is not in the last of them.
SELECT id, tier FROM (
    SELECT c.id, CASE WHEN seen > now() - interval '30 days' THEN 0
                      WHEN seen > now() - interval '60 days' THEN 1
                      WHEN seen > now() - interval '90 days' THEN 2 ELSE 3 END AS tier
      FROM contacts_contact c, LATERAL (
        SELECT greatest(c.created_at, c.last_open_day::timestamptz,
            (SELECT max(e.at) FROM events_event e WHERE e.contact_id = c.id AND e.kind = ANY (%(kinds)s)
                AND e.at > now() - interval '90 days')) AS seen) s
     WHERE c.id = ANY (%(ids)s)) t
 WHERE tier < 3
