-- One writer of a sending's reactions at a time: then "seen already?" and "new person?" have one answer,
-- also with several http processes. In one order everywhere, so two batches never wait for one another in a circle.
SELECT pg_advisory_xact_lock(1162762831, key)
  FROM (SELECT DISTINCT hashint8(id) AS key FROM unnest(%(sendings)s::bigint[]) AS id ORDER BY 1) AS keys;
