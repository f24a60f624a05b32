-- Recipients of these sendings by site and how it stands with them; the columns after accepted sum up to it.
-- The tally tells who was accepted and who ended; only those who wait for another try are counted one by one.
WITH accepted AS (
    SELECT site, sum(n) AS n FROM outbound_tally
     WHERE sending_id = ANY(%(sendings)s) AND state = 'accepted' GROUP BY site
), ended AS (
    SELECT site, state, sum(n) AS n FROM outbound_tally WHERE sending_id = ANY(%(sendings)s) GROUP BY site, state
), deferred AS (
    SELECT s.site, count(*) AS n
      FROM outbound_retry r JOIN outbound_send s ON s.sending_id = r.sending_id AND s.no = r.no
     WHERE r.sending_id = ANY(%(sendings)s) GROUP BY s.site
), sites AS (
    SELECT a.site, a.n AS accepted,
           coalesce(sum(e.n) FILTER (WHERE e.state = 'delivered'), 0) AS delivered,
           coalesce(sum(e.n) FILTER (WHERE e.state = 'bounced'), 0) AS bounced,
           coalesce(sum(e.n) FILTER (WHERE e.state = 'expired'), 0) AS expired,
           coalesce(sum(e.n) FILTER (WHERE e.state = 'cancelled'), 0) AS cancelled,
           coalesce(sum(e.n) FILTER (WHERE e.state = 'suppressed'), 0) AS suppressed,
           coalesce(min(d.n), 0) AS deferred
      FROM accepted a LEFT JOIN ended e ON e.site = a.site LEFT JOIN deferred d ON d.site = a.site
     GROUP BY a.site, a.n
)
SELECT site, accepted::bigint, delivered::bigint, bounced::bigint, expired::bigint, cancelled::bigint,
       suppressed::bigint, deferred,
       (accepted - delivered - bounced - expired - cancelled - suppressed - deferred)::bigint AS waiting
  FROM sites ORDER BY accepted DESC, site;
