-- Everybody's habits in one statement, so that readers see the old ones or the new ones.
WITH link (sending_id, link, topic_id) AS (
    SELECT * FROM unnest(%(sendings)s::bigint[], %(links)s::smallint[], %(topics)s::bigint[])
), topical AS (
    SELECT DISTINCT sending_id, topic_id FROM link
), clicked AS (
    SELECT e.contact_id, e.at, e.sending_id, e.link
      FROM events_event e
      JOIN contacts_contact c ON c.id = e.contact_id AND c.workspace_id = e.workspace_id AND (c.allowed & %(clicks)s) <> 0
     WHERE e.workspace_id = %(workspace)s AND e.kind = %(clicked)s AND e.machine IS NULL
       AND e.at >= %(two_years)s AND e.at < %(end)s
), wanted AS (
    SELECT i.contact_id, i.topic_id FROM audience_interest i
     WHERE i.workspace_id = %(workspace)s AND i.until IS NULL AND i.origin <> 'refused'
    UNION
    SELECT k.contact_id, l.topic_id FROM clicked k JOIN link l ON l.sending_id = k.sending_id AND l.link = k.link
     WHERE k.at >= %(clicked_from)s
), judged AS (
    SELECT d.contact_id, count(DISTINCT d.sending_id) AS n,
           count(DISTINCT d.sending_id) FILTER (WHERE w.topic_id IS NOT NULL) AS fit
      FROM (
/* delivered */
      ) d
      JOIN topical t ON t.sending_id = d.sending_id
      LEFT JOIN wanted w ON w.contact_id = d.contact_id AND w.topic_id = t.topic_id
     WHERE d.workspace_id = %(workspace)s AND d.at >= %(received)s AND d.at < %(end)s
       AND d.contact_id IN (SELECT contact_id FROM wanted)
     GROUP BY 1
), month AS (
    SELECT contact_id, extract(month FROM day)::int AS month, day >= %(year)s AS late
      FROM (SELECT o.contact_id, (o.at AT TIME ZONE %(zone)s)::date AS day FROM contacts_order o
             WHERE o.workspace_id = %(workspace)s AND o.amount >= 0 AND o.at >= %(two_years)s AND o.at < %(end)s
            UNION ALL
            SELECT contact_id, (at AT TIME ZONE %(zone)s)::date FROM clicked) a
     GROUP BY 1, 2, 3
), years AS (
    SELECT contact_id, array_agg(month) FILTER (WHERE late) AS second, array_agg(month) FILTER (WHERE NOT late) AS first
      FROM month GROUP BY 1 HAVING count(DISTINCT month) <= %(months)s
), season AS (
    SELECT contact_id FROM years y
     WHERE y.first && y.second
       AND EXISTS (SELECT FROM generate_series(1, 12) AS b(month)
                    WHERE NOT EXISTS (SELECT FROM unnest(y.first || y.second) AS m(month)
                                       WHERE (m.month - b.month + 12) %% 12 >= %(months)s))
), shown AS (
    SELECT x.contact_id, x.habit
      FROM (SELECT contact_id, %(off_topic)s::text AS habit FROM judged WHERE n >= %(least)s AND fit * 10 <= n
            UNION ALL
            SELECT contact_id, %(seasonal)s::text FROM season) x
      JOIN contacts_contact c ON c.id = x.contact_id AND c.workspace_id = %(workspace)s AND NOT c.objected
       AND c.refused & 2305843009213693952 = 0
), gone AS (
    DELETE FROM audience_habit h WHERE h.workspace_id = %(workspace)s
       AND NOT EXISTS (SELECT FROM shown s WHERE s.contact_id = h.contact_id AND s.habit = h.habit)
), written AS (
    INSERT INTO audience_habit (workspace_id, contact_id, habit)
    SELECT %(workspace)s, contact_id, habit FROM shown ON CONFLICT DO NOTHING
)
SELECT count(*) FROM shown
