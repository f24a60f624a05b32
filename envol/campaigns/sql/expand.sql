-- The next people of a sending, in order of id: who may be written to comes back with her address,
-- who may not is written down with the reason. One statement, in the transaction that moves the cursor.
-- The places in braces: a SELECT of ids after the cursor, limited; the gate over c, which may read chosen; what the
-- kind of sending asks beside (not sent before, did not click), over c.
WITH chosen AS MATERIALIZED (
    {audience}
), judged AS (
    -- Each person is looked up by number (OFFSET 0 keeps it so): left to choose, the planner reads the whole table
    -- for every batch, with all that is known of everybody.
    SELECT c.id, c.email, c.reason
      FROM chosen CROSS JOIN LATERAL (
           SELECT c.id, c.email, {refusal} AS reason
             FROM contacts_contact c WHERE c.id = chosen.id AND c.workspace_id = %(workspace)s OFFSET 0) c
     WHERE {rest}
), left_out AS (
    INSERT INTO outbound_excluded (sending_id, contact_id, reason)
    SELECT %(sending)s, id, reason FROM judged WHERE reason IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT chosen.id, judged.email, judged.id IS NOT NULL AND judged.reason IS NULL
  FROM chosen LEFT JOIN judged ON judged.id = chosen.id
 ORDER BY chosen.id
