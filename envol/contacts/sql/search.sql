-- What people are looked for by: address and names, apart from the contact's row, because an index of any part of a
-- text makes writing three times as slow. A job follows the stamps of contacts and writes it a minute later; what it
-- has not seen yet is looked through row by row, so nobody is missed meanwhile.
CREATE TABLE contacts_search (
    contact_id   bigint PRIMARY KEY,
    workspace_id int NOT NULL,
    text         text NOT NULL
);
CREATE TABLE contacts_search_mark (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    stamp      xid8 NOT NULL,  -- contacts with a lower one are in contacts_search
    contact_id bigint NOT NULL DEFAULT 0  -- so far among those with this very stamp
);
INSERT INTO contacts_search_mark (stamp) VALUES ('0');

-- Without the extension (a server that does not have it, or does not let us) the narrow table is read instead.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX contacts_search_part ON contacts_search USING gin (text gin_trgm_ops);
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR undefined_object THEN
    RAISE NOTICE 'pg_trgm is not to be had: looking for people reads them all.';
END $$;

-- Who goes leaves nothing to be found by. The lock lets the job's batch, which may just be writing her, end first.
CREATE FUNCTION contacts_search_forget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('contacts_search', 0));
    DELETE FROM contacts_search s USING gone WHERE s.contact_id = gone.id;
    RETURN NULL;
END $$;
CREATE TRIGGER contacts_contact_forgotten AFTER DELETE ON contacts_contact
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION contacts_search_forget();
