-- Write what became of recipients, only where the lease is still ours; one round trip for a whole batch.
-- A chunk's lease is locked while we write (FOR SHARE), so it cannot pass to somebody else in between.
-- Answers (sending_id, no, state) of what was written; what is missing belongs to somebody else now.
-- synchronous_commit is set by the statement itself, for its own transaction: that saves two round trips.
WITH given AS (
    SELECT g.* FROM set_config('synchronous_commit', coalesce(%(commit)s, current_setting('synchronous_commit')), true),
        jsonb_to_recordset(%(results)s) AS g (
        sending_id bigint, no bigint, chunk bigint, lease_id uuid, state text, cause text, code smallint,
        enhanced text, reply text, host text, tls text, attempts smallint, site text, priority smallint,
        delay float8, held boolean, lifetime float8, least smallint)
), kept AS (
    INSERT INTO outbound_dialogue (pack) SELECT %(pack)s::bytea WHERE %(pack)s::bytea IS NOT NULL
), held AS (
    SELECT c.sending_id, c.no FROM outbound_chunk c
     WHERE c.lease_id = ANY (%(leases)s) FOR SHARE
), late AS (  -- deferred once too often: the lifetime is over
    SELECT g.sending_id, g.no
      FROM given g JOIN outbound_retry r ON r.sending_id = g.sending_id AND r.no = g.no
     WHERE g.state = 'deferred' AND NOT g.held AND g.chunk IS NULL AND r.lease_id = g.lease_id
       AND g.attempts >= g.least AND r.first_at + make_interval(secs => g.lifetime) <= now()
), removed AS (
    DELETE FROM outbound_retry r USING given g
     WHERE g.chunk IS NULL AND r.sending_id = g.sending_id AND r.no = g.no AND r.lease_id = g.lease_id
       AND (g.state <> 'deferred' OR EXISTS (SELECT FROM late l WHERE l.sending_id = g.sending_id AND l.no = g.no))
    RETURNING r.sending_id, r.no
), postponed AS (
    UPDATE outbound_retry r
       SET due = now() + make_interval(secs => g.delay), attempts = g.attempts, cause = g.cause, code = g.code,
           enhanced = g.enhanced, reply = g.reply, lease_id = NULL, leased_by = NULL, lease_until = NULL
      FROM given g
     WHERE g.chunk IS NULL AND g.state = 'deferred' AND r.sending_id = g.sending_id AND r.no = g.no
       AND r.lease_id = g.lease_id
       AND NOT EXISTS (SELECT FROM late l WHERE l.sending_id = g.sending_id AND l.no = g.no)
    RETURNING r.sending_id, r.no
), fresh AS (
    INSERT INTO outbound_retry (sending_id, no, site, priority, due, attempts, first_at, cause, code, enhanced, reply)
    SELECT g.sending_id, g.no, g.site, g.priority, now() + make_interval(secs => g.delay), g.attempts,
           now() + make_interval(secs => CASE WHEN g.held THEN g.delay ELSE 0 END),  -- no attempt: no lifetime yet
           g.cause, g.code, g.enhanced, g.reply
      FROM given g JOIN held h ON h.sending_id = g.sending_id AND h.no = g.chunk
     WHERE g.state = 'deferred'  -- written again after a failure it may have been overtaken by its own end
       AND NOT EXISTS (SELECT FROM outbound_outcome o WHERE o.sending_id = g.sending_id AND o.no = g.no)
    ON CONFLICT DO NOTHING
    RETURNING sending_id, no
), final AS (
    INSERT INTO outbound_outcome (sending_id, no, state, at, attempts, cause, code, enhanced, reply, host, tls)
    SELECT g.sending_id, g.no, CASE WHEN g.state = 'deferred' THEN 'expired' ELSE g.state END, now(), g.attempts,
           g.cause, g.code, g.enhanced, g.reply, g.host, g.tls
      FROM given g
     WHERE EXISTS (SELECT FROM held h
                    WHERE h.sending_id = g.sending_id AND h.no = g.chunk AND g.state <> 'deferred')
        OR EXISTS (SELECT FROM removed x WHERE x.sending_id = g.sending_id AND x.no = g.no)
    ON CONFLICT DO NOTHING
    RETURNING sending_id, no, state
)
SELECT sending_id, no, state FROM final
UNION ALL SELECT sending_id, no, 'deferred' FROM postponed
UNION ALL SELECT sending_id, no, 'deferred' FROM fresh
