-- What people (no machines) did, by time: events, and the people behind them. unit: what date_trunc knows, or 'highest',
-- five minutes.
SELECT CASE WHEN %(unit)s = 'highest' THEN date_bin('5 minutes', e.at, timestamptz '2000-01-01 00:00+00')
            ELSE date_trunc(replace(%(unit)s, 'highest', 'minute'), e.at, 'UTC') END AS began,
       e.kind, count(*), count(DISTINCT (e.sending_id, e.contact_id)) FILTER (WHERE e.contact_id IS NOT NULL)
  FROM events_event AS e
 WHERE e.sending_id = ANY(%(sendings)s) AND e.machine IS NULL AND e.kind = ANY(%(kinds)s)
   AND e.at >= %(since)s AND e.at < %(until)s
 GROUP BY 1, 2;
