-- Clicks of people by weekday (1 is Monday) and hour, as the workspace's clock showed them; events and people.
SELECT extract(isodow FROM e.at AT TIME ZONE %(zone)s)::int AS day,
       extract(hour FROM e.at AT TIME ZONE %(zone)s)::int AS hour,
       count(*) AS events, count(DISTINCT e.contact_id) AS people
  FROM events_event AS e
 WHERE e.sending_id = ANY(%(sendings)s) AND e.kind = %(kind)s AND e.machine IS NULL
 GROUP BY 1, 2
 ORDER BY 1, 2;
