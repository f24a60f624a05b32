-- Recipients of these sendings by site and how it stands with them; the columns after accepted sum up to it.
SELECT s.site, count(*) AS accepted,
       count(*) FILTER (WHERE o.state = 'delivered') AS delivered,
       count(*) FILTER (WHERE o.state = 'bounced') AS bounced,
       count(*) FILTER (WHERE o.state = 'expired') AS expired,
       count(*) FILTER (WHERE o.state = 'cancelled') AS cancelled,
       count(*) FILTER (WHERE o.state = 'suppressed') AS suppressed,
       count(*) FILTER (WHERE o.state IS NULL AND r.no IS NOT NULL) AS deferred,
       count(*) FILTER (WHERE o.state IS NULL AND r.no IS NULL) AS waiting
  FROM outbound_send AS s
  LEFT JOIN outbound_outcome AS o ON o.sending_id = s.sending_id AND o.no = s.no
  LEFT JOIN outbound_retry AS r ON r.sending_id = s.sending_id AND r.no = s.no
 WHERE s.sending_id = ANY(%(sendings)s)
 GROUP BY s.site
 ORDER BY accepted DESC, s.site;
