-- Give leases back. A chunk is done when each of its rows has an outcome or waits as a retry; else it is due
-- again, and whoever takes it next finds only the rows without either.
-- Both are looked up row by row through their keys, however old the planner's statistics are (see lease.py).
-- lost: the lease ended by its time, so an attempt may have been made that nobody told us of: it counts.
UPDATE outbound_chunk AS c
   SET lease_id = NULL, leased_by = NULL, lease_until = NULL,
       attempts = c.attempts + CASE WHEN %(lost)s THEN 1 ELSE 0 END,
       done = NOT EXISTS (
           SELECT FROM outbound_send s
            WHERE s.sending_id = c.sending_id AND s.no BETWEEN c.lo AND c.hi AND s.chunk = c.no
              AND (SELECT true FROM outbound_outcome o WHERE o.sending_id = s.sending_id AND o.no = s.no) IS NULL
              AND (SELECT true FROM outbound_retry r WHERE r.sending_id = s.sending_id AND r.no = s.no) IS NULL)
 WHERE c.lease_id = ANY (%(leases)s) AND (NOT %(lost)s OR c.lease_until < now())
