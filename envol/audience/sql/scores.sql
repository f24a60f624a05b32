-- Every buyer's recency, frequency and amount with their scores, in one statement, so that readers see the old scores
-- or the new ones.
--
-- Orders of one person on one day are one purchase. A day counts as one when something was paid or, at no price, goods
-- left; what was paid back lowers the amount and is no purchase. A score is the fifth in which the *lowest* rank of all
-- equal values falls: equal people are never parted by the order of rows. Who objected to marketing is not profiled for
-- it, nor who objected to profiling alone: bit 61 of ``refused`` (GDPR art. 21(1), (2)).
WITH days AS (
    SELECT o.contact_id,
           (o.at AT TIME ZONE %(zone)s)::date AS day,
           sum(o.amount)::bigint AS amount,
           bool_or(o.amount > 0 OR (o.amount = 0 AND EXISTS (
               SELECT FROM contacts_order_line l WHERE l.order_id = o.id AND l.quantity > 0))) AS bought
      FROM contacts_order o
     WHERE o.workspace_id = %(workspace)s AND o.currency = %(currency)s AND o.at < %(end)s
     GROUP BY 1, 2
), buyers AS (
    SELECT d.contact_id,
           max(d.day) FILTER (WHERE d.bought) AS last_day,
           (count(*) FILTER (WHERE d.bought))::int AS frequency,
           sum(d.amount)::bigint AS amount,
           coalesce(sum(d.amount) FILTER (WHERE d.day >= %(year_begins)s), 0)::bigint AS lately
      FROM days d
      JOIN contacts_contact c ON c.id = d.contact_id AND c.workspace_id = %(workspace)s AND NOT c.objected
       AND c.refused & 2305843009213693952 = 0
     GROUP BY d.contact_id
    HAVING bool_or(d.bought)
), ranked AS (
    SELECT b.*,
           ((rank() OVER (ORDER BY last_day) - 1) * 5 / count(*) OVER () + 1)::smallint AS r,
           ((rank() OVER (ORDER BY frequency) - 1) * 5 / count(*) OVER () + 1)::smallint AS f,
           ((rank() OVER (ORDER BY amount) - 1) * 5 / count(*) OVER () + 1)::smallint AS m
      FROM buyers b
), scored AS (
    SELECT x.*,
           -- The first that fits; (f + m) / 2 is compared without halving.
           CASE WHEN r >= 4 AND f + m >= 9 THEN 'champions'
                WHEN r >= 4 AND f + m >= 6 THEN 'loyal'
                WHEN r >= 4 THEN 'promising'
                WHEN r = 3 AND f + m >= 6 THEN 'attention'
                WHEN f + m >= 6 THEN 'at_risk'
                WHEN r = 3 THEN 'sleeping'
                ELSE 'lost' END AS named
      FROM ranked x
), gone AS (
    DELETE FROM audience_score s
     WHERE s.workspace_id = %(workspace)s
       AND NOT EXISTS (SELECT FROM scored x WHERE x.contact_id = s.contact_id)
), written AS (
    INSERT INTO audience_score AS s
           (workspace_id, contact_id, last_day, frequency, amount, lately, r, f, m, named)
    SELECT %(workspace)s, contact_id, last_day, frequency, amount, lately, r, f, m, named FROM scored
        ON CONFLICT (workspace_id, contact_id) DO UPDATE
       SET last_day = excluded.last_day, frequency = excluded.frequency, amount = excluded.amount,
           lately = excluded.lately, r = excluded.r, f = excluded.f, m = excluded.m, named = excluded.named
     WHERE (s.last_day, s.frequency, s.amount, s.lately, s.r, s.f, s.m, s.named) IS DISTINCT FROM
           (excluded.last_day, excluded.frequency, excluded.amount, excluded.lately,
            excluded.r, excluded.f, excluded.m, excluded.named)
)
SELECT count(*), coalesce(sum(frequency), 0)::bigint, coalesce(sum(amount), 0)::bigint FROM scored
