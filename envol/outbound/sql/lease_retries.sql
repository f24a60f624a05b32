-- Take deferred recipients whose time has come.
WITH due AS (
    SELECT r.sending_id, r.no
      FROM outbound_retry r JOIN outbound_sending s ON s.id = r.sending_id
     WHERE r.lease_id IS NULL AND r.due <= now() AND r.priority <= %(priority)s
       AND s.state = 'sending' AND r.site <> ALL (%(full)s)
       AND r.site <> ALL (ARRAY(SELECT site FROM outbound_site WHERE grp = ANY (%(shut)s)))
       AND (r.priority < 5 OR r.site <> ALL (ARRAY(SELECT site FROM outbound_site WHERE grp = ANY (%(spent)s))))
       AND (r.priority < 5 OR s.workspace_id <> ALL (%(over)s))
     ORDER BY r.priority, r.due
     LIMIT %(slots)s FOR UPDATE OF r SKIP LOCKED
)
UPDATE outbound_retry AS r
   SET lease_id = %(lease)s, leased_by = %(courier)s, lease_until = now() + make_interval(secs => %(seconds)s)
  FROM due WHERE r.sending_id = due.sending_id AND r.no = due.no
RETURNING r.sending_id, r.no, r.attempts, r.priority
