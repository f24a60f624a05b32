-- What became of sendings by time: one row for each stretch and state, from totals that are kept by
-- the minute. unit: what date_trunc knows, or 'highest', five minutes.
SELECT CASE WHEN %(unit)s = 'highest' THEN date_bin('5 minutes', t.minute, timestamptz '2000-01-01 00:00+00')
            ELSE date_trunc(replace(%(unit)s, 'highest', 'minute'), t.minute, 'UTC') END AS began,
       t.state, sum(t.n)::bigint
  FROM outbound_tally AS t
 WHERE t.sending_id = ANY(%(sendings)s) AND t.minute >= %(since)s AND t.minute < %(until)s
 GROUP BY 1, 2 HAVING sum(t.n) <> 0;
