-- Custom events in one round trip; one that was told before, with the same id and moment, is left out.
INSERT INTO events_event (at, workspace_id, kind, contact_id, facts, custom, given)
SELECT at, %(workspace)s, %(kind)s, contact_id, facts::jsonb, custom, given
  FROM unnest(%(at)s::timestamptz[], %(contacts)s::bigint[], %(facts)s::text[], %(customs)s::int[], %(given)s::bigint[])
       AS e(at, contact_id, facts, custom, given)
    ON CONFLICT DO NOTHING
