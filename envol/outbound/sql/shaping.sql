-- What couriers know of receivers together: how many connections and messages each may have from each source address.

-- Which receiver stands behind a site, as its MX hosts told when mail was sent there last.
CREATE TABLE outbound_site (
    site    text PRIMARY KEY,
    grp     text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbound_site_grp ON outbound_site (grp);

-- What replies taught us of a (group, source); no row: the numbers of the data file hold.
CREATE TABLE outbound_shape (
    grp          text NOT NULL,
    source       text NOT NULL,
    connections  smallint NOT NULL CHECK (connections > 0),
    per_minute   float8,                -- NULL: no limit
    tokens       float8 NOT NULL DEFAULT 0,
    filled_at    timestamptz NOT NULL,
    paused_until timestamptz NOT NULL,
    pauses       smallint NOT NULL DEFAULT 0,  -- in a row: each is twice as long
    slowed_at    timestamptz NOT NULL,
    raised_at    timestamptz NOT NULL,
    minute       timestamptz NOT NULL,  -- messages of this minute and of the one before
    sent         int NOT NULL DEFAULT 0,
    sent_before  int NOT NULL DEFAULT 0,
    reason       text NOT NULL DEFAULT '',
    PRIMARY KEY (grp, source)
) WITH (fillfactor = 50);

-- Connections of each courier; a courier that died holds them until its time is over.
CREATE TABLE outbound_shape_hold (
    grp         text NOT NULL,
    source      text NOT NULL,
    courier     text NOT NULL,
    connections smallint NOT NULL,
    until       timestamptz NOT NULL,
    PRIMARY KEY (grp, source, courier)
) WITH (fillfactor = 50);

-- The calendar of addresses that warm up: one row a day and receiver. See warmup.py.
CREATE TABLE outbound_warmup (
    source     text NOT NULL,
    bucket     text NOT NULL,
    day        date NOT NULL,
    step       smallint NOT NULL,
    allowed    int NOT NULL,
    used       int NOT NULL DEFAULT 0,
    sent       int NOT NULL DEFAULT 0,
    deferred   int NOT NULL DEFAULT 0,
    hard       int NOT NULL DEFAULT 0,
    blocked    int NOT NULL DEFAULT 0,
    complaints int NOT NULL DEFAULT 0,
    note       text NOT NULL DEFAULT '',
    PRIMARY KEY (source, bucket, day)
) WITH (fillfactor = 50);
