-- What it takes to be among the top hundredth, twentieth and fifth of those who spent in the year. When so many spent exactly that much
-- that more than twice the share would enter, the threshold is the next amount above: a tier that holds everybody
-- says nothing. NULL where nobody is above.
WITH spent AS (
    SELECT lately, count(*) OVER () AS n, rank() OVER (ORDER BY lately DESC) AS place,
           count(*) OVER (ORDER BY lately DESC RANGE UNBOUNDED PRECEDING) AS at_or_above
      FROM audience_score
     WHERE workspace_id = %(workspace)s AND last_day >= %(year_begins)s
), wanted (tier, share) AS (VALUES ('premium', 0.01), ('gold', 0.05), ('bronze', 0.20))
SELECT w.tier,
       (SELECT min(s.lately) FROM spent s
         WHERE s.lately > 0
           AND s.lately >= (SELECT percentile_disc(1 - w.share) WITHIN GROUP (ORDER BY lately) FROM spent)
           AND s.at_or_above <= greatest(2 * w.share * s.n, 1))
  FROM wanted w
