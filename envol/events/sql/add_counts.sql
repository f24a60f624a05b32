-- Add (or take away: a click that turned out to be a machine's) what a batch changed. Rows are made first,
-- because a CHECK also looks at a row that ON CONFLICT would not have inserted.
WITH change AS (
    SELECT * FROM unnest(%(workspaces)s::int[], %(sendings)s::bigint[], %(kinds)s::smallint[], %(links)s::smallint[],
                         %(machines)s::boolean[], %(events)s::bigint[], %(people)s::bigint[], %(nameless)s::bigint[])
        AS c(workspace_id, sending_id, kind, link, machine, events, people, nameless)
), made AS (
    INSERT INTO events_counter (workspace_id, sending_id, kind, link, machine, events, people, nameless)
    SELECT * FROM change AS c
     WHERE NOT EXISTS (SELECT FROM events_counter AS k WHERE k.sending_id = c.sending_id AND k.kind = c.kind
                          AND k.link = c.link AND k.machine = c.machine)
)
UPDATE events_counter AS k
   SET events = k.events + c.events, people = k.people + c.people, nameless = k.nameless + c.nameless
  FROM change AS c
 WHERE k.sending_id = c.sending_id AND k.kind = c.kind AND k.link = c.link AND k.machine = c.machine;
