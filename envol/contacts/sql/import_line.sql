-- import_line --
-- Lines of the file whose address is known already, with the contacts they meet. Seen by one transaction.
CREATE TEMP TABLE import_line (
    no        bigint NOT NULL,
    id        bigint NOT NULL,
    key       text COLLATE "C" NOT NULL,
    language  text,
    time_zone text,
    props     jsonb NOT NULL,
    sources   jsonb NOT NULL,
    tags      jsonb NOT NULL,
    ids       jsonb NOT NULL,
    grants    boolean NOT NULL,
    since     timestamptz,
    proof     text NOT NULL
) ON COMMIT DROP
