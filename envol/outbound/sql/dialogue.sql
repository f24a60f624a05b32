-- What was said to other hosts: one row for each batch of outcomes, compressed, found by the moment of its transaction,
-- which its outcomes and events carry too. No address of a person stands in it.
CREATE TABLE outbound_dialogue (
    at   timestamptz NOT NULL DEFAULT now(),
    pack bytea NOT NULL
);
ALTER TABLE outbound_dialogue ALTER COLUMN pack SET STORAGE EXTERNAL;  -- compressed already
CREATE INDEX outbound_dialogue_at ON outbound_dialogue (at);
