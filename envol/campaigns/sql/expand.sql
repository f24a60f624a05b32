-- The next people of a sending, in order of id: who may be written to comes back with her address,
-- who may not is written down with the reason. One statement, in the transaction that moves the cursor.
-- The places in braces: a SELECT of ids after the cursor, limited; the gate over c; what the kind of
-- sending asks beside (not sent before, did not click), over c.
WITH chosen AS MATERIALIZED (
    {audience}
), judged AS (
    SELECT c.id, c.email, {refusal} AS reason
      FROM chosen JOIN contacts_contact c ON c.id = chosen.id
     WHERE c.workspace_id = %(workspace)s AND {rest}
), left_out AS (
    INSERT INTO outbound_excluded (sending_id, contact_id, reason)
    SELECT %(sending)s, id, reason FROM judged WHERE reason IS NOT NULL
    ON CONFLICT DO NOTHING
)
SELECT chosen.id, judged.email, judged.id IS NOT NULL AND judged.reason IS NULL
  FROM chosen LEFT JOIN judged ON judged.id = chosen.id
 ORDER BY chosen.id
