-- import_line --
-- Lines of the file whose address is known already, beside the contacts they meet. Seen by one session.
CREATE TEMP TABLE IF NOT EXISTS import_line (
    no        bigint NOT NULL,
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
)
