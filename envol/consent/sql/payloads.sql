-- The rows that lines of the ledger commit to, in the order of the lines: block, leaf, key and the octets that
-- `envol.consent.chain.payload` makes of a row, made here because a million rows are not worth nine million objects.
SELECT p.block, p.leaf, p.leaf_key,
       convert_to(
           CASE WHEN e.seal IS NULL THEN E'envol permission 1\n' ELSE E'envol permission 2\n' END
           || p.workspace_id || E'\n' || p.contact_id || E'\n' || p.purpose_id || E'\n'
           || p.state || E'\n' || p.basis || E'\n'
           -- numeric, so no microsecond is rounded
           || (extract(epoch FROM p.since) * 1000000)::bigint || E'\n'
           || CASE WHEN p.evidence_id IS NULL THEN '-'
                   ELSE p.evidence_id || coalesce(' ' || encode(e.seal, 'hex'), '') END
           || E'\n' || p.proof, 'UTF8')
  FROM consent_permission p LEFT JOIN consent_evidence e ON e.id = p.evidence_id
 WHERE p.workspace_id = %(workspace)s
   AND p.block <= (SELECT coalesce(max(no), 0) FROM consent_ledger_block WHERE workspace_id = %(workspace)s)
 ORDER BY p.block, p.leaf
