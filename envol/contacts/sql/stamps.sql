-- What columnar copies need to know about rows that changed since they were written: the transaction that wrote a row
-- (a late commit cannot hide below pg_snapshot_xmin()), and who is gone. BRIN: a few bytes for each 256 kB, next to
-- nothing at insert; it knows bigint and not xid8.
ALTER TABLE contacts_membership ADD COLUMN stamp bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;
CREATE INDEX contacts_membership_stamp ON contacts_membership USING brin (stamp) WITH (pages_per_range = 32);
CREATE FUNCTION contacts_row_stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.stamp := pg_current_xact_id()::text::bigint;
    RETURN NEW;
END $$;
CREATE TRIGGER contacts_membership_stamp BEFORE UPDATE ON contacts_membership
    FOR EACH ROW EXECUTE FUNCTION contacts_row_stamp();

ALTER TABLE contacts_order ADD COLUMN stamp bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;
CREATE INDEX contacts_order_stamp ON contacts_order USING brin (stamp) WITH (pages_per_range = 32);
CREATE TRIGGER contacts_order_stamp BEFORE UPDATE ON contacts_order
    FOR EACH ROW EXECUTE FUNCTION contacts_row_stamp();

-- People of whom rows were deleted, by table. No address, no value: an id that nothing else holds any more.
CREATE TABLE contacts_gone (
    workspace_id int NOT NULL,
    contact_id   bigint NOT NULL,
    what         text NOT NULL CHECK (what IN ('contact', 'membership', 'order')),
    stamp        bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    at           timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX contacts_gone_stamp ON contacts_gone (stamp);
CREATE FUNCTION contacts_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_ARGV[0] = 'contact' THEN
        INSERT INTO contacts_gone (workspace_id, contact_id, what) SELECT workspace_id, id, 'contact' FROM gone;
    ELSE
        INSERT INTO contacts_gone (workspace_id, contact_id, what)
        SELECT DISTINCT workspace_id, contact_id, TG_ARGV[0] FROM gone;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER contacts_contact_gone AFTER DELETE ON contacts_contact
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION contacts_gone('contact');
CREATE TRIGGER contacts_membership_gone AFTER DELETE ON contacts_membership
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION contacts_gone('membership');
CREATE TRIGGER contacts_order_gone AFTER DELETE ON contacts_order
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION contacts_gone('order');
