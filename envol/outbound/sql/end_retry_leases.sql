-- Give leases of deferred recipients back; see end_leases.
UPDATE outbound_retry AS r
   SET lease_id = NULL, leased_by = NULL, lease_until = NULL,
       attempts = r.attempts + CASE WHEN %(lost)s THEN 1 ELSE 0 END
 WHERE r.lease_id = ANY (%(leases)s) AND (NOT %(lost)s OR r.lease_until < now())
