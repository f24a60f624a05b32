-- Counters of several sendings together: a person who got two of them is one person.
SELECT e.kind, s.version, coalesce(e.link, 0), e.machine IS NOT NULL, grouping(e.link) = 1,
       count(*), count(DISTINCT e.contact_id), count(*) FILTER (WHERE e.contact_id IS NULL)
  FROM unnest(%(sendings)s::bigint[], %(versions)s::bigint[]) AS s(id, version)
  JOIN events_event AS e ON e.sending_id = s.id
 WHERE e.kind = ANY(%(kinds)s)
 GROUP BY GROUPING SETS ((e.kind, e.machine IS NOT NULL, s.version, e.link), (e.kind, e.machine IS NOT NULL));
