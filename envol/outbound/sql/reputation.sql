-- How sendings fared, by receiver's site: people who were tried, and what came of it; since a moment, or altogether.
-- `grp` is what couriers learnt of who runs the site. The tally tells the ends; deferrals, late bounces and complaints
-- are events of those few.
WITH ended AS (
    SELECT site,
           coalesce(sum(n) FILTER (WHERE state = 'delivered'), 0) AS delivered,
           coalesce(sum(n) FILTER (WHERE state = 'bounced'), 0) AS bounced,
           coalesce(sum(n) FILTER (WHERE state = 'bounced' AND cause = ANY(%(hard)s)), 0) AS hard,
           coalesce(sum(n) FILTER (WHERE state = 'bounced' AND cause = ANY(%(blocked)s)), 0) AS blocked,
           coalesce(sum(n) FILTER (WHERE state = 'expired'), 0) AS expired,
           0::bigint AS deferred, 0::bigint AS complained
      FROM outbound_tally
     WHERE sending_id = ANY(%(sendings)s) AND state IN ('delivered', 'bounced', 'expired')
       AND (%(since)s::timestamptz IS NULL OR minute >= %(since)s) GROUP BY site
), happened AS (
    SELECT coalesce(s.site, '') AS site, e.kind, count(DISTINCT (e.sending_id, s.no)) AS n,
           count(DISTINCT (e.sending_id, s.no)) FILTER (WHERE e.facts ->> 'class' = ANY(%(hard_classes)s)) AS hard
      FROM events_event e
      JOIN outbound_send s ON s.sending_id = e.sending_id AND s.no = coalesce((e.facts ->> 'no')::bigint, e.contact_id)
     WHERE e.sending_id = ANY(%(sendings)s) AND e.kind = ANY(%(kinds)s)
       AND (%(since)s::timestamptz IS NULL OR e.at >= %(since)s) GROUP BY 1, 2
), both_ AS (
    SELECT * FROM ended
    UNION ALL
    SELECT site, 0, 0, CASE WHEN kind = %(bounced)s THEN hard ELSE 0 END, 0, 0,
           CASE WHEN kind = %(deferred)s THEN n ELSE 0 END, CASE WHEN kind = %(complained)s THEN n ELSE 0 END
      FROM happened
)
SELECT b.site, coalesce(min(g.grp), '') AS grp, sum(delivered)::bigint, sum(bounced)::bigint, sum(hard)::bigint,
       sum(blocked)::bigint, sum(expired)::bigint, sum(deferred)::bigint, sum(complained)::bigint
  FROM both_ b LEFT JOIN outbound_site g ON g.site = b.site GROUP BY b.site;
