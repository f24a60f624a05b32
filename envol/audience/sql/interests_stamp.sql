-- Which transaction wrote an interest, and of whom one was deleted: what columnar copies must know to stay fresh.
ALTER TABLE audience_interest ADD COLUMN stamp bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;
CREATE INDEX audience_interest_stamp ON audience_interest USING brin (stamp) WITH (pages_per_range = 32);
CREATE TRIGGER audience_interest_stamp BEFORE UPDATE ON audience_interest
    FOR EACH ROW EXECUTE FUNCTION contacts_row_stamp();
CREATE TRIGGER audience_interest_gone AFTER DELETE ON audience_interest
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION contacts_gone('interest');
