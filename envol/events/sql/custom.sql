-- Events that a workspace's own programs tell of, in the same months as all others: they are kept as long and go alike.
ALTER TABLE events_event ADD COLUMN custom int, ADD COLUMN given bigint;
CREATE INDEX events_event_custom ON events_event (custom, contact_id, at) WHERE custom IS NOT NULL;
CREATE UNIQUE INDEX events_event_given ON events_event (custom, given, at) WHERE given IS NOT NULL;
