-- The transaction that wrote an event: what a columnar copy lacks are the events at or above its pg_snapshot_xmin().
-- BRIN, because events are only ever added: a few bytes for each 256 kB, next to nothing at insert.
ALTER TABLE events_event ADD COLUMN stamp bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;
CREATE INDEX events_event_stamp ON events_event USING brin (stamp) WITH (pages_per_range = 32);
