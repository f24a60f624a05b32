-- What is known person by person of chunks that ended long ago becomes a number: recipients and outcomes go, the tally of
-- the sending stays as it is, and how many of its rows were emptied is written down, so that the books still add up.
-- The caller has said `envol.emptying`, which keeps the tally's triggers from subtracting.
WITH chunks AS MATERIALIZED (
    SELECT c.sending_id, c.no, c.lo, c.hi FROM outbound_chunk c JOIN outbound_sending x ON x.id = c.sending_id
     WHERE x.workspace_id = %(workspace)s AND c.no = ANY(%(chunks)s) AND c.done FOR UPDATE OF c
), sent AS (
    DELETE FROM outbound_send s USING chunks c
     WHERE s.sending_id = c.sending_id AND s.no BETWEEN c.lo AND c.hi AND s.chunk = c.no
    RETURNING s.sending_id, s.no, s.message_id
), ended AS (
    DELETE FROM outbound_outcome o USING sent s WHERE o.sending_id = s.sending_id AND o.no = s.no
    RETURNING o.sending_id, o.state
), told AS (
    DELETE FROM outbound_notice n USING sent s WHERE n.sending_id = s.sending_id AND n.no = s.no
), gone AS (
    DELETE FROM outbound_chunk c USING chunks g WHERE c.sending_id = g.sending_id AND c.no = g.no
), summed AS (
    INSERT INTO outbound_emptied AS e (sending_id, state, n)
    SELECT sending_id, state, count(*)
      FROM (SELECT sending_id, 'accepted' AS state FROM sent UNION ALL SELECT sending_id, state FROM ended) every
     GROUP BY 1, 2
    ON CONFLICT (sending_id, state) DO UPDATE SET n = e.n + excluded.n
)
SELECT (SELECT count(*) FROM sent), (SELECT array_agg(DISTINCT message_id) FROM sent WHERE message_id IS NOT NULL);
