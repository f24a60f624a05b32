-- What keys handed in, by the hour: how much, in which language, to which endings of domains, and what came of it. Only
-- ever added to, so that processes do not wait for one another; the sweep folds equal rows into one. No address, no subject.
CREATE TABLE outbound_habit (
    key_id bigint NOT NULL,
    hour   timestamptz NOT NULL,
    what   text NOT NULL,  -- messages, copies, language, ending, held, refused, unknown
    name   text NOT NULL DEFAULT '',
    n      int NOT NULL
);
CREATE INDEX outbound_habit_key ON outbound_habit (key_id, hour);
