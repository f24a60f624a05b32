-- Write single messages, their ledger rows, the chunks that lease them, and what was counted of their keys: one
-- statement, so it is one round trip, and outside a transaction one commit.
-- Nothing at all is written when a sending that is known by heart ($13–$15) is not there as it was any more.
-- Of messages for a purpose ($20) the answer in force goes with each copy; most have none, and nobody is asked.
WITH letter AS MATERIALIZED (
    SELECT g.*, nextval('outbound_message_id_seq') AS id
      FROM unnest($1::bigint[], $2::int[], $3::smallint[], $4::text[], $5::text[], $6::text[], $7::bytea[])
           WITH ORDINALITY AS g (sending_id, workspace_id, priority, header, text, html, raw, letter)
     WHERE NOT EXISTS (
        SELECT FROM unnest($13::bigint[], $14::int[], $15::text[]) AS k (sending_id, workspace_id, kind)
         WHERE NOT EXISTS (SELECT FROM outbound_sending s WHERE s.id = k.sending_id
                           AND s.workspace_id = k.workspace_id AND s.kind = k.kind AND s.campaign_id IS NULL AND s.state = 'sending'))
), stored AS (
    INSERT INTO outbound_message (id, workspace_id, sending_id, header, text, html, raw)
    SELECT id, workspace_id, sending_id, header::jsonb, text, html, raw FROM letter
), numbered AS MATERIALIZED (
    SELECT part, nextval('outbound_chunk_no') AS chunk FROM (SELECT DISTINCT unnest($12::int[]) AS part) p
), person AS MATERIALIZED (  -- numbered before they are joined, so in the order in which they were given
    SELECT letter, contact_id, address, site, part, nextval('outbound_send_no') AS no
      FROM unnest($8::int[], $9::bigint[], $10::text[], $11::text[], $12::int[])
           AS g (letter, contact_id, address, site, part)
), copy AS MATERIALIZED (
    SELECT l.sending_id, l.priority, l.id, p.* FROM person p JOIN letter l USING (letter)
), sent AS (
    INSERT INTO outbound_send (sending_id, no, contact_id, message_id, address, site, chunk, permission_id)
    SELECT sending_id, no, contact_id, id, address, site, chunk, CASE WHEN $20::bigint IS NOT NULL THEN (
               SELECT a.id FROM consent_permission a WHERE a.contact_id = copy.contact_id AND a.purpose_id = $20
                  AND a.until IS NULL AND a.state = 'granted') END
      FROM copy JOIN numbered USING (part)
), chunk AS (
    INSERT INTO outbound_chunk (sending_id, no, lo, hi, site, size, priority, due)
    SELECT min(sending_id), chunk, min(no), max(no), CASE WHEN min(site) = max(site) THEN min(site) ELSE '*' END,
           count(*), min(priority), now()
      FROM copy JOIN numbered USING (part) GROUP BY chunk
), counted AS (
    INSERT INTO outbound_habit (key_id, hour, what, name, n)
    SELECT key_id, date_trunc('hour', now()), what, name, n
      FROM unnest($16::bigint[], $17::text[], $18::text[], $19::int[]) AS g (key_id, what, name, n)
     WHERE EXISTS (SELECT FROM letter)
)
SELECT letter, id, no FROM copy ORDER BY letter, no
