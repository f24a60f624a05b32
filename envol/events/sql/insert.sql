-- Events as they are given, in one round trip.
INSERT INTO events_event (at, workspace_id, kind, contact_id, sending_id, link, machine, facts)
SELECT coalesce(at, now()), workspace_id, kind, contact_id, sending_id, link, machine, facts::jsonb
  FROM unnest(%(at)s::timestamptz[], %(workspaces)s::int[], %(kinds)s::smallint[], %(contacts)s::bigint[],
              %(sendings)s::bigint[], %(links)s::smallint[], %(machines)s::text[], %(facts)s::text[])
       AS e(at, workspace_id, kind, contact_id, sending_id, link, machine, facts);
