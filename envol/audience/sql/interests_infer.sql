-- Who read or bought enough of a topic lately: five different articles or products within the window, and three tenths
-- of all topical ones. Only what people did themselves, only of those who agree that their clicks are measured, who did
-- not object to marketing (GDPR art. 21(2)), are of age, and have not spoken on the topic themselves.
WITH link (sending_id, link, topic_id, article) AS (
    SELECT * FROM unnest(%(sendings)s::bigint[], %(links)s::smallint[], %(topics)s::bigint[], %(articles)s::text[])
), category (category, topic_id) AS (
    SELECT * FROM unnest(%(categories)s::text[], %(category_topics)s::bigint[])
), read AS (
    SELECT e.contact_id, l.topic_id, 'u ' || l.article AS article, max(e.at) AS at
      FROM events_event e
      JOIN link l ON l.sending_id = e.sending_id AND l.link = e.link
      JOIN contacts_contact c ON c.id = e.contact_id AND c.workspace_id = e.workspace_id
           AND (c.allowed & %(clicks)s) <> 0
     WHERE e.workspace_id = %(workspace)s AND e.kind = %(clicked)s AND e.machine IS NULL
       AND e.at >= %(from)s AND e.at < %(end)s
     GROUP BY 1, 2, 3
    UNION ALL
    SELECT o.contact_id, k.topic_id, 'p ' || lower(l.product), max(o.at)
      FROM contacts_order o
      JOIN contacts_order_line l ON l.order_id = o.id AND l.quantity > 0
      JOIN category k ON k.category = lower(l.category)
     WHERE o.workspace_id = %(workspace)s AND o.amount >= 0 AND o.at >= %(from)s AND o.at < %(end)s
     GROUP BY 1, 2, 3
), counted AS (
    SELECT contact_id, topic_id, count(*)::int AS n, max(at) AS at FROM read GROUP BY 1, 2
), whole AS (
    SELECT contact_id, count(DISTINCT article)::int AS n FROM read GROUP BY 1
)
-- A minor is not profiled either; she is told here so that the page can say how many were left out.
SELECT k.contact_id, k.topic_id, k.n, w.n, (k.at AT TIME ZONE %(zone)s)::date, of_age.minor
  FROM counted k
  JOIN whole w USING (contact_id)
  JOIN contacts_contact c ON c.id = k.contact_id AND c.workspace_id = %(workspace)s AND NOT c.objected
 CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM unnest(%(births)s::text[]) AS b(key) WHERE c.props ->> b.key > %(of_age)s) AS minor
 ) of_age
 WHERE (of_age.minor OR c.refused & 2305843009213693952 = 0) AND k.n >= %(least)s AND k.n * 10 >= w.n * 3
